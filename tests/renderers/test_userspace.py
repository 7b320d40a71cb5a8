"""The proxy table: listeners by policy, backends, proxy ports, and steps between tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view, recompile
from svcnet.errors import Unsupported
from svcnet.graph import FragmentName, diff
from svcnet.models import (
    ClusterState,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.renderers.userspace import (
    PortChoice,
    ProxyTable,
    advance,
    full,
    portal_rules,
)
from svcnet.renderers.userspace.ports import choose
from svcnet.renderers.userspace.table import Listener, ListenerName, ProxiedPort
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies

HTTP = (ServicePort(80, "http", "TCP", 8080, 30080),)


def table_of(*objects: ClusterObject, **config: object) -> ProxyTable:
    """Return the table of a few objects on node-a, 192.0.2.10."""
    state = ClusterState.of([make_node(), *objects])
    view = node_view(state, KubeProxyConfiguration(**config), node="node-a")  # type: ignore[arg-type]
    return full(compile_state(state, view))


def port_of(*objects: ClusterObject) -> ProxiedPort:
    """Return the only service port of a few objects."""
    (found,) = table_of(*objects)
    return found


def exposed(**fields: Any) -> Service:
    """Return a Service with a cluster IP, an external IP, a load balancer and a node port."""
    return make_service(
        type="LoadBalancer",
        ports=HTTP,
        external_ips=("203.0.113.7",),
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        **fields,
    )


CLUSTER = ("cluster", "cluster")
RANGES: dict[str, Any] = {"load_balancer_source_ranges": ("198.51.100.0/24",)}
WISHES: tuple[tuple[dict[str, Any], tuple[tuple[str, str], ...]], ...] = (
    ({}, (CLUSTER, CLUSTER, CLUSTER, CLUSTER)),
    ({"internal_traffic_policy": "Local"}, (("local", "local"), CLUSTER, CLUSTER, CLUSTER)),
    ({"external_traffic_policy": "Local"}, (CLUSTER, *[("local", "cluster")] * 3)),
    (
        {"internal_traffic_policy": "Local", "external_traffic_policy": "Local"},
        (("local", "local"), *[("local", "cluster")] * 3),
    ),
    (RANGES, (CLUSTER, CLUSTER, ("firewall-cluster", "firewall-cluster"), CLUSTER)),
    (
        {"external_traffic_policy": "Local", **RANGES},
        (
            CLUSTER,
            ("local", "cluster"),
            ("firewall-local", "firewall-cluster"),
            ("local", "cluster"),
        ),
    ),
)
ENDPOINTS = {
    "none": (),
    "elsewhere": ("10.244.2.6@node-b",),
    "here and elsewhere": ("10.244.1.5@node-a", "10.244.2.6@node-b"),
}


@pytest.mark.parametrize("endpoints", ENDPOINTS.values(), ids=ENDPOINTS)
@pytest.mark.parametrize(("wishes", "roles"), WISHES)
def test_roles(
    wishes: dict[str, object], roles: tuple[tuple[str, str], ...], endpoints: tuple[str, ...]
) -> None:
    """Each address leads to listeners by what the Service asks for, whatever endpoints it has."""
    found = port_of(exposed(**wishes), make_slice("web", *endpoints))
    assert [(portal.frontend, portal.address, portal.port) for portal in found.portals] == [
        ("cluster-ip", "10.96.0.10", 80),
        ("external-ip", "203.0.113.7", 80),
        ("load-balancer", "203.0.113.20", 80),
        ("node-port", "", 30080),
    ]
    assert tuple((portal.role, portal.near) for portal in found.portals) == roles
    used = {role for pair in roles for role in pair}
    order = ("cluster", "local", "firewall-cluster", "firewall-local")
    assert [one.role for one in found.listeners] == [role for role in order if role in used]


def test_answers() -> None:
    """A listener serves what its policy allows, drops what only others could, refuses the rest."""
    service = exposed(external_traffic_policy="Local")
    found = {}
    for name, endpoints in ENDPOINTS.items():
        listeners = port_of(service, make_slice("web", *endpoints)).listeners
        found[name] = [(one.role, one.answer, [*map(str, one.backends)]) for one in listeners]
    assert found == {
        "none": [("cluster", "refuse", []), ("local", "refuse", [])],
        "elsewhere": [("cluster", "serve", ["10.244.2.6:8080"]), ("local", "drop", [])],
        "here and elsewhere": [
            ("cluster", "serve", ["10.244.1.5:8080", "10.244.2.6:8080"]),
            ("local", "serve", ["10.244.1.5:8080"]),
        ],
    }


def test_sources() -> None:
    """A firewall lets in its ranges, merged, and its own address where it lets in the node."""
    slices = make_slice("web", "10.244.2.6@node-b")
    near = {"load_balancer_source_ranges": ("198.51.100.0/25", "192.0.2.0/24", "198.51.100.128/25")}
    found = {one.role: one for one in port_of(exposed(**near), slices).listeners}
    assert found["firewall-cluster"].sources == (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.20/32",
    )
    assert found["cluster"].sources == ()
    far = {one.role: one for one in port_of(exposed(**RANGES), slices).listeners}
    assert far["firewall-cluster"].sources == ("198.51.100.0/24",)
    empty = {one.role: one for one in port_of(exposed(**near)).listeners}
    assert empty["firewall-cluster"] == Listener("firewall-cluster", "refuse")


def test_any_number_of_source_ranges() -> None:
    """However many ranges there are, each that does not merge with another is a source."""
    ranges = tuple(f"198.{18 + (n >> 8)}.{n & 255}.0/26" for n in range(3000))
    service = exposed(load_balancer_source_ranges=ranges)
    found = {one.role: one for one in port_of(service, make_slice("web", "10.244.1.5")).listeners}
    assert found["firewall-cluster"].sources == ranges


def test_source_ranges_without_a_load_balancer() -> None:
    """Source ranges guard load balancer addresses only: without one there is no firewall."""
    found = port_of(make_service(**RANGES), make_slice("web", "10.244.1.5"))
    assert [one.role for one in found.listeners] == ["cluster"]


def test_ipv6() -> None:
    """Backends have canonical addresses, and a firewall's own address is a /128."""
    service = make_service(
        cluster_ip="fd00:96::10",
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress("2001:db8::20"),),
        load_balancer_source_ranges=("fd00::/16",),
    )
    slices = make_slice("web", "FD00:244:0::5", "fd00:244::9")
    node = make_node("node-a", "fd00::10")
    state = ClusterState.of([node, service, slices])
    table = full(compile_state(state, node_view(state, node="node-a")))
    (found,) = table
    assert table.family == "IPv6"
    assert [*map(str, found.listeners[0].backends)] == ["[fd00:244::5]:8080", "[fd00:244::9]:8080"]
    assert found.listeners[1].sources == ("2001:db8::20/128", "fd00::/16")


