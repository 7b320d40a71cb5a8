"""Health checks and counts of rule graphs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import RuleGraph, diff
from svcnet.models import (
    ClusterState,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    Host,
    IPFamily,
    KubeProxyConfiguration,
    Service,
    ServicePort,
)
from svcnet.models.service import TrafficPolicy
from svcnet.renderers.monitoring import (
    HealthCheck,
    Summary,
    advance,
    full,
    health_check_addresses,
    health_checks,
)
from svcnet.testing import make_node, make_service, make_slice
from tests.test_conformance import EXPECTED_IPVS, SECOND_IPVS, case_id, compile_case, family_of_file

LOCAL = make_service(
    type="LoadBalancer", external_traffic_policy="Local", health_check_node_port=32000
)
# Namespace, name, whether its policies are Local, ports, health-check port, nodes of endpoints.
Drawn = tuple[str, str, bool, int, int, list[str]]
SERVICES: st.SearchStrategy[Drawn] = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from("cd"),
    st.booleans(),
    st.integers(1, 2),
    st.sampled_from([32000, 32001]),
    st.lists(st.sampled_from(["node-a", "node-b"]), max_size=2),
)
CONFIG = KubeProxyConfiguration(hostname_override="node-a")


def graph_of(
    *objects: Service | EndpointSlice,
    family: IPFamily = "IPv4",
    config: KubeProxyConfiguration = CONFIG,
) -> RuleGraph:
    state = ClusterState.of([make_node("node-a", "192.0.2.10", "2001:db8::10"), *objects])
    host = Host(addresses=("192.0.2.10", "2001:db8::10"))
    return compile_state(state, node_view(state, config, host, family=family))


def checks_of(*objects: Service | EndpointSlice) -> tuple[HealthCheck, ...]:
    return health_checks([full(graph_of(*objects))])


@pytest.mark.parametrize("expected", EXPECTED_IPVS, ids=case_id)
def test_health_checks_are_the_references(expected: Path) -> None:
    """Ports, Services and counts are those of kube-proxy, in every case."""
    graph = compile_case(expected.parent, family_of_file(expected))
    assert as_reference([graph]) == json.loads(expected.read_text())["healthChecks"]


@pytest.mark.parametrize("expected", SECOND_IPVS, ids=case_id)
def test_health_checks_after_a_change_are_the_references(expected: Path) -> None:
    """After a change they are kube-proxy's as well."""
    graph = compile_case(expected.parent, family_of_file(expected), "objects.second.yaml")
    assert as_reference([graph]) == json.loads(expected.read_text())["healthChecks"]


def as_reference(graphs: list[RuleGraph]) -> list[dict[str, object]]:
    return [
        {
            "service": f"{check.namespace}/{check.name}",
            "port": check.port,
            "localEndpoints": check.local_endpoints,
        }
        for check in health_checks(map(full, graphs))
    ]


def test_only_ready_endpoints_here_count() -> None:
    """Endpoints of other nodes do not count, nor those that are not ready or terminate."""
    ends = (
        Endpoint(("10.244.1.1",), node_name="node-a"),
        Endpoint(("10.244.1.2",), node_name="node-a"),
        Endpoint(("10.244.1.3",), node_name="node-a", ready=False),
        Endpoint(("10.244.1.4",), node_name="node-a", ready=False, serving=True, terminating=True),
        Endpoint(("10.244.2.5",), node_name="node-b"),
    )
    assert checks_of(LOCAL, make_slice("web", *ends)) == (
        HealthCheck("shop", "web", 32000, "IPv4", 2),
    )


def test_without_endpoints_the_port_is_there() -> None:
    """A Service without endpoints has its port, with a count of 0."""
    assert checks_of(LOCAL) == (HealthCheck("shop", "web", 32000, "IPv4", 0),)


def test_an_endpoint_counts_once_whatever_the_ports() -> None:
    """Two ports of a Service lead to the same Pods, which count once; other Pods count too."""
    ports = (ServicePort(80, "http", target_port=8080), ServicePort(443, "tls", target_port=8443))
    service = evolve(LOCAL, ports=ports)
    both = (EndpointPort(8080, "http"), EndpointPort(8443, "tls"))
    one = (EndpointPort(8443, "tls"),)
    found = checks_of(
        service,
        make_slice("web", "10.244.1.1@node-a", "10.244.1.2@node-a", ports=both),
        make_slice("web", "10.244.1.3@node-a", ports=one, name="web-2"),
    )
    assert found == (HealthCheck("shop", "web", 32000, "IPv4", 3),)


