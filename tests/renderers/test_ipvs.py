"""IPVS mode's tables: they follow from the state alone, and steps lead from one to the other."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet.compiler import compile_state, node_view, recompile
from svcnet.errors import UsageError
from svcnet.graph import diff
from svcnet.models import (
    ClusterState,
    Host,
    IPVSConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    Node,
    Service,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.renderers.iptables import full as full_iptables
from svcnet.renderers.ipvs import IPVSTables, advance, delta, document, full
from svcnet.renderers.ipvs.render import between
from svcnet.renderers.ipvs.sections import step_sections, step_text
from svcnet.renderers.ipvs.sets import MAX_ELEMENTS
from svcnet.testing import make_node, make_service, make_slice
from tests import strategies
from tests.renderers.ipvs_model import Machine, graph_of, tables_of


def entries_of(tables: IPVSTables) -> dict[str, tuple[str, ...]]:
    """Return the entries of every set that has some."""
    return {found.name: found.entries for found in tables.sets.values() if found.entries}


def servers_of(tables: IPVSTables) -> dict[str, list[str]]:
    """Return the real servers of every virtual server, all as text."""
    return {
        f"{address}:{port}/{protocol}": [
            f"{real.address}:{real.port}" for real in server.real_servers
        ]
        for (address, port, protocol), server in tables.servers.items()
    }


@st.composite
def clashing(draw: st.DrawFn) -> ClusterObject:
    """An object as any other, or a Service that shares addresses with itself and others."""
    found = draw(strategies.objects)
    if not isinstance(found, Service) or draw(st.booleans()):
        return found
    ingress = tuple(one.ip for one in found.load_balancer_ingress)
    shared = st.sampled_from([*ingress, found.cluster_ips[0], "203.0.113.7", "192.0.2.10"])
    annotations = {"svcnet.io/ipvs-scheduler": draw(st.sampled_from(["mh", "wrr"]))}
    return evolve(found, external_ips=(draw(shared),), annotations=annotations)


ipvs_configurations = st.builds(
    lambda config, ipvs: evolve(config, ipvs=ipvs),
    strategies.configurations,
    st.builds(
        IPVSConfiguration,
        scheduler=st.sampled_from(["rr", "wlc"]),
        strict_arp=st.just(True),
        tcp_timeout=st.sampled_from([900.0, 60.5]),
        udp_timeout=st.sampled_from([None, 30.0]),
    ),
)
steps = st.lists(
    st.tuples(st.lists(clashing(), max_size=4), st.lists(st.integers(0, 20), max_size=2)),
    max_size=8,
)


@settings(max_examples=150)
@given(strategies.nodes, ipvs_configurations, steps)
def test_any_history(
    node: Node,
    config: KubeProxyConfiguration,
    history: list[tuple[list[ClusterObject], list[int]]],
) -> None:
    """Steps lead where a full sync of the last state does, in tables and on a machine."""
    state = ClusterState.of([node])
    view = node_view(state, config, node="node-a")
    graph = compile_state(state, view)
    tables = full(graph)
    machine = Machine.of(tables)
    for changed, indexes in history:
        present = list(state)
        removed = [present[i % len(present)] for i in indexes if present]
        after = state.apply(changed, removed)
        touched = state.services_of([*changed, *removed])
        new, names = recompile(graph, state, after, view, touched)
        tables, change = advance(tables, diff(graph, new, names))
        machine.step(change)
        state, graph = after, new
        cold = full(compile_state(ClusterState.of(state), view))
        assert tables == cold
        assert document(tables) == document(cold)
        assert {key: tables.server(key) for key in tables.claims} == dict(cold.servers)
        assert machine == Machine.of(cold)


@settings(max_examples=100)
@given(st.lists(clashing(), max_size=12), st.randoms(use_true_random=False))
def test_order_of_objects_means_nothing(objects: list[ClusterObject], random: object) -> None:
    """The same objects in another order give the same document."""
    unique = list(ClusterState.of([*objects, make_node()]))
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    texts = {document(full(graph_of(items))) for items in (unique, shuffled, unique[::-1])}
    assert len(texts) == 1


@settings(max_examples=100)
@given(
    strategies.clusters,
    strategies.nodes,
    ipvs_configurations,
    strategies.nodes,
    ipvs_configurations,
)
def test_a_step_follows_a_change_of_settings(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    other_node: Node,
    other_config: KubeProxyConfiguration,
) -> None:
    """A step between two configurations of a node leaves what the new one's sync would."""
    old = graph_of([*objects, node], config)
    new = graph_of([*objects, other_node], other_config)
    machine = Machine.of(full(old))
    machine.step(delta(diff(old, new)))
    wanted = Machine.of(full(new))
    if not full(new).settings.ipvs.timeouts[2]:
        # Without a wish the machine's own stays: a step knows no default.
        wanted.timeouts = evolve(wanted.timeouts, udp=machine.timeouts.udp)
    assert machine == wanted