def test_a_service_ports_own_wishes() -> None:
    """Affinity, the PROXY protocol and the health check are those of the Service."""
    found = port_of(
        exposed(
            session_affinity="ClientIP",
            session_affinity_timeout=60,
            external_traffic_policy="Local",
            health_check_node_port=32000,
            annotations={"svcnet.io/proxy-protocol": "v2"},
        )
    )
    assert (found.affinity, found.proxy_protocol, found.health_check) == (60, True, 32000)
    plain = port_of(make_service())
    assert (plain.affinity, plain.proxy_protocol, plain.health_check) == (0, False, 0)


def test_sctp_is_unsupported() -> None:
    """An SCTP port is named with its field, and the Service's other ports are carried."""
    ports = (*HTTP, ServicePort(9, "sctp", "SCTP"))
    table = table_of(make_service(ports=ports))
    assert [str(name) for name in table.services] == ["shop/web:http/TCP"]
    (trouble,) = table.unsupported
    assert str(trouble) == (
        "Service shop/web: spec.ports[1].protocol: "
        "port 9 is SCTP, and the userspace proxy carries TCP and UDP"
    )


steps = st.lists(
    st.tuples(st.lists(strategies.objects, max_size=4), st.lists(st.integers(0, 20), max_size=2)),
    max_size=8,
)
choices = st.sampled_from([PortChoice(), PortChoice(40000, 40031, "a"), PortChoice(seed="b")])