def test_each_family_counts_its_own() -> None:
    """A Service with both families is answered for in each, with what is ready there."""
    service = evolve(
        LOCAL, cluster_ips=("10.96.0.10", "fd00:10:96::10"), ip_families=("IPv4", "IPv6")
    )
    objects = (
        service,
        make_slice("web", "10.244.1.1@node-a", "10.244.1.2@node-a"),
        make_slice("web", "fd00:10:244:1::1@node-a", name="web-6"),
    )
    told = [full(graph_of(*objects)), full(graph_of(*objects, family="IPv6"))]
    assert health_checks(told) == (
        HealthCheck("shop", "web", 32000, "IPv4", 2),
        HealthCheck("shop", "web", 32000, "IPv6", 1),
    )
    assert [sizes(summary) for summary in told] == [(1, 1, 2), (1, 1, 1)]


def sizes(summary: Summary) -> tuple[int, int, int]:
    return len(summary.services), summary.service_ports, summary.endpoints


def test_checks_are_in_the_order_of_names() -> None:
    """The table is ordered by namespace and name."""
    services = [
        evolve(LOCAL, namespace=namespace, name=name, health_check_node_port=port)
        for namespace, name, port in (("b", "a", 32002), ("a", "b", 32003), ("a", "a", 32004))
    ]
    assert [(check.namespace, check.name) for check in checks_of(*services)] == [
        ("a", "a"),
        ("a", "b"),
        ("b", "a"),
    ]


def test_services_that_drop_their_traffic_are_counted() -> None:
    """A Service whose endpoints are all elsewhere counts, by the policy that drops."""
    elsewhere = ("10.244.2.5@node-b",)
    inner = make_service("inner", "10.96.0.11", internal_traffic_policy="Local")
    outer = evolve(LOCAL, external_ips=("203.0.113.40",))
    fine = make_service("fine", "10.96.0.12", internal_traffic_policy="Local")
    empty = make_service("empty", "10.96.0.13", internal_traffic_policy="Local")
    graph = graph_of(
        *(outer, inner, fine, empty),
        make_slice("web", *elsewhere),
        make_slice("inner", *elsewhere),
        make_slice("fine", "10.244.1.1@node-a"),
    )
    summary = full(graph)
    assert sizes(summary) == (4, 4, 3)
    assert set(summary.internal) == {("shop", "inner")}
    assert set(summary.external) == {("shop", "web")}


@given(st.lists(st.lists(SERVICES, max_size=4, unique_by=lambda one: one[:2]), max_size=5))
def test_a_summary_follows_changes(states: list[list[Drawn]]) -> None:
    """Whatever changes, what follows is what one makes anew; and nothing is left at the end."""
    graph = graph_of()
    summary = full(graph)
    for state in [*states, []]:
        after = graph_of(*(made for drawn in state for made in objects_of(drawn)))
        summary = advance(summary, diff(graph, after))
        assert summary == full(after)
        graph = after
    assert summary == full(graph_of())


def objects_of(drawn: Drawn) -> tuple[Service, EndpointSlice]:
    namespace, name, local, ports, port, places = drawn
    policy: TrafficPolicy = "Local" if local else "Cluster"
    service = make_service(
        name,
        namespace=namespace,
        type="LoadBalancer",
        ports=tuple(ServicePort(80 + n, f"p{n}", target_port=8080 + n) for n in range(ports)),
        external_ips=("203.0.113.40",),
        internal_traffic_policy=policy,
        external_traffic_policy=policy,
        health_check_node_port=port,
    )
    ends = [f"10.244.1.{n}@{place}" for n, place in enumerate(places)]
    served = tuple(EndpointPort(8080 + n, f"p{n}") for n in range(ports))
    return service, make_slice(name, *ends, namespace=namespace, ports=served)


@pytest.mark.parametrize(
    ("cidrs", "addresses"),
    [
        ((), (("0.0.0.0",), ("::",))),
        (("192.0.2.0/24",), (("192.0.2.10",), ("::",))),
        (("192.0.2.0/24", "2001:db8::/64"), (("192.0.2.10",), ("2001:db8::10",))),
    ],
)
def test_addresses_are_those_of_node_ports(
    cidrs: tuple[str, ...], addresses: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    """nodePortAddresses of one family leave the other family as it is: all addresses."""
    config = evolve(CONFIG, node_port_addresses=cidrs)
    told = [full(graph_of(LOCAL, family=family, config=config)) for family in ("IPv4", "IPv6")]
    assert health_check_addresses(told) == dict(zip(("IPv4", "IPv6"), addresses, strict=True))
