"""What was applied is found again in IPVS mode: of every case and of random clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from attrs import evolve

from svcnet.executors.iptables import Commands, variants
from svcnet.executors.ipvs import apply, sets
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import EndpointPort, IPFamily, LoadBalancerIngress, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.renderers.ipvs import IPVSTables, full
from svcnet.testing import make_service, make_slice
from tests.fuzz import examples
from tests.kernel.ipvs.test_damages import tables
from tests.test_conformance import EXPECTED_IPVS, SECOND_IPVS, compile_case, family_of_file

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
CASES = [*EXPECTED_IPVS, *SECOND_IPVS]
BATCHES = range(5)


class Looks:
    """What a look that nobody has disturbed since has seen: it need not be had again.

    A guest takes as long to start a program as for all else of an apply together.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[object, ...], object] = {}

    def keep(self, look: Callable[..., object]) -> Callable[..., object]:
        def kept(*args: Any) -> object:
            if args not in self._seen:
                self._seen[args] = look(*args)
            return self._seen[args]

        return kept

    def forget(self) -> None:
        self._seen.clear()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Looks that are kept, on a machine that has no other variant of iptables to look at."""
    looks = Looks()
    monkeypatch.setattr(
        variants, "find_commands", lambda family, **_: (Commands(family, "legacy", THIS_MACHINE),)
    )
    monkeypatch.setattr(Commands, "observe", looks.keep(Commands.observe))
    monkeypatch.setattr(sets, "save", looks.keep(sets.save))
    return looks


def assert_same_again(wanted: IPVSTables, looks: Looks) -> None:
    """Put `wanted` on this machine, in place of whatever is there, and look again."""
    apply(wanted, drain=0)
    looks.forget()
    again = apply(wanted, drain=0)
    assert again.plan.text == ""
    assert "nothing to change" in str(again)


def cases(family: IPFamily) -> Iterator[IPVSTables]:
    for document in CASES:
        if family_of_file(document) == family:
            second = document in SECOND_IPVS
            objects = "objects.second.yaml" if second else "objects.yaml"
            yield full(compile_case(document.parent, family, objects))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_of_the_reference_twice(family: IPFamily, batch: int, looks: Looks) -> None:
    """One after the other, each over what the last one left."""
    for wanted in list(cases(family))[batch :: len(BATCHES)]:
        assert_same_again(wanted, looks)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("family", FAMILIES)
def test_random_clusters_twice(family: IPFamily, batch: int, looks: Looks) -> None:
    """Two hundred, each over what the last one left, their addresses spelled in any way."""
    for seed in range(examples(20)):
        random = Random(f"{batch} {seed}")
        assert_same_again(tables(family, *random_objects(random, family)), looks)


def random_objects(random: Random, family: IPFamily) -> list[ClusterObject]:
    """Return a few Services and slices; addresses of slices are spelled in any way."""
    objects: list[ClusterObject] = []
    for number in range(random.randint(0, 5)):
        name = f"s{number}"
        types = random.choice(("ClusterIP", "NodePort", "LoadBalancer"))
        port = ServicePort(80 + number, "http", random.choice(("TCP", "UDP", "SCTP")), 8080)
        if types != "ClusterIP":
            port = evolve(port, node_port=30000 + number)
        six = family == "IPv6"
        outside = f"2001:db8:f::{number + 1:x}" if six else f"203.0.113.{number}"
        objects.append(
            make_service(
                name,
                f"fd00:96::a{number}" if six else f"10.96.0.1{number}",
                type=types,
                ports=(port,),
                external_ips=(outside,) if random.random() < 0.3 else (),
                load_balancer_ingress=(LoadBalancerIngress(f"::102:{number + 1}"),) if six else (),
                load_balancer_source_ranges=random.choice(
                    ((), ("::/0", "fd00::/8") if six else ("0.0.0.0/0", "10.0.0.0/8"))
                ),
                session_affinity=random.choice(("None", "ClientIP")),
                external_traffic_policy=random.choice(("Cluster", "Local")),
            )
        )
        ways = ("FD00:244::000{}", "fd00:244:0:0:0:0:0:{}", "64:ff9b::10.1.2.{}", "::1.2.3.{}")
        ends = {
            (random.choice(ways) if six else "10.244.1.{}").format(end) + "@node-a"
            for end in range(1, random.randint(1, 4))
        }
        objects.append(
            make_slice(name, *sorted(ends), ports=(EndpointPort(8080, "http", port.protocol),))
        )
    return objects