def test_public_verbs() -> None:
    """``render`` and ``render_delta`` take the mode; one that is not there is a UsageError."""
    old = graph_of([make_node(), make_service()])
    new = graph_of([make_node(), make_service(), make_slice("web", "10.244.1.5")])
    step = diff(old, new)
    assert svcnet.render(new, mode="ipvs") == full(new)
    assert svcnet.render_delta(step, mode="ipvs") == delta(step)
    assert svcnet.render(new) == svcnet.render(new, mode="iptables") == full_iptables(new)
    assert svcnet.render_delta(step).text == svcnet.render_delta(step, mode="iptables").text
    with pytest.raises(UsageError, match="there is no mode 'ebpf'"):
        svcnet.render(new, mode="ebpf")
    with pytest.raises(UsageError, match="there is no mode 'ebpf'"):
        svcnet.render_delta(step, mode="ebpf")


def test_nothing_changed() -> None:
    """A step that changes nothing is false, and empty text."""
    graph = graph_of([make_node(), make_service(), make_slice("web", "10.244.1.5")])
    step = delta(diff(graph, graph))
    assert not step
    assert step_text(step) == ""


def test_a_step_never_leaves_an_address_without_a_server() -> None:
    """What comes is in sets, rules and servers before its address; what goes, the reverse."""
    old = graph_of([make_node(), make_service("old", "10.96.0.20")])
    new = graph_of(
        [make_node(), make_service("new", "10.96.0.21"), make_slice("new", "10.244.1.5@node-a")]
    )
    sections = [found for found in step_sections(delta(diff(old, new))) if found.text]
    assert [(tool, text) for tool, text in sections if tool != "iptables"] == [
        (
            "ipset",
            (
                "add KUBE-CLUSTER-IP 10.96.0.21,tcp:80 -exist\n"
                "add KUBE-IPVS-IPS 10.96.0.21 -exist\n"
                "add KUBE-LOOP-BACK 10.244.1.5,tcp:8080,10.244.1.5 -exist\n"
            ),
        ),
        (
            "ipvsadm",
            "-A -t 10.96.0.21:80 -s rr\n-a -t 10.96.0.21:80 -r 10.244.1.5:8080 -m -w 1\n",
        ),
        (
            "ip",
            "address add 10.96.0.21/32 dev kube-ipvs0\naddress del 10.96.0.20/32 dev kube-ipvs0\n",
        ),
        ("ipvsadm", "-D -t 10.96.0.20:80\n"),
        (
            "ipset",
            "del KUBE-CLUSTER-IP 10.96.0.20,tcp:80 -exist\ndel KUBE-IPVS-IPS 10.96.0.20 -exist\n",
        ),
    ]
    assert [tool for tool, _ in sections][1] == "iptables"


