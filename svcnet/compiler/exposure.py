"""One service port as a fragment of the rule graph.

Source of the behaviour: ``syncProxyRules`` in pkg/proxy/iptables/proxier.go of Kubernetes
v1.36, read as decisions instead of rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern

from svcnet.addresses import contains
from svcnet.compiler.endpoints import ChosenEndpoints, PortEndpoint, choose
from svcnet.compiler.node import NodeView
from svcnet.compiler.service_ports import ServicePortSpec
from svcnet.graph import (
    Accept,
    Balance,
    Dispatch,
    Drop,
    External,
    Firewall,
    Fragment,
    LocalEndpoint,
    NodeSettings,
    Origin,
    Reject,
)
from svcnet.graph.fragment import HEALTH_CHECK, load_balancer
from svcnet.graph.nodes import Masquerade

NO_ENDPOINTS = "has no endpoints"
NO_LOCAL_ENDPOINTS = "has no local endpoints"
NOT_IN_RANGES = "does not accept this source"


def compile_service_port(spec: ServicePortSpec, view: NodeView) -> Fragment:
    """Return the fragment of one service port as one node sees it. Depends on nothing else."""
    is_exposed = spec.is_exposed
    chosen = choose(
        spec.endpoints,
        uses_cluster=spec.uses_cluster,
        uses_local=spec.uses_local,
        node=view.settings.node_name,
        zone=view.zone,
    )
    internal = _target(chosen, spec.service.policy.internal_local)
    outside = _target(chosen, spec.service.policy.external_local)
    external = _external(spec, outside) if chosen.exist and is_exposed else None
    firewall = _firewall(spec, view) if external is not None else None
    return Fragment(
        name=spec.name,
        dispatches=_dispatches(spec, view, internal, external, firewall),
        firewall=firewall,
        external=external,
        cluster=_balance(spec, "cluster", chosen.cluster),
        local=_balance(spec, "local", chosen.local),
        translates=tuple([to for to, _ in chosen.reachable]),
        refusals=_refusals(spec, internal, outside if is_exposed else "", firewall),
        health_check=_health_check(spec),
        endpoint_count=len(spec.endpoints),
        policy=spec.service.policy,
        local_endpoints=tuple(
            [
                LocalEndpoint(to.address, to.port, endpoint.ready, to.source, to.position)
                for to, endpoint in spec.endpoints
                if to.local
            ]
        ),
        field=spec.field,
        unused=_out_of_reach(spec, chosen),
    )


def _origin(spec: ServicePortSpec, field: str) -> Origin:
    return Origin("Service", spec.name.namespace, spec.name.name, field)


def _target(chosen: ChosenEndpoints, local: bool) -> str:
    """Return the node that traffic under a policy goes to."""
    if not chosen.exist:
        return "reject"
    if not local:
        return "cluster"
    return "local" if chosen.local else "drop"


def _dispatches(
    spec: ServicePortSpec,
    view: NodeView,
    internal: str,
    external: External | None,
    firewall: Firewall | None,
) -> tuple[Dispatch, ...]:
    cluster_ip = Dispatch(
        "cluster-ip",
        _origin(spec, spec.service.cluster_ip_field),
        "cluster-ip",
        spec.service.cluster_ip,
        spec.port,
        internal,
        _masquerade(view.settings),
    )
    if not spec.is_exposed:
        return (cluster_ip,)
    target = "external" if external is not None else "reject"
    guard = "firewall" if firewall is not None else target
    return (cluster_ip, *_outside_dispatches(spec, target, guard))


def _masquerade(settings: NodeSettings) -> Masquerade:
    """Return which sources get the node's address on their way to a cluster IP."""
    if settings.masquerade_all:
        return "always"
    return "never" if settings.local_detector.kind == "none" else "off-cluster"


def _outside_dispatches(spec: ServicePortSpec, target: str, guard: str) -> Iterator[Dispatch]:
    """Yield what leads to `target` from outside the cluster, and to `guard` where ranges count."""
    for address, field in spec.service.external_ips:
        name, origin = f"external-ip/{address}", _origin(spec, field)
        yield Dispatch(name, origin, "external-ip", address, spec.port, target)
    for address, field in spec.service.load_balancer_ips:
        name, origin = load_balancer(address), _origin(spec, field)
        yield Dispatch(name, origin, "load-balancer", address, spec.port, guard)
    if spec.node_port:
        origin = _origin(spec, f"{spec.field}.nodePort")
        yield Dispatch("node-port", origin, "node-port", "", spec.node_port, target)


def _external(spec: ServicePortSpec, target: str) -> External:
    return External(
        "external",
        _origin(spec, "spec.externalTrafficPolicy"),
        target=target,
        keep_source=spec.service.policy.external_local,
        cluster="cluster",
    )


def _firewall(spec: ServicePortSpec, view: NodeView) -> Firewall | None:
    """Source ranges guard load balancer addresses only, never node ports."""
    if not spec.service.load_balancer_ips or not spec.service.policy.source_ranges:
        return None
    node_is_let_in = any(
        contains(cidr, view.settings.node_ip) for cidr in spec.service.policy.source_ranges
    )
    return Firewall(
        "firewall",
        _origin(spec, "spec.loadBalancerSourceRanges"),
        ranges=spec.service.policy.source_ranges,
        own_addresses=(
            tuple(address for address, _ in spec.service.load_balancer_ips)
            if node_is_let_in
            else ()
        ),
        target="external",
        otherwise="drop-source",
    )


def _balance(
    spec: ServicePortSpec, node_id: str, endpoints: tuple[PortEndpoint, ...]
) -> Balance | None:
    if not endpoints:
        return None
    return Balance(
        node_id,
        _origin(spec, intern(f"{spec.field}.targetPort")),
        targets=tuple([to.id for to, _ in endpoints]),
        affinity=spec.service.policy.affinity,
    )


def _out_of_reach(spec: ServicePortSpec, chosen: ChosenEndpoints) -> tuple[tuple[str, int], ...]:
    """Return the endpoints that serve and are not reachable, where anybody asks: for UDP."""
    if spec.name.protocol != "UDP" or len(chosen.reachable) == len(spec.endpoints):
        return ()
    reachable = {to.id for to, _ in chosen.reachable}
    return tuple(
        [
            (to.address, to.port)
            for to, endpoint in spec.endpoints
            if endpoint.serving and to.id not in reachable
        ]
    )


def _refusals(
    spec: ServicePortSpec, internal: str, outside: str, firewall: Firewall | None
) -> tuple[Reject | Drop, ...]:
    found: list[Reject | Drop] = []
    if internal == "reject":
        found.append(Reject("reject", _origin(spec, "endpoints"), NO_ENDPOINTS))
    if "drop" in (internal, outside):
        policy = "internalTrafficPolicy" if internal == "drop" else "externalTrafficPolicy"
        found.append(Drop("drop", _origin(spec, f"spec.{policy}"), NO_LOCAL_ENDPOINTS))
    if firewall is not None:
        found.append(Drop(firewall.otherwise, firewall.origin, NOT_IN_RANGES))
    return tuple(found)


def _health_check(spec: ServicePortSpec) -> Accept | None:
    if not spec.service.health_check_node_port:
        return None
    return Accept(
        HEALTH_CHECK, _origin(spec, "spec.healthCheckNodePort"), spec.service.health_check_node_port
    )