@settings(max_examples=150)
@given(strategies.nodes, strategies.configurations, steps, choices)
def test_any_history(
    node: Node,
    config: KubeProxyConfiguration,
    history: list[tuple[list[ClusterObject], list[int]]],
    choice: PortChoice,
) -> None:
    """Steps lead to the table of the last state, ports and all, even from a proxy's own ports."""
    state = ClusterState.of([node])
    view = node_view(state, config, node="node-a")
    graph = compile_state(state, view)
    table = full(graph, choice)
    for changed, indexes in history:
        present = list(state)
        removed = [present[i % len(present)] for i in indexes if present]
        after = state.apply(changed, removed)
        new, names = recompile(graph, state, after, view, state.services_of([*changed, *removed]))
        own = table.with_ports(dict.fromkeys(table.ports, 1))
        table = advance(own, diff(graph, new, names))
        state, graph = after, new
        cold = full(compile_state(ClusterState.of(state), view), choice)
        assert table == cold
        assert portal_rules(table) == portal_rules(cold)


@given(strategies.clusters, strategies.nodes, strategies.configurations, st.randoms())
def test_order_of_objects_means_nothing(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, random: object
) -> None:
    """The same objects in another order give the same table and the same rules."""
    unique = list(ClusterState.of([*objects, node]))
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = []
    for items in (unique, shuffled, unique[::-1]):
        state = ClusterState.of(items)
        found.append(full(compile_state(state, node_view(state, config, node="node-a"))))
    assert found[0] == found[1] == found[2]
    assert portal_rules(found[0]) == portal_rules(found[1]) == portal_rules(found[2])


@given(strategies.clusters, strategies.nodes, strategies.configurations, strategies.configurations)
def test_a_step_follows_a_change_of_settings(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    other: KubeProxyConfiguration,
) -> None:
    """A table advanced over a change of the node's configuration is that of the new one."""
    state = ClusterState.of([*objects, node])
    old, new = (
        compile_state(state, node_view(state, one, node="node-a")) for one in (config, other)
    )
    assert advance(full(old), diff(old, new)) == full(new)


def names_of(count: int) -> list[ListenerName]:
    """Return the names of so many listeners."""
    return [
        ListenerName(FragmentName("shop", f"web-{n}", "http", "TCP"), "cluster")
        for n in range(count)
    ]


@given(st.lists(st.integers(0, 40), max_size=80), st.integers(1, 20), st.integers(41, 60))
def test_ports_depend_on_the_names_only(toggled: list[int], first: int, size: int) -> None:
    """However names came and went, each has the port that it gets when all ask at once."""
    choice = PortChoice(first, first + size - 1, "seed")
    pool = names_of(41)
    ports, holders = choose(choice, ())
    present: set[ListenerName] = set()
    for index in toggled:
        name = pool[index]
        gone, come = ([name], []) if name in present else ([], [name])
        ports, holders = choose(choice, come, gone, ports, holders)
        present ^= {name}
    assert (ports, holders) == choose(choice, sorted(present))
    assert {port: name for name, port in ports.items()} == dict(holders)
    assert set(ports) == present
    assert all(first <= port < first + size for port in holders)


def test_ports_fill_the_range() -> None:
    """A range of just enough ports is enough; one too few is an error that says how many."""
    names = names_of(10)
    ports, _ = choose(PortChoice(40000, 40009), names)
    assert sorted(ports.values()) == [*range(40000, 40010)]
    with pytest.raises(Unsupported, match="needs 10 ports, and the range 40000-40008 has only 9"):
        choose(PortChoice(40000, 40008), names)


def test_ports_are_stable() -> None:
    """A port follows from name, role and seed alone, in golden files and for ever."""
    name = FragmentName("shop", "web", "http", "TCP")
    cluster, local = ListenerName(name, "cluster"), ListenerName(name, "local")
    udp = ListenerName(name._replace(protocol="UDP"), "cluster")
    found = [choose(PortChoice(), [one])[0][one] for one in (cluster, local, udp)]
    assert found == [48588, 36794, 33261]
    assert choose(PortChoice(seed="another"), [cluster])[0][cluster] == 35588
