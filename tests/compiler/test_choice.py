"""Which endpoints a node uses, beside an independent statement of the rules of Kubernetes v1.36."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.compiler import compile_state, node_view
from svcnet.graph import Fragment
from svcnet.models import (
    ClusterState,
    Endpoint,
    EndpointSlice,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    RuleSettings,
    Service,
    ServiceCIDR,
    ServicePort,
)
from svcnet.testing import make_node, make_service, make_slice

NODE = "node-a"
ADDRESSES = tuple(f"10.244.1.{n}" for n in (5, 9, 10, 20))


def fragment_of(
    *objects: Service | EndpointSlice, zone: str = "", config: KubeProxyConfiguration | None = None
) -> Fragment | None:
    """Return what a node makes of one Service, None if it does not see it."""
    state = ClusterState.of([make_node(NODE, zone=zone), *objects])
    found = list(compile_state(state, node_view(state, config, node=NODE)))
    assert len(found) <= 1
    return found[0] if found else None


def used(*objects: Service | EndpointSlice, zone: str = "") -> tuple[set[str], set[str]]:
    """Return the addresses that traffic of policies Cluster and Local can come to."""
    fragment = fragment_of(*objects, zone=zone)
    assert fragment is not None
    cluster, local = fragment.cluster, fragment.local
    return (
        {target.rpartition(":")[0] for target in (cluster.targets if cluster else ())},
        {target.rpartition(":")[0] for target in (local.targets if local else ())},
    )


endpoints = st.builds(
    Endpoint,
    addresses=st.sampled_from(ADDRESSES).map(lambda address: (address,)),
    node_name=st.sampled_from(("", NODE, "node-b")),
    ready=st.booleans(),
    serving=st.booleans(),
    terminating=st.booleans(),
    zone_hints=st.sampled_from([(), ("z1",), ("z1",), ("z2",), ("z1", "z2")]),
    node_hints=st.sampled_from([(), (NODE,), (NODE,), ("node-b",), ("node-b", NODE)]),
)


@given(
    st.lists(st.lists(endpoints, max_size=4), max_size=3),
    st.sampled_from(("", "z1", "z3")),
    st.booleans(),
)
def test_endpoints_are_chosen_by_the_rules(
    groups: list[list[Endpoint]], zone: str, local: bool
) -> None:
    """Of each address one counts; hints narrow what is ready, and nothing else."""
    slices = [make_slice("web", *group, name=f"web-{n}") for n, group in enumerate(groups)]
    counts: dict[str, Endpoint] = {}
    for endpoint in (one for group in groups for one in group):
        (address,) = endpoint.addresses
        if not (endpoint.terminating and address in counts):
            counts[address] = endpoint
    ready = {address for address, one in counts.items() if one.ready}
    ending = {address for address, one in counts.items() if one.serving and one.terminating}
    here = {address for address, one in counts.items() if one.node_name == NODE}
    nodes = {address: counts[address].node_hints for address in ready}
    zones = {address: counts[address].zone_hints for address in ready}
    for hints, name in ((nodes, NODE), (zones, zone)):
        hinted = {address for address, names in hints.items() if name in names}
        if hinted and all(hints.values()):
            break
    else:
        hinted = ready
    policy: Any = "Local" if local else "Cluster"
    ports = (ServicePort(80, "http", target_port=8080, node_port=30080),)
    service = make_service(type="NodePort", ports=ports, external_traffic_policy=policy)
    found = used(service, *slices, zone=zone)
    assert found[0] == (hinted or ending)
    assert found[1] == ((ready & here or ending & here) if local else set())


@pytest.mark.parametrize(
    ("first", "second", "node"),
    [
        ({"node_name": "node-b"}, {"node_name": NODE}, True),
        ({"node_name": NODE}, {"node_name": "node-b"}, False),
        ({"node_name": NODE}, {"node_name": "node-b", "terminating": True}, True),
        ({"node_name": "node-b", "terminating": True}, {"node_name": NODE}, True),
        ({"node_name": NODE, "terminating": True}, {"node_name": "x", "terminating": True}, True),
    ],
)
def test_of_one_address_one_endpoint_counts(
    first: dict[str, Any], second: dict[str, Any], node: bool
) -> None:
    """The last that does not terminate, else the first, by the names of the slices."""
    slices = [
        make_slice("web", Endpoint(("10.244.1.5",), **fields), name=name)
        for name, fields in (("b", second), ("a", first))
    ]
    fragment = fragment_of(make_service(), *slices)
    assert fragment is not None
    assert [translate.local for translate in fragment.translates] == [node]


LABELS = {
    "proxy": "service.kubernetes.io/service-proxy-name",
    "headless": "service.kubernetes.io/headless",
}


@pytest.mark.parametrize(
    ("label", "of_service", "of_slice"),
    [("proxy", None, {"10.244.1.5"}), ("headless", {"10.244.1.5"}, set())],
)
def test_labels_hide_services_or_slices(
    label: str, of_service: set[str] | None, of_slice: set[str]
) -> None:
    """A label that hides a Service does not hide a slice, and the other way round."""
    labels = {LABELS[label]: ""}
    hidden = fragment_of(make_service(labels=labels), make_slice("web", "10.244.1.5"))
    assert (None if hidden is None else {t.address for t in hidden.translates}) == of_service
    assert used(make_service(), make_slice("web", "10.244.1.5", labels=labels))[0] == of_slice


@pytest.mark.parametrize(
    ("ranges", "kept"),
    [
        (("10.0.0.0/8", "fd00::/8"), ("10.0.0.0/8",)),
        (("10.0.0.0/8", "0.0.0.0/0"), ()),
        (("::/0", "10.0.0.0/8"), ("10.0.0.0/8",)),
    ],
)
def test_everybody_among_source_ranges_is_no_firewall(
    ranges: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    """A range of length 0 opens its own family, and no other."""
    fragment = fragment_of(
        make_service(
            type="LoadBalancer",
            load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
            load_balancer_source_ranges=ranges,
        ),
        make_slice("web", "10.244.1.5"),
    )
    assert fragment is not None
    assert (fragment.firewall.ranges if fragment.firewall else ()) == kept
    assert fragment.policy.source_ranges == kept


def test_external_ips_that_are_not_allowed() -> None:
    """Nothing leads to external IPs without the gate, but the Service counts as exposed."""
    config = KubeProxyConfiguration(feature_gates={"AllowServiceExternalIPs": False})
    objects = (make_service(external_ips=("203.0.113.40",)), make_slice("web", "10.244.1.5"))
    for each, frontends in ((None, 2), (config, 1)):
        fragment = fragment_of(*objects, config=each)
        assert fragment is not None
        assert fragment.external is not None
        assert len(fragment.dispatches) == frontends


def test_an_ingress_that_is_a_proxy_has_no_rules_whatever_gates_say() -> None:
    """The gate LoadBalancerIPMode is gone, and what it asked for is done."""
    config = KubeProxyConfiguration(feature_gates={"LoadBalancerIPMode": False})
    service = make_service(
        type="LoadBalancer", load_balancer_ingress=(LoadBalancerIngress("203.0.113.20", "Proxy"),)
    )
    fragment = fragment_of(service, make_slice("web", "10.244.1.5"), config=config)
    assert fragment is not None
    assert [dispatch.frontend for dispatch in fragment.dispatches] == ["cluster-ip"]


def test_the_node_is_known_by_its_bind_address() -> None:
    """Whether a source range lets the node in is asked of bindAddress, where that is set."""
    service = make_service(
        type="LoadBalancer",
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.20"),),
        load_balancer_source_ranges=("198.51.100.0/24",),
    )
    for address, let_in in (("", ()), ("198.51.100.7", ("203.0.113.20",))):
        config = KubeProxyConfiguration(bind_address=address)
        fragment = fragment_of(service, make_slice("web", "10.244.1.5"), config=config)
        assert fragment is not None
        assert fragment.firewall is not None
        assert fragment.firewall.own_addresses == let_in


def test_service_cidrs_are_for_modes_that_read_them() -> None:
    """They are settings of a family, in text order, each once; elsewhere they change nothing."""
    state = ClusterState.of(
        [
            make_node(),
            ServiceCIDR("kubernetes", ("10.96.0.0/12", "fd00:10:96::/112")),
            ServiceCIDR("more", ("10.112.0.0/16", "fd00:10:96::/112")),
        ]
    )
    assert node_view(state).settings.service_cidrs == ()
    rules = RuleSettings(reads_service_cidrs=True)
    assert node_view(state, rules=rules).settings.service_cidrs == ("10.112.0.0/16", "10.96.0.0/12")
    six = node_view(state, rules=rules, family="IPv6")
    assert six.settings.service_cidrs == ("fd00:10:96::/112",)


def test_hints_do_not_change_what_is_remembered_of_services() -> None:
    """A Service's annotations play no part in its rules."""
    objects = (
        make_slice("web", Endpoint(("10.244.1.5",), zone_hints=("z1",)), "10.244.1.9"),
        make_slice("web", Endpoint(("10.244.1.10",), zone_hints=("z2",)), name="web-2"),
    )
    plain = make_service()
    for key in ("topology-mode", "topology-aware-hints"):
        asking = evolve(plain, annotations={f"service.kubernetes.io/{key}": "Auto"})
        assert fragment_of(asking, *objects, zone="z1") == fragment_of(plain, *objects, zone="z1")