def test_a_changed_server_is_never_empty() -> None:
    """New real servers come before old ones go, and the service is edited in place."""
    slices = make_slice("web", "10.244.1.5", "10.244.1.6")
    old = graph_of([make_node(), make_service(), slices])
    new = graph_of(
        [
            make_node(),
            make_service(session_affinity="ClientIP"),
            evolve(make_slice("web", "10.244.1.6", "10.244.1.7"), ipvs_weight=3),
        ]
    )
    assert step_text(delta(diff(old, new))) == (
        "# ipvsadm --restore\n"
        "-E -t 10.96.0.10:80 -s rr -p 10800\n"
        "-e -t 10.96.0.10:80 -r 10.244.1.6:8080 -m -w 3\n"
        "-a -t 10.96.0.10:80 -r 10.244.1.7:8080 -m -w 3\n"
        "-d -t 10.96.0.10:80 -r 10.244.1.5:8080\n"
    )


def test_a_step_past_a_sets_bound_makes_it_anew() -> None:
    """A set that outgrows its bound is filled under another name and takes the old one's place."""
    before, after = tables_of(), tables_of()
    definition = next(found for found in before.sets if found.name == "KUBE-CLUSTER-IP")
    many = {
        (definition, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255},tcp:80"): 1
        for n in range(MAX_ELEMENTS + 1)
    }
    after = evolve(
        after, uses=after.uses.update(many), sizes=after.sizes.set(definition, len(many))
    )
    change = between(before, after)
    (found,) = change.resized
    assert (found.name, found.max_elements) == ("KUBE-CLUSTER-IP", 2 * MAX_ELEMENTS)
    lines = step_text(change).splitlines()
    assert lines[1].startswith("create SVCNET-RESIZED hash:ip,port ")
    assert sum(line.startswith("add SVCNET-RESIZED ") for line in lines) == len(many)
    assert lines[len(many) + 2 : len(many) + 4] == [
        "swap SVCNET-RESIZED KUBE-CLUSTER-IP",
        "destroy SVCNET-RESIZED",
    ]
    assert not any("add KUBE-CLUSTER-IP" in line for line in lines)
    assert Machine.of(before).bounds["KUBE-CLUSTER-IP"] == MAX_ELEMENTS


def test_a_step_to_other_settings() -> None:
    """Kernel settings and timeouts come before all else, in one order, only where they changed."""
    ipvs = IPVSConfiguration(strict_arp=True, tcp_timeout=900.0, udp_timeout=30.0)
    assert step_text(between(tables_of(), tables_of(ipvs=ipvs))) == (
        "# sysctl -p -\n"
        "net.ipv4.conf.all.arp_announce = 2\n"
        "net.ipv4.conf.all.arp_ignore = 1\n"
        "# ipvsadm --restore\n"
        "--set 900 0 30\n"
    )
    assert not between(tables_of(ipvs=ipvs), tables_of())


def test_a_source_range_of_everything_is_no_firewall() -> None:
    """Where everybody may come, among others, no set asks who comes."""
    tables = tables_of(
        make_service(
            type="LoadBalancer",
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
            load_balancer_source_ranges=("10.0.0.0/8", "0.0.0.0/0"),
        ),
        make_slice("web", "10.244.1.5"),
    )
    entries = entries_of(tables)
    assert entries["KUBE-LOAD-BALANCER"] == ("203.0.113.20,tcp:80",)
    assert "KUBE-LOAD-BALANCER-FW" not in entries
    assert "KUBE-LOAD-BALANCER-SOURCE-CIDR" not in entries


def test_one_service_with_the_same_address_twice() -> None:
    """An external IP that is the load balancer's too is one virtual server, in both sets."""
    tables = tables_of(
        make_service(
            type="LoadBalancer",
            external_ips=("203.0.113.20",),
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        ),
        make_slice("web", "10.244.1.5"),
    )
    assert servers_of(tables) == {
        "10.96.0.10:80/TCP": ["10.244.1.5:8080"],
        "203.0.113.20:80/TCP": ["10.244.1.5:8080"],
    }
    found = entries_of(tables)
    assert found["KUBE-EXTERNAL-IP"] == found["KUBE-LOAD-BALANCER"] == ("203.0.113.20,tcp:80",)


