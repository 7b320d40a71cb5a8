"""Real connections go where the scheduler of their virtual server sends them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve

from svcnet.labels import SCHEDULER_ANNOTATION
from svcnet.models import (
    EndpointPort,
    IPVSConfiguration,
    KubeProxyConfiguration,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from tests.kernel.ipvs.balancer import PATIENCE, Balancer
from tests.kernel.netns import (
    OTHER_CLUSTER_IP,
    Both,
)
from tests.kernel.scenarios import ALL, DNS, WEB, service, slices

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

EQUAL = dict.fromkeys(ALL, 1)
ADDRESSES = tuple(Both(f"203.0.113.{n}", f"2001:db8:203::{n}") for n in range(40, 52))
"""Addresses beyond the node that a Service may have."""


def scheduled(scheduler: str, **fields: Any) -> Service:
    """Return a Service with a scheduler of its own."""
    return service(annotations={SCHEDULER_ANNOTATION: scheduler}, **fields)


def weighed(
    weights: Mapping[str, int], ports: tuple[EndpointPort, ...] = WEB
) -> list[ClusterObject]:
    """Return slices with one endpoint each, which has its weight."""
    return [
        evolve(item, name=f"{item.name}-{name}", ipvs_weight=weight)
        for name, weight in weights.items()
        for item in slices(name, ports=ports)
    ]


def test_rr_takes_exact_turns(balancer: Balancer) -> None:
    """Round robin, the default, asks each endpoint in turn, whoever the client is."""
    balancer.serve(service(), *slices(*ALL))
    names = balancer.ask(6) + balancer.ask(6, "pod1")
    assert set(names[:3]) == set(ALL)
    assert names == names[:3] * 4


def test_wrr_takes_turns_by_weight(balancer: Balancer) -> None:
    """Weighted round robin gives each endpoint its weight's share of every round."""
    balancer.serve(scheduled("wrr"), *weighed({"pod1": 3, "pod2": 2, "pod3": 1}))
    names = balancer.ask(12)
    assert names[:6] == names[6:]
    assert Counter(names[:6]) == {"pod1": 3, "pod2": 2, "pod3": 1}


def test_lc_chooses_who_holds_fewest(balancer: Balancer) -> None:
    """Least connection levels held connections and takes no notice of weights."""
    balancer.serve(scheduled("lc"), *weighed({"pod1": 9, "pod2": 1, "pod3": 1}))
    assert Counter(balancer.hold(6)) == dict.fromkeys(ALL, 2)
    balancer.release("pod2")
    assert balancer.hold(2) == ["pod2", "pod2"]


def test_wlc_chooses_who_holds_fewest_for_its_weight(balancer: Balancer) -> None:
    """Weighted least connection levels what endpoints hold in proportion to their weights."""
    balancer.serve(scheduled("wlc"), *weighed({"pod1": 2, "pod2": 1, "pod3": 1}))
    assert Counter(balancer.hold(8)) == {"pod1": 4, "pod2": 2, "pod3": 2}
    balancer.release("pod1")
    assert balancer.hold(4) == ["pod1"] * 4


def test_sed_lets_the_idle_wait_for_the_strong(balancer: Balancer) -> None:
    """Shortest expected delay: a strong endpoint gets connections while a weak one is idle."""
    balancer.serve(scheduled("sed"), *weighed({"pod1": 4, "pod2": 1, "pod3": 1}))
    assert balancer.hold(3) == ["pod1"] * 3
    assert Counter(balancer.hold(3)) == {"pod1": 1, "pod2": 1, "pod3": 1}


def test_nq_asks_the_idle_first(balancer: Balancer) -> None:
    """Never queue: nobody gets a second connection while an endpoint is idle."""
    balancer.serve(scheduled("nq"), *weighed({"pod1": 4, "pod2": 1, "pod3": 1}))
    assert set(balancer.hold(3)) == set(ALL)
    assert balancer.hold(2) == ["pod1", "pod1"]


