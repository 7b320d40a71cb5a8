"""Which service ports a node makes rules for, and what each comes to in one IP family.

Source: pkg/proxy/serviceport.go and pkg/proxy/util/utils.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

from svcnet.compiler.endpoints import PortEndpoint, collect
from svcnet.compiler.node import NodeView
from svcnet.compiler.provenance import source_in
from svcnet.family import family_of
from svcnet.graph import FragmentName, Policy
from svcnet.labels import PROXY_PROTOCOL_ANNOTATION, SCHEDULER_ANNOTATION
from svcnet.models import (
    ClusterState,
    IPFamily,
    NamespacedName,
    Service,
)
from svcnet.models.service import PROXY_PROTOCOL

_NO_WISHES = Policy()


class ServiceFacts(NamedTuple):
    """What all ports of a Service have in common, in one family.

    ``external_ips`` and ``load_balancer_ips`` are pairs of an address and its place in the
    Service. ``health_check_node_port`` is 0 when there is none. ``has_addresses`` says whether the
    Service asks for more than its cluster IP.
    """

    cluster_ip: str
    cluster_ip_field: str
    external_ips: tuple[tuple[str, str], ...]
    load_balancer_ips: tuple[tuple[str, str], ...]
    health_check_node_port: int
    has_addresses: bool
    policy: Policy


class ServicePortSpec(NamedTuple):
    """One service port in one family: all that its rules depend on besides the node.

    ``field`` is the port's place in the Service, ``node_port`` 0 when there is none.
    """

    name: FragmentName
    service: ServiceFacts
    port: int
    node_port: int
    field: str
    endpoints: tuple[PortEndpoint, ...]

    @property
    def is_exposed(self) -> bool:
        """Whether more than the cluster IP leads to this port."""
        return self.service.has_addresses or self.node_port > 0

    @property
    def uses_cluster(self) -> bool:
        """Whether endpoints of policy Cluster are used; local traffic may need them."""
        return not self.service.policy.internal_local or self.is_exposed

    @property
    def uses_local(self) -> bool:
        """Whether endpoints of policy Local are used."""
        policy = self.service.policy
        return policy.internal_local or (policy.external_local and self.is_exposed)


def service_ports(
    state: ClusterState, name: NamespacedName, view: NodeView
) -> Iterator[ServicePortSpec]:
    """Yield what each port of the Service called `name` comes to; nothing if it is skipped.

    Skipped are Services without a cluster IP of the family, of type ExternalName, and
    those whose labels say that another proxy handles them.
    """
    service = state.services.get(name)
    if service is None or not service.has_rules:
        return
    cluster_ip = "" if service.is_headless else service.cluster_ip(view.family)
    if not cluster_ip:
        return
    facts = _service_facts(service, cluster_ip, view)
    slices = [each for each in state.slices_of(name) if each.is_seen]
    source_of, node_name = source_in(state, name), view.settings.node_name
    for index, port in enumerate(service.ports):
        endpoints = collect(slices, port.name, port.protocol, view.family, node_name, source_of)
        fragment_name = FragmentName(service.namespace, service.name, port.name, port.protocol)
        field = intern(f"spec.ports[{index}]")
        yield ServicePortSpec(fragment_name, facts, port.port, port.node_port, field, endpoints)


def _service_facts(service: Service, cluster_ip: str, view: NodeView) -> ServiceFacts:
    family = view.family
    external_local = service.external_traffic_policy == "Local" and (
        service.type != "ClusterIP" or bool(service.external_ips)
    )
    # Most Services have none of these.
    external_ips = _external_ips(service, family) if service.external_ips else ()
    load_balancer_ips = _load_balancer_ips(service, family) if service.load_balancer_ingress else ()
    source_ranges, source_fields = (
        _source_ranges(service, family) if service.load_balancer_source_ranges else ((), ())
    )
    wishes = (
        service.session_affinity_timeout if service.session_affinity == "ClientIP" else 0,
        external_local,
        source_ranges,
        service.annotations.get(SCHEDULER_ANNOTATION, ""),
        service.internal_traffic_policy == "Local",
        service.annotations.get(PROXY_PROTOCOL_ANNOTATION) == PROXY_PROTOCOL,
        source_fields,
    )
    return ServiceFacts(
        cluster_ip=cluster_ip,
        cluster_ip_field=intern(f"spec.clusterIPs[{service.cluster_ips.index(cluster_ip)}]"),
        external_ips=external_ips if view.allows_external_ips else (),
        load_balancer_ips=load_balancer_ips,
        health_check_node_port=(
            service.health_check_node_port
            if service.type == "LoadBalancer" and external_local
            else 0
        ),
        # Also of external IPs that are not allowed: so is kube-proxy's ExternallyAccessible.
        has_addresses=bool(external_ips or load_balancer_ips),
        policy=Policy(*wishes) if any(wishes) else _NO_WISHES,
    )


def _external_ips(service: Service, family: IPFamily) -> tuple[tuple[str, str], ...]:
    return tuple(
        [
            (address, f"spec.externalIPs[{i}]")
            for i, address in enumerate(service.external_ips)
            if family_of(address) == family
        ]
    )


def _load_balancer_ips(service: Service, family: IPFamily) -> tuple[tuple[str, str], ...]:
    return tuple(
        [
            (ingress.ip, f"status.loadBalancer.ingress[{i}].ip")
            for i, ingress in enumerate(service.load_balancer_ingress)
            if ingress.ip and ingress.ip_mode == "VIP" and family_of(ingress.ip) == family
        ]
    )


def _source_ranges(service: Service, family: IPFamily) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ranges of a family, with their places; none where one of them is everybody."""
    found = [
        (cidr, f"spec.loadBalancerSourceRanges[{i}]")
        for i, cidr in enumerate(service.load_balancer_source_ranges)
        if family_of(cidr) == family
    ]
    if any(cidr.endswith("/0") for cidr, _ in found):
        return (), ()
    return tuple([cidr for cidr, _ in found]), tuple([field for _, field in found])