def test_two_services_with_the_same_external_address() -> None:
    """The reference sets the virtual server once a Service, so the last one visited has it."""
    objects: list[ClusterObject] = [
        make_service("a", "10.96.0.20", external_ips=("203.0.113.7",)),
        make_slice("a", "10.244.1.5"),
        make_service("b", "10.96.0.21", external_ips=("203.0.113.7",), session_affinity="ClientIP"),
        make_slice("b", "10.244.1.6"),
    ]
    tables = tables_of(*objects)
    assert servers_of(tables)["203.0.113.7:80/TCP"] == ["10.244.1.6:8080"]
    assert entries_of(tables)["KUBE-EXTERNAL-IP"] == ("203.0.113.7,tcp:80",)
    old, new = graph_of([make_node(), *objects]), graph_of([make_node(), *objects[:2]])
    after, change = advance(full(old), diff(old, new))
    assert servers_of(after)["203.0.113.7:80/TCP"] == ["10.244.1.5:8080"]
    machine = Machine.of(full(old))
    machine.step(change)
    assert machine == Machine.of(full(new))


def test_proxied_ingress_addresses_are_not_the_nodes_business() -> None:
    """An ingress address with ipMode Proxy gets no server, no entry and no address."""
    tables = tables_of(
        make_service(
            type="LoadBalancer",
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20", "Proxy"),),
            load_balancer_source_ranges=("192.0.2.0/24",),
        ),
        make_slice("web", "10.244.1.5"),
    )
    assert list(servers_of(tables)) == ["10.96.0.10:80/TCP"]
    assert tables.addresses == ("10.96.0.10",)
    assert set(entries_of(tables)) == {"KUBE-CLUSTER-IP", "KUBE-IPVS-IPS"}


@pytest.mark.parametrize("ranges", [("127.0.0.0/8",), ("198.51.100.0/24",)])
def test_node_ports_on_no_address(ranges: tuple[str, ...]) -> None:
    """Where no address serves node ports the reference leaves a port there, health check too."""
    service = make_service(
        type="LoadBalancer",
        ports=(ServicePort(80, "http", "TCP", 8080, 30080),),
        external_traffic_policy="Local",
        health_check_node_port=32000,
    )
    tables = tables_of(service, make_slice("web", "10.244.1.5"), node_port_addresses=ranges)
    assert set(entries_of(tables)) == {"KUBE-CLUSTER-IP", "KUBE-IPVS-IPS"}
    assert list(servers_of(tables)) == ["10.96.0.10:80/TCP"]
    without = evolve(service, ports=(ServicePort(80, "http", "TCP", 8080),))
    tables = tables_of(without, make_slice("web", "10.244.1.5"), node_port_addresses=ranges)
    assert entries_of(tables)["KUBE-HEALTH-CHECK-NODE-PORT"] == ("32000",)


def test_sctp_node_port_with_chosen_addresses() -> None:
    """An SCTP node port's entries name the addresses that nodePortAddresses picks, not loopback."""
    tables = tables_of(
        make_service(
            type="NodePort",
            ports=(ServicePort(80, "http", "SCTP", 8080, 30080),),
            external_traffic_policy="Local",
        ),
        host=Host(addresses=("127.0.0.1", "192.0.2.10", "192.0.2.11", "198.51.100.1")),
        node_port_addresses=("192.0.2.0/24", "127.0.0.0/8"),
    )
    entries = ("192.0.2.10,sctp:30080", "192.0.2.11,sctp:30080")
    assert entries_of(tables)["KUBE-NODE-PORT-SCTP-HASH"] == entries
    assert entries_of(tables)["KUBE-NODE-PORT-LOCAL-SCTP-HASH"] == entries
    assert set(servers_of(tables)) == {
        "10.96.0.10:80/SCTP",
        "192.0.2.10:30080/SCTP",
        "192.0.2.11:30080/SCTP",
    }