def test_sh_is_stable_by_source(balancer: Balancer) -> None:
    """Source hashing: a client has one endpoint for good, and clients have different ones."""
    balancer.serve(scheduled("sh"), *slices(*ALL))
    first, second = balancer.ask(1, "crowd"), balancer.ask(1, "crowd")
    assert first == second
    assert set(first) == set(ALL)


def test_dh_is_stable_by_destination(balancer: Balancer) -> None:
    """Destination hashing: an address has one endpoint, for every client."""
    addresses = tuple(text for address in ADDRESSES for text in (address.v4, address.v6))
    balancer.serve(scheduled("dh", external_ips=addresses), *slices(*ALL))
    clients = ("client", "client2", "pod1")
    seen = [{n for c in clients for n in balancer.ask(2, c, d)} for d in ADDRESSES]
    assert [names for names in seen if len(names) != 1] == []
    assert len(set.union(*seen)) > 1


def test_lblc_leaves_a_server_that_is_overloaded(balancer: Balancer) -> None:
    """Locality-based least connection: one endpoint for an address, until it holds too many.

    That is: more than its weight, while another holds less than half of its own.
    """
    balancer.serve(scheduled("lblc"), *weighed(dict.fromkeys(ALL, 4)))
    (first,) = set(balancer.ask(2) + balancer.ask(2, "pod1") + balancer.hold(5))
    (second,) = set(balancer.hold(2))
    assert second != first
    balancer.release(first)
    assert balancer.hold(1) == [second]


def test_lblcr_keeps_the_servers_of_an_address(balancer: Balancer) -> None:
    """With replication an overloaded endpoint stays one of its address's, beside another."""
    balancer.serve(scheduled("lblcr"), *weighed(dict.fromkeys(ALL, 4)))
    (first,) = set(balancer.ask(2) + balancer.ask(2, "pod1") + balancer.hold(5))
    (second,) = set(balancer.hold(2))
    assert second != first
    balancer.release(first)
    assert balancer.hold(1) == [first]


def test_mh_stays_when_another_endpoint_goes(balancer: Balancer) -> None:
    """Maglev hashing: a client's port has one endpoint, and most keep it when another goes.

    The virtual servers are made anew, so that the kernel remembers no connection.
    """
    ports = range(20_000, 20_060)
    dns = service(
        annotations={SCHEDULER_ANNOTATION: "mh"}, ports=(ServicePort(53, "dns", "UDP", 5353),)
    )

    def ends(*endpoints: str) -> dict[int, str]:
        balancer.clear()
        balancer.serve(dns, *slices(*endpoints, ports=(DNS,)))
        asked = {p: balancer.ask(1, port=53, protocol="UDP", source_port=p) for p in ports}
        return {port: name for port, (name,) in asked.items()}

    before = ends(*ALL)
    assert set(before.values()) == set(ALL)
    assert ends(*ALL) == before
    after = ends("pod1", "pod3")
    stays = [after[port] == name for port, name in before.items() if name != "pod2"]
    assert stays.count(True) > 0.8 * len(stays)


def test_fo_takes_the_highest_weight(balancer: Balancer) -> None:
    """Failover: all go to the endpoint with the highest weight, and to the next when it goes."""
    balancer.serve(scheduled("fo"), *weighed({"pod1": 1, "pod2": 3, "pod3": 2}))
    assert set(balancer.hold(4)) == {"pod2"}
    balancer.serve(*weighed({"pod2": 0}))
    assert set(balancer.ask(4)) == {"pod3"}


def test_ovf_overflows_by_weight(balancer: Balancer) -> None:
    """Overflow: the highest weight first, the next when it holds more than its weight."""
    balancer.serve(scheduled("ovf"), *weighed({"pod1": 2, "pod2": 3, "pod3": 1}))
    assert balancer.hold(9) == ["pod2"] * 4 + ["pod1"] * 3 + ["pod3"] * 2
    assert balancer.ask(1) == ["refused"]


