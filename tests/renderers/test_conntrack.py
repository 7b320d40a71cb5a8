"""Which UDP entries a graph makes stale: tables for the cases, properties for all others."""

from __future__ import annotations

from itertools import product
from operator import itemgetter
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Deliver, Packet, RuleGraph, diff, evaluate
from svcnet.models import (
    ClusterState,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    IPFamily,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    NamespacedName,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.renderers.conntrack import DeletionPlan, Flow, plan, touches_udp
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies

DNS = ServicePort(53, "dns", "UDP", 5353, 30053)
SLICE_PORT = (EndpointPort(5353, "dns", "UDP"),)
GONE = "10.244.1.99"


def dns(**fields: Any) -> Service:
    return make_service("dns", **{"type": "NodePort", "ports": (DNS,), **fields})


def endpoints(*found: str | Endpoint, **fields: Any) -> EndpointSlice:
    return make_slice("dns", *found, ports=SLICE_PORT, **fields)


def graph_of(
    *objects: ClusterObject,
    config: KubeProxyConfiguration | None = None,
    node: Node | None = None,
    family: IPFamily = "IPv4",
) -> RuleGraph:
    state = ClusterState.of([*objects, node or make_node()])
    return compile_state(state, node_view(state, config, node="node-a", family=family))


def flow(
    destination: str, port: int, answers: str, answers_port: int = 5353, zone: int = 0
) -> Flow:
    """An entry of a client, whose answers come from `answers`; itself for untranslated."""
    client = "2001:db8::9" if ":" in destination else "198.51.100.9"
    return Flow(client, 40000, destination, port, answers, answers_port, client, 40000, zone)


def stale(flows: list[Flow], wanted: RuleGraph, before: RuleGraph | None = None) -> list[Flow]:
    return list(plan(flows, wanted, before).flows)


WANTED = graph_of(dns(), endpoints("10.244.1.5", "10.244.1.6"))


@pytest.mark.parametrize("before", [None, WANTED, graph_of(dns(), endpoints(GONE))])
@pytest.mark.parametrize(
    ("entry", "goes"),
    [
        pytest.param(flow("10.96.0.10", 53, "10.244.1.5"), False, id="endpoint"),
        pytest.param(flow("10.96.0.10", 53, GONE), True, id="removed-endpoint"),
        pytest.param(flow("10.96.0.10", 53, "10.244.1.5", 5300), True, id="replaced-port"),
        pytest.param(flow("10.96.0.10", 53, "10.96.0.10", 53), True, id="untranslated"),
        pytest.param(flow("10.96.0.10", 54, GONE), False, id="other-port"),
        pytest.param(flow("10.96.0.99", 53, GONE), False, id="other-address"),
        pytest.param(flow("192.0.2.10", 30053, "10.244.1.6"), False, id="node-port"),
        pytest.param(flow("192.0.2.10", 30053, GONE), True, id="node-port-removed"),
        pytest.param(flow("192.0.2.10", 30053, "192.0.2.10", 30053), True, id="node-port-first"),
        pytest.param(flow("192.0.2.10", 53, GONE), False, id="port-of-the-node"),
        pytest.param(flow("8.8.8.8", 30053, GONE), False, id="node-port-number-elsewhere"),
        pytest.param(flow(GONE, 5353, GONE), False, id="straight-to-the-pod"),
        pytest.param(flow("10.96.0.10", 53, GONE, zone=7), True, id="removed-in-a-zone"),
        pytest.param(
            flow("10.96.0.10", 53, "10.96.0.10", 53, zone=7), False, id="untranslated-in-a-zone"
        ),
    ],
)
def test_an_entry_goes_or_stays(entry: Flow, goes: bool, before: RuleGraph | None) -> None:
    """What is stale follows from the entry and the wanted graph, with an older one or without."""
    assert stale([entry], WANTED, before) == ([entry] if goes else [])


def test_a_service_that_is_gone_takes_its_own_entries() -> None:
    """Only the older graph knows whose the address was, and what it led to."""
    ours = flow("10.96.0.10", 53, "10.244.1.5")
    foreign = [flow("10.96.0.10", 53, GONE), flow("10.96.0.10", 53, "10.96.0.10", 53)]
    nothing = graph_of()
    assert stale([ours, *foreign], nothing) == []
    assert stale([ours, *foreign], nothing, WANTED) == [ours]


def test_without_endpoints_only_translated_entries_go() -> None:
    """A Service that refuses has nothing to offer to a datagram that was never translated."""
    refusing = graph_of(dns())
    translated = flow("10.96.0.10", 53, "10.244.1.5")
    assert stale([translated, flow("10.96.0.10", 53, "10.96.0.10", 53)], refusing) == [translated]


def test_another_protocol_on_the_same_port_is_another_frontend() -> None:
    """A TCP port makes no UDP frontend."""
    tcp = graph_of(make_service(), make_slice("web", "10.244.1.5"))
    assert not plan([flow("10.96.0.10", 80, GONE)], tcp, tcp)


def test_each_address_of_a_service_counts() -> None:
    """Cluster IP, external IP and load balancer address lose entries alike."""
    wanted = graph_of(
        dns(
            type="LoadBalancer",
            external_ips=("203.0.113.40",),
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        ),
        endpoints("10.244.1.5"),
    )
    addresses = ("10.96.0.10", "203.0.113.20", "203.0.113.40")
    flows = [flow(address, 53, GONE) for address in addresses]
    assert stale([*flows, *(flow(a, 53, "10.244.1.5") for a in addresses)], wanted) == flows


def test_local_traffic_policy_keeps_both_kinds_of_clients() -> None:
    """Pods and the node use every endpoint, outside clients local ones: entries to any stay."""
    wanted = graph_of(
        dns(external_traffic_policy="Local"), endpoints("10.244.1.5@node-a", "10.244.2.6@node-b")
    )
    flows = [flow("192.0.2.10", 30053, answers) for answers in ("10.244.1.5", "10.244.2.6", GONE)]
    assert stale(flows, wanted) == flows[2:]


def test_a_traffic_policy_ends_no_flow() -> None:
    """With internal policy Local a client keeps the endpoint elsewhere that it has."""
    slices = endpoints("10.244.1.5@node-a", "10.244.2.6@node-b")
    flows = [flow("10.96.0.10", 53, answers) for answers in ("10.244.1.5", "10.244.2.6", GONE)]
    untranslated = flow("10.96.0.10", 53, "10.96.0.10", 53)
    for kind in ("NodePort", "ClusterIP"):
        wanted = graph_of(dns(type=kind, internal_traffic_policy="Local"), slices)
        assert stale([*flows, untranslated], wanted) == [flows[2], untranslated]
    refusing = graph_of(dns(internal_traffic_policy="Local"), endpoints("10.244.2.6@node-b"))
    assert stale([*flows[1:], untranslated], refusing) == flows[2:]


def test_hints_end_no_flow() -> None:
    """An endpoint that is another zone's from now on keeps the clients that it has."""
    hinted = [
        Endpoint((address,), zone_hints=(zone,))
        for address, zone in (("10.244.1.5", "z1"), ("10.244.2.6", "z2"))
    ]
    wanted = graph_of(
        dns(),
        endpoints(*hinted),
        node=make_node(zone="z1"),
    )
    [fragment] = wanted
    assert fragment.unused == (("10.244.2.6", 5353),)
    flows = [flow("10.96.0.10", 53, answers) for answers in ("10.244.1.5", "10.244.2.6", GONE)]
    assert stale(flows, wanted) == flows[2:]


def test_affinity_holds_no_removed_endpoint() -> None:
    """Each endpoint is somebody's with affinity, and a removed one nobody's."""
    wanted = graph_of(dns(session_affinity="ClientIP"), endpoints("10.244.1.5", "10.244.1.6"))
    flows = [flow("10.96.0.10", 53, answers) for answers in ("10.244.1.5", "10.244.1.6", GONE)]
    assert stale(flows, wanted) == flows[2:]


@pytest.mark.parametrize("others", [(), ("10.244.1.6",)])
def test_an_endpoint_keeps_its_entries_while_it_serves(others: tuple[str, ...]) -> None:
    """Entries to an endpoint that ends stay while it serves, ready others or not, as with TCP."""
    ending = Endpoint(("10.244.1.5",), ready=False, serving=True, terminating=True)
    entry = flow("10.96.0.10", 53, "10.244.1.5")
    assert stale([entry], graph_of(dns(), endpoints(ending, *others)), WANTED) == []
    over = evolve(ending, serving=False)
    assert stale([entry], graph_of(dns(), endpoints(over, *others)), WANTED) == [entry]


def test_an_endpoint_may_be_the_address_that_was_asked() -> None:
    """Translation to the same address and port leaves an entry that looks untranslated."""
    wanted = graph_of(
        dns(ports=(ServicePort(5353, "dns", "UDP", 5353),), external_ips=("10.244.1.5",)),
        endpoints("10.244.1.5"),
    )
    assert not plan([flow("10.244.1.5", 5353, "10.244.1.5")], wanted)


def test_node_ports_answer_where_the_node_serves_them() -> None:
    """Loopback and addresses that are not chosen are no frontends, unless they are."""
    here = [flow("127.0.0.1", 30053, GONE), flow("192.0.2.11", 30053, GONE)]
    node = make_node("node-a", "192.0.2.10", "192.0.2.11")
    objects = (dns(), endpoints("10.244.1.5"))
    config = KubeProxyConfiguration(node_port_addresses=("192.0.2.10/32",))
    assert stale(here, graph_of(*objects, node=node, config=config)) == []
    local = KubeProxyConfiguration()
    local = evolve(local, iptables=evolve(local.iptables, localhost_node_ports=True))
    assert stale(here, graph_of(*objects, node=node, config=local)) == here


def test_ipv6_addresses_are_compared_as_addresses() -> None:
    """However a manifest writes an address, the kernel's entry is found."""
    wanted = graph_of(
        dns(cluster_ips=("fd00:10:96::10",), ip_families=("IPv6",)),
        make_slice("dns", "fd00:10:244::5", ports=SLICE_PORT),
        node=make_node("node-a", "2001:db8::10"),
        family="IPv6",
    )
    kept = flow("fd00:10:96::10", 53, "fd00:10:244::5")
    gone = flow("fd00:10:96::10", 53, "fd00:10:244::6")
    first = flow("2001:db8::10", 30053, "2001:db8::10", 30053)
    assert stale([gone, kept, first], wanted) == [first, gone]


def test_the_text_is_a_command_for_each_target() -> None:
    """A reader sees what goes, why, and how many entries it is; clients are not in it."""
    other = flow("10.96.0.10", 53, GONE)._replace(source_port=40001)
    found = plan(
        [
            flow("192.0.2.10", 30053, GONE),
            flow("10.96.0.10", 53, "10.96.0.10", 53),
            other,
            flow("10.96.0.10", 53, GONE),
        ],
        WANTED,
    )
    command = "conntrack -D -f ipv4 -p udp --orig-dst {} --orig-port-dst {} --reply-src {}"
    service_port = "shop/dns:dns/UDP"
    removed = f"--reply-port-src 5353 --zone 0  # {{}}: no endpoint of {service_port}"
    first = f"--reply-port-src 53 --zone 0  # 1 entry: from before {service_port} had endpoints"
    assert str(found).splitlines() == [
        f"{command.format('10.96.0.10', 53, GONE)} {removed.format('2 entries')}",
        f"{command.format('10.96.0.10', 53, '10.96.0.10')} {first}",
        f"{command.format('192.0.2.10', 30053, GONE)} {removed.format('1 entry')}",
    ]
    assert str(DeletionPlan()) == ""


def test_only_steps_of_udp_need_a_listing() -> None:
    """A step of TCP endpoints alone, and none at all, leave every UDP entry as it is."""
    web = (make_service(cluster_ip="10.96.0.20"), make_slice("web", "10.244.1.5"))
    both = graph_of(dns(), endpoints("10.244.1.5", "10.244.1.6"), *web)
    assert not touches_udp(diff(WANTED, both))
    assert not touches_udp(diff(both, both))
    assert touches_udp(diff(graph_of(), WANTED))
    assert touches_udp(diff(WANTED, graph_of()))
    assert touches_udp(diff(WANTED, graph_of(dns(), endpoints("10.244.1.5"))))
    moved = make_node("node-a", "192.0.2.10", "192.0.2.11")
    assert touches_udp(
        diff(WANTED, graph_of(dns(), endpoints("10.244.1.5", "10.244.1.6"), node=moved))
    )


SOURCES = tuple(
    product(
        (*strategies.ENDPOINTS, "198.51.100.9", "192.0.2.77", "192.0.2.10"),
        ("", "eth0", "cni0", "veth12"),
    )
)
destinations = st.tuples(
    st.sampled_from(
        (
            *(f"10.96.0.{n}" for n in (10, 11, 12)),
            *(f"203.0.113.{n}" for n in (20, 21, 22, 40, 41, 42)),
            *strategies.EXTERNAL,
            "127.0.0.1",
        )
    ),
    st.sampled_from((53, 30053, 30153, 30253)),
)


def delivered(graph: RuleGraph, destination: str, port: int) -> set[tuple[str, int]]:
    """Return every endpoint that a datagram may come to, whoever sends it."""
    return {
        (outcome.verdict.address, outcome.verdict.port)
        for source, interface in SOURCES
        for outcome in evaluate(graph, Packet(source, destination, port, "UDP", interface))
        if isinstance(outcome.verdict, Deliver)
    }


def listed(
    graph: RuleGraph, state: ClusterState, asked: tuple[str, int]
) -> dict[tuple[str, int], set[bool]]:
    """Return the endpoints that slices list behind a frontend, and whether they serve.

    Slices may disagree on that.
    """
    address, port = asked
    settings = graph.settings
    frontends = graph.frontends.get((address, "UDP", port), ())
    if settings.is_node_address(address) and settings.answers_node_ports(address):
        frontends += graph.frontends.get(("", "UDP", port), ())
    found: dict[tuple[str, int], set[bool]] = {}
    for fragment, _ in frontends:
        namespace, name, port_name, _ = fragment.name
        for item in state.slices_of(NamespacedName(namespace, name)):
            for item_port in item.ports:
                if (item_port.name, item_port.protocol) == (port_name, "UDP") and item_port.port:
                    for endpoint in item.endpoints:
                        key = (endpoint.addresses[0], item_port.port)
                        found.setdefault(key, set()).add(endpoint.serving)
    return found


@st.composite
def clusters(draw: st.DrawFn, *, guarded: bool = True) -> tuple[RuleGraph, ClusterState]:
    """Return a node's graph and state; not `guarded`, nothing looks at the client's address."""
    objects = draw(strategies.clusters)
    if not guarded:
        objects = [
            evolve(item, load_balancer_source_ranges=()) if isinstance(item, Service) else item
            for item in objects
        ]
    state = ClusterState.of([*objects, draw(strategies.nodes)])
    view = node_view(state, draw(strategies.configurations), node="node-a", family="IPv4")
    return compile_state(state, view), state


def graphs() -> st.SearchStrategy[RuleGraph]:
    return clusters().map(itemgetter(0))


@given(graphs(), st.none() | graphs(), destinations)
def test_what_the_graph_can_make_is_never_deleted(
    wanted: RuleGraph, before: RuleGraph | None, asked: tuple[str, int]
) -> None:
    """No entry of an endpoint that a new datagram could come to is in a plan."""
    flows = [flow(*asked, *endpoint) for endpoint in delivered(wanted, *asked)]
    assert not plan(flows, wanted, before)


@given(clusters(guarded=False), clusters(guarded=False), destinations)
def test_entries_go_with_their_endpoint_and_not_before(
    now: tuple[RuleGraph, ClusterState],
    then: tuple[RuleGraph, ClusterState],
    asked: tuple[str, int],
) -> None:
    """Of entries that the older graph made, those go whose endpoint does not serve any more."""
    wanted, before = now[0], then[0]
    used = delivered(wanted, *asked)
    serving = listed(wanted, now[1], asked)
    for endpoint in delivered(before, *asked):
        goes = bool(plan([flow(*asked, *endpoint)], wanted, before))
        if endpoint in used or serving.get(endpoint) == {True}:
            assert not goes
        elif True not in serving.get(endpoint, set()):
            assert goes
    untranslated = flow(*asked, *asked)
    assert stale([untranslated], wanted, before) == ([untranslated] if used else [])


@given(graphs(), graphs(), st.lists(st.tuples(destinations, destinations), max_size=6))
def test_a_plan_is_carried_out_once(
    wanted: RuleGraph,
    before: RuleGraph,
    pairs: list[tuple[tuple[str, int], tuple[str, int]]],
) -> None:
    """What a plan leaves is no other plan's, and the order of entries does not matter."""
    flows = [flow(*asked, *answers) for asked, answers in pairs]
    found = plan(flows, wanted, before)
    assert plan(reversed(flows), wanted, before) == found
    assert not plan(set(flows) - set(found.flows), wanted, before)
