"""Service (core/v1) and ServiceCIDR (networking.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily, family_of
from svcnet.labels import PROXY_NAME_LABEL

Protocol = Literal["TCP", "UDP", "SCTP"]
ServiceType = Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
TrafficPolicy = Literal["Cluster", "Local"]
IPFamilyPolicy = Literal["", "SingleStack", "PreferDualStack", "RequireDualStack"]
TrafficDistribution = Literal["", "PreferClose", "PreferSameZone", "PreferSameNode"]

PROXY_PROTOCOL = "v2"
"""The one value of the annotation for the PROXY protocol: its version."""

HEADLESS = "None"
"""The value of ``spec.clusterIP`` that asks for no virtual IP."""


@frozen(repr=False)
class ServicePort(Brief):
    """One entry of ``spec.ports``.

    ``name`` is the empty string for an unnamed port, ``node_port`` is 0 when none is
    allocated, and ``target_port`` is the number or name as written. ``app_protocol`` is
    the empty string where it is not told.
    """

    port: int
    name: str = ""
    protocol: Protocol = "TCP"
    target_port: int | str = 0
    node_port: int = 0
    app_protocol: str = ""


@frozen(repr=False)
class LoadBalancerIngress(Brief):
    """One entry of ``status.loadBalancer.ingress``; ``ip`` is empty if it is a host name.

    ``ip_mode`` is ``VIP`` or ``Proxy`` (KEP-1860); only a VIP makes rules on a node.
    """

    ip: str
    ip_mode: Literal["VIP", "Proxy"] = "VIP"


@frozen(repr=False)
class Service(Brief):
    """A Service, with the API server's defaults filled in.

    Addresses are canonical text. ``cluster_ips`` is empty for type ExternalName and
    ``("None",)`` for a headless Service. ``ip_family_policy`` is empty where nothing is
    said, which the API server takes for SingleStack but where a headless Service has no
    selector. ``load_balancer_source_ranges`` are network
    CIDRs without host bits. ``session_affinity_timeout`` is in seconds. ``allocate_node_ports``
    says whether ports of type LoadBalancer that name no node port are given one, and
    ``load_balancer_ip`` which address a load balancer is asked for.
    """

    namespace: str
    name: str
    ports: tuple[ServicePort, ...] = ()
    type: ServiceType = "ClusterIP"
    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[IPFamily, ...] = ()
    ip_family_policy: IPFamilyPolicy = ""
    external_ips: tuple[str, ...] = ()
    external_name: str = ""
    load_balancer_source_ranges: tuple[str, ...] = ()
    load_balancer_ingress: tuple[LoadBalancerIngress, ...] = ()
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_timeout: int = 10800
    internal_traffic_policy: TrafficPolicy = "Cluster"
    external_traffic_policy: TrafficPolicy = "Cluster"
    health_check_node_port: int = 0
    publish_not_ready_addresses: bool = False
    traffic_distribution: TrafficDistribution = ""
    allocate_node_ports: bool = True
    load_balancer_ip: str = ""
    selector: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)

    def cluster_ip(self, family: IPFamily) -> str:
        """Return the virtual IP of `family`, or the empty string when there is none."""
        for address in self.cluster_ips:
            if address != HEADLESS and family_of(address) == family:
                return address
        return ""

    @property
    def is_headless(self) -> bool:
        """Whether the Service asks for no virtual IP."""
        return self.cluster_ips[:1] == (HEADLESS,)

    @property
    def has_rules(self) -> bool:
        """Whether nodes make rules for the Service, in the families that it has a virtual IP of.

        Not for type ExternalName, and not where a label says that another proxy handles it.
        """
        return self.type != "ExternalName" and PROXY_NAME_LABEL not in self.labels


@frozen(repr=False)
class ServiceCIDR(Brief):
    """The ranges that virtual IPs are taken from."""

    name: str
    cidrs: tuple[str, ...] = ()
