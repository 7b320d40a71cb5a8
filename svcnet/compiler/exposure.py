"""One service port as a fragment of the rule graph.

Source of the behaviour: ``syncProxyRules`` in pkg/proxy/iptables/proxier.go of Kubernetes
v1.36, read as decisions instead of rules.
"""

from __future__ import annotations

from svcnet.compiler.endpoints import TEXT, ChosenEndpoints, PortEndpoint, choose
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
    Origin,
    Policy,
    Reject,
    Translate,
)
from svcnet.graph.fragment import HEALTH_CHECK, load_balancer
from svcnet.graph.nodes import Masquerade
from svcnet.graph.settings import contains

NO_ENDPOINTS = "has no endpoints"
NO_LOCAL_ENDPOINTS = "has no local endpoints"
NOT_IN_RANGES = "does not accept this source"

_NO_WISHES = Policy()


def compile_service_port(spec: ServicePortSpec, view: NodeView) -> Fragment:
    """Return the fragment of one service port as one node sees it. Depends on nothing else."""
    chosen = choose(
        spec.endpoints,
        uses_cluster=spec.uses_cluster,
        uses_local=spec.uses_local,
        node=view.settings.node_name,
        zone=view.zone,
    )
    internal = _target(chosen, spec.internal_local)
    outside = _target(chosen, spec.external_local)
    external = _external(spec, outside) if chosen.exist and spec.is_exposed else None
    firewall = _firewall(spec, view) if external is not None else None
    return Fragment(
        name=spec.name,
        dispatches=_dispatches(spec, view, internal, external, firewall),
        firewall=firewall,
        external=external,
        cluster=_balance(spec, "cluster", chosen.cluster),
        local=_balance(spec, "local", chosen.local),
        translates=_translates(chosen.reachable),
        refusals=_refusals(spec, internal, outside if spec.is_exposed else "", firewall),
        health_check=_health_check(spec),
        endpoint_count=len(spec.endpoints),
        policy=_policy(spec),
        local_endpoints=tuple(
            [
                LocalEndpoint(address, port, ready, source, position)
                for _, address, port, local, ready, _, _, _, source, position in spec.endpoints
                if local
            ]
        ),
        field=spec.port_field,
        unused=_out_of_reach(spec, chosen),
    )


def _policy(spec: ServicePortSpec) -> Policy:
    wishes = (
        spec.affinity,
        spec.external_local,
        spec.source_ranges,
        spec.scheduler,
        spec.internal_local,
        spec.proxy_protocol,
        spec.source_fields,
    )
    return Policy(*wishes) if any(wishes) else _NO_WISHES


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
    settings = view.settings
    masquerade: Masquerade = "never"
    if settings.masquerade_all:
        masquerade = "always"
    elif settings.local_detector.kind != "none":
        masquerade = "off-cluster"
    found = [
        Dispatch(
            "cluster-ip",
            _origin(spec, spec.cluster_ip_field),
            "cluster-ip",
            spec.cluster_ip,
            spec.port,
            internal,
            masquerade,
        )
    ]
    if not spec.is_exposed:
        return tuple(found)
    target = "external" if external is not None else "reject"
    for address, field in spec.external_ips:
        found.append(
            Dispatch(
                f"external-ip/{address}",
                _origin(spec, field),
                "external-ip",
                address,
                spec.port,
                target,
            )
        )
    for address, field in spec.load_balancer_ips:
        found.append(
            Dispatch(
                load_balancer(address),
                _origin(spec, field),
                "load-balancer",
                address,
                spec.port,
                "firewall" if firewall is not None else target,
            )
        )
    if spec.node_port:
        found.append(
            Dispatch(
                "node-port",
                _origin(spec, f"{spec.port_field}.nodePort"),
                "node-port",
                "",
                spec.node_port,
                target,
            )
        )
    return tuple(found)


def _external(spec: ServicePortSpec, target: str) -> External:
    return External(
        "external",
        _origin(spec, "spec.externalTrafficPolicy"),
        target=target,
        keep_source=spec.external_local,
        cluster="cluster",
    )


def _firewall(spec: ServicePortSpec, view: NodeView) -> Firewall | None:
    """Source ranges guard load balancer addresses only, never node ports."""
    if not spec.load_balancer_ips or not spec.source_ranges:
        return None
    node_is_let_in = any(contains(cidr, view.settings.node_ip) for cidr in spec.source_ranges)
    return Firewall(
        "firewall",
        _origin(spec, "spec.loadBalancerSourceRanges"),
        ranges=spec.source_ranges,
        own_addresses=(
            tuple(address for address, _ in spec.load_balancer_ips) if node_is_let_in else ()
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
        _origin(spec, f"{spec.port_field}.targetPort"),
        targets=tuple(map(TEXT, endpoints)),
        affinity=spec.affinity,
    )


def _translates(endpoints: tuple[PortEndpoint, ...]) -> tuple[Translate, ...]:
    return tuple(
        [
            Translate(text, source, position, address, port, local, weight)
            for text, address, port, local, _, _, _, weight, source, position in endpoints
        ]
    )


def _out_of_reach(spec: ServicePortSpec, chosen: ChosenEndpoints) -> tuple[tuple[str, int], ...]:
    """Return the endpoints that serve and are not reachable, where anybody asks: for UDP."""
    if spec.name.protocol != "UDP" or len(chosen.reachable) == len(spec.endpoints):
        return ()
    reachable = set(map(TEXT, chosen.reachable))
    return tuple(
        [
            (address, port)
            for text, address, port, *_, endpoint, _, _, _ in spec.endpoints
            if endpoint.serving and text not in reachable
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
    if not spec.health_check_node_port:
        return None
    return Accept(
        HEALTH_CHECK, _origin(spec, "spec.healthCheckNodePort"), spec.health_check_node_port
    )