def test_a_service_has_a_scheduler_of_its_own(balancer: Balancer) -> None:
    """The annotation is for its Service alone; others have the configuration's scheduler."""
    balancer.config = KubeProxyConfiguration(ipvs=IPVSConfiguration(scheduler="lc"))
    other = service("other", OTHER_CLUSTER_IP, annotations={SCHEDULER_ANNOTATION: "sh"})
    balancer.serve(service(), *slices(*ALL), other, *slices(*ALL, of="other"))
    assert Counter(balancer.hold(6)) == dict.fromkeys(ALL, 2)
    (same,) = set(balancer.ask(6, destination=OTHER_CLUSTER_IP))
    balancer.release("pod2")
    assert balancer.hold(2) == ["pod2", "pod2"]
    assert set(balancer.ask(3, destination=OTHER_CLUSTER_IP)) == {same}


def test_weight_0_gets_nothing_new(balancer: Balancer) -> None:
    """An endpoint whose weight becomes 0 keeps its connections and gets no other."""
    balancer.serve(service(), *weighed(EQUAL))
    assert set(balancer.hold(3)) == set(ALL)
    balancer.serve(*weighed({"pod2": 0}))
    assert Counter(balancer.ask(6)) == {"pod1": 3, "pod3": 3}
    agent = balancer.cluster.agents["client"]
    assert all(agent("exchange", hold=hold, timeout=PATIENCE) for hold in range(3))
    balancer.serve(*weighed({"pod2": 1}))
    assert Counter(balancer.ask(6)) == dict.fromkeys(ALL, 2)


@pytest.mark.parametrize(("scheduler", "who"), [("sh", "client"), ("mh", "crowd")])
def test_hashing_goes_round_an_endpoint_of_weight_0(
    balancer: Balancer, scheduler: str, who: str
) -> None:
    """The clients that a hash leads to an endpoint without weight get another one."""
    balancer.serve(scheduled(scheduler), *weighed(EQUAL))
    first = balancer.ask(1, who)[0]
    balancer.serve(*weighed({first: 0}))
    assert not {first, "refused"} & set(balancer.ask(1, who))


def test_hashing_by_destination_refuses_the_clients_of_weight_0(balancer: Balancer) -> None:
    """Scheduler dh has no way round, which is why its removed endpoints do not drain."""
    balancer.serve(scheduled("dh"), *weighed(EQUAL))
    [first] = balancer.ask(1)
    balancer.serve(*weighed({first: 0}))
    assert balancer.ask(1) == ["refused"]


def test_hashing_by_destination_leaves_a_removed_endpoint_at_once(balancer: Balancer) -> None:
    """Though a connection lives there, its clients get another endpoint."""
    balancer.serve(scheduled("dh"), *slices(*ALL))
    [first] = balancer.hold(1)
    balancer.serve(*slices(*(name for name in ALL if name != first)))
    assert balancer.ask(1)[0] in {*ALL} - {first}


def test_persistence_holds_and_expires(balancer: Balancer) -> None:
    """A client keeps its endpoint while the kernel remembers it, and then takes turns anew."""
    balancer.serve(
        service(
            ports=(ServicePort(53, "dns", "UDP", 5353),),
            session_affinity="ClientIP",
            session_affinity_timeout=4,
        ),
        *slices(*ALL, ports=(DNS,)),
    )
    # The memory of a client outlives that of its datagrams, five minutes unless told otherwise.
    balancer.cluster.run("node", "ipvsadm", "--set", "0", "0", "1")
    try:
        (first,) = set(balancer.ask(6, port=53, protocol="UDP"))
        (other,) = set(balancer.ask(6, "client2", port=53, protocol="UDP"))
        assert other != first
        time.sleep(6)
        (next_one,) = set(balancer.ask(6, port=53, protocol="UDP"))
        assert {first, other, next_one} == set(ALL)
    finally:
        balancer.cluster.run("node", "ipvsadm", "--set", "0", "0", "300")
