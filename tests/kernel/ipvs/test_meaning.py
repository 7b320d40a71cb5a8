"""What the kernel prints is known again by what it means, for every case and random clusters."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve

from svcnet.executors.iptables import choose_variant
from svcnet.executors.ipvs import IPVS, apply, ipsets, observe, plan
from svcnet.executors.ipvs.entries import saved_entries
from svcnet.executors.ipvs.observe import key_of
from svcnet.models import EndpointPort, IPFamily, LoadBalancerIngress, ServicePort
from svcnet.models.state import ClusterObject
from svcnet.renderers.ipvs import IPVSTables, ServerKey, VirtualServer, full
from svcnet.renderers.ipvs.messages import HASHED, Message, NewDest, NewService
from svcnet.renderers.ipvs.program import dest_of, service_of
from svcnet.renderers.ipvs.sections import add_line, create_line
from svcnet.renderers.ipvs.sets import IPSet
from svcnet.testing import make_service, make_slice
from tests.fuzz import examples
from tests.kernel.ipvs.test_damages import tables
from tests.test_conformance import CASES, compile_case, family_of_file

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case(family: IPFamily) -> None:
    """All virtual servers, real servers and entries of all cases are as they were written.

    The cases are one machine: what differs between them is not asked for here, and a machine for
    each would take minutes. That rules are known again is for test_apply.py.
    """
    servers: dict[ServerKey, VirtualServer] = {}
    sets: dict[str, IPSet] = {}
    for document in sorted(CASES.glob("*/ipvs.ipv[46].json")):
        if family_of_file(document) != family:
            continue
        wanted = full(compile_case(document.parent, family))
        servers |= wanted.servers
        for each in wanted.sets.values():
            entries = {*each.entries, *(sets[each.name].entries if each.name in sets else ())}
            sets[each.name] = evolve(each, entries=tuple(sorted(entries)))
    lines = [create_line(each) for each in sets.values()]
    lines += [add_line(each.name, entry) for each in sets.values() for entry in each.entries]
    ipsets.restore("".join(lines))
    messages: list[Message] = []
    for server in servers.values():
        service = service_of(server)
        messages += [
            NewService(service),
            *(NewDest(service, dest_of(r)) for r in server.real_servers),
        ]
    with IPVS() as kernel:
        kernel.send(messages)
        found = observe(family, choose_variant(family, "legacy").observed, (), kernel)
    for name, each in sets.items():
        assert found.entries(name) == saved_entries(each), name
        assert found.sets[name].is_plain
    assert len(found.services) == len(servers) > 4
    for server in servers.values():
        there = found.services[key_of(service_of(server))]
        assert evolve(there, flags=there.flags & ~HASHED) == service_of(server)
        reals = found.real_servers(server.key)
        assert {(*place, real.settings.weight) for place, real in reals.items()} == {
            tuple(real) for real in server.real_servers
        }


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


@pytest.mark.parametrize("family", FAMILIES)
def test_random_clusters(family: IPFamily) -> None:
    """After an apply there is nothing to do, whatever was there before."""
    for seed in range(examples(12)):
        wanted = tables(family, *random_objects(Random(seed), family))
        apply(wanted, variant="legacy", drain=0)
        assert left(wanted, family) == "", seed


def left(wanted: IPVSTables, family: IPFamily) -> str:
    """Return what is left to do."""
    with IPVS() as kernel:
        there = observe(family, choose_variant(family, "legacy").observed, wanted.sysctls, kernel)
    return plan(wanted, there, drain=0).text
