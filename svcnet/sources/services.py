"""Service and ServiceCIDR documents to models.

Source of the rules: ``ValidateService`` in pkg/apis/core/validation and the defaults in
pkg/apis/core/v1/defaults.go, Kubernetes v1.30.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svcnet import checks
from svcnet.models import LoadBalancerIngress, Service, ServiceCIDR, ServicePort
from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.models.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models.service import (
    HEADLESS,
    PROXY_PROTOCOL,
    PROXY_PROTOCOL_ANNOTATION,
    SCHEDULER_ANNOTATION,
)
from svcnet.sources.addresses import why_not_external
from svcnet.sources.fields import NAMES, Fields, is_name, shown
from svcnet.sources.labels import LABEL_KEY, is_label_key

PROTOCOLS = ("TCP", "UDP", "SCTP")
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")
FAMILY_POLICIES = ("", "SingleStack", "PreferDualStack", "RequireDualStack")
DUAL_STACK = ("PreferDualStack", "RequireDualStack")
DISTRIBUTIONS = ("", "PreferClose", "PreferSameZone", "PreferSameNode")
DAY = 86400


def read_service(document: Fields, namespace: str, name: str) -> Service:
    """Return the Service that `document` describes; what is wrong becomes a finding."""
    metadata, spec = document.mapping("metadata"), document.mapping("spec")
    annotations = metadata.string_map("annotations")
    if annotations:
        _check_annotations(metadata, annotations)
    kind = spec.choice("type", TYPES, "ClusterIP")
    cluster_ips = _cluster_ips(spec, kind)
    return Service(
        namespace=namespace,
        name=name,
        ports=_ports(spec, kind, headless=cluster_ips[:1] == (HEADLESS,)),
        type=kind,
        cluster_ips=cluster_ips,
        ip_families=_families(spec, cluster_ips),
        ip_family_policy=spec.choice("ipFamilyPolicy", FAMILY_POLICIES, ""),
        external_ips=_external_ips(spec),
        external_name=_external_name(spec, kind),
        load_balancer_source_ranges=_source_ranges(spec),
        load_balancer_ingress=_ingress(document),
        session_affinity=spec.choice("sessionAffinity", ("None", "ClientIP"), "None"),
        session_affinity_timeout=_affinity_timeout(spec),
        internal_traffic_policy=spec.choice("internalTrafficPolicy", POLICIES, "Cluster"),
        external_traffic_policy=_external_policy(spec, kind),
        health_check_node_port=spec.integer("healthCheckNodePort", 0, 65535),
        publish_not_ready_addresses=spec.boolean("publishNotReadyAddresses", False),
        traffic_distribution=spec.choice("trafficDistribution", DISTRIBUTIONS, ""),
        selector=spec.string_map("selector"),
        labels=metadata.string_map("labels"),
        annotations=annotations,
    )


def _check_annotations(metadata: Fields, annotations: Mapping[str, str]) -> None:
    scheduler = annotations.get(SCHEDULER_ANNOTATION, "")
    if scheduler and scheduler not in IPVS_SCHEDULERS:
        metadata.error_at(
            checks.ANNOTATION, ("annotations", SCHEDULER_ANNOTATION), why_no_scheduler(scheduler)
        )
    version = annotations.get(PROXY_PROTOCOL_ANNOTATION, PROXY_PROTOCOL)
    if version != PROXY_PROTOCOL:
        where = ("annotations", PROXY_PROTOCOL_ANNOTATION)
        metadata.error_at(
            checks.ANNOTATION, where, f"must be {PROXY_PROTOCOL}, not {shown(version)}"
        )


def why_no_scheduler(name: str) -> str:
    """Return what to say of a scheduler that IPVS does not have."""
    return f"must be an IPVS scheduler: {', '.join(IPVS_SCHEDULERS)}; not {shown(name)}"


def read_service_cidr(document: Fields, name: str) -> ServiceCIDR:
    """Return the ServiceCIDR that `document` describes."""
    cidrs = document.mapping("spec").cidrs("cidrs")
    return ServiceCIDR(name, tuple(cidr for _, cidr in cidrs))


def _ports(spec: Fields, kind: str, *, headless: bool) -> tuple[ServicePort, ...]:
    listed = spec.items("ports")
    if not listed:
        if kind != "ExternalName" and not headless and not spec.data.get("ports"):
            spec.error(checks.REQUIRED, "ports", "is required: at least one port")
        return ()
    several = len(listed) > 1
    names: dict[str, int] = {}
    numbers: dict[tuple[str, int], int] = {}
    node_ports: dict[tuple[str, int], int] = {}
    found = []
    for index, port in enumerate(spec.mappings("ports")):
        read = _port(port, kind, several)
        _unique(port, "name", read.name, names, index)
        if read.port:
            _unique(port, "port", (read.protocol, read.port), numbers, index)
        if read.node_port:
            _unique(port, "nodePort", (read.protocol, read.node_port), node_ports, index)
        found.append(read)
    return tuple(found)


def _unique(port: Fields, key: str, value: Any, seen: dict[Any, int], index: int) -> None:
    if value in seen and value != "":
        what = value if isinstance(value, str) else f"{value[0]} {value[1]}"
        port.error(checks.REPEATED_MEMBER, key, f"{what} is that of ports[{seen[value]}] too")
    seen.setdefault(value, index)


def _port(port: Fields, kind: str, several: bool) -> ServicePort:
    if "port" not in port.data or port.data["port"] is None:
        port.error(checks.REQUIRED, "port", "is required")
    name = port.string("name")
    if name and not is_name(name, "label"):
        port.error(checks.NAME, "name", f"{NAMES['label']}; not {shown(name)}")
        name = ""
    elif several and not name:
        port.error(checks.REQUIRED, "name", "is required when a Service has several ports")
    node_port = port.integer("nodePort", 0, 65535)
    if node_port and kind in ("ClusterIP", "ExternalName"):
        port.error(checks.NODE_PORT_TYPE, "nodePort", f"may not be used when spec.type is {kind}")
    number = port.integer("port", 1, 65535)
    return ServicePort(
        port=number,
        name=name,
        protocol=port.choice("protocol", PROTOCOLS, "TCP"),
        target_port=_target_port(port, number),
        node_port=node_port,
        app_protocol=read_app_protocol(port),
    )


def read_app_protocol(port: Fields) -> str:
    """Return the ``appProtocol`` of a port of a Service, a slice or Endpoints."""
    text = port.string("appProtocol")
    if port.data.get("appProtocol") is not None and not is_label_key(text):
        port.error(checks.NAME, "appProtocol", f"{LABEL_KEY}; not {shown(text)}")
        return ""
    return text


def _target_port(port: Fields, number: int) -> int | str:
    value = port.data.get("targetPort")
    if value is None or (type(value) in (int, str) and not value):
        return number
    if type(value) is str:
        if len(value) > 15 or not is_name(value, "label") or not any(map(str.isalpha, value)):
            message = f"must be a port number or an IANA service name; not {shown(value)}"
            port.error(checks.PORT_NAME, "targetPort", message)
        return value
    return port.integer("targetPort", 1, 65535, number)


def _cluster_ips(spec: Fields, kind: str) -> tuple[str, ...]:
    single = spec.string("clusterIP")
    several = spec.items("clusterIPs")
    if kind == "ExternalName":
        for key in ("clusterIP", "clusterIPs"):
            if spec.data.get(key):
                spec.error(
                    checks.CLUSTER_IP_TYPE, key, "may not be set when spec.type is ExternalName"
                )
        return ()
    if HEADLESS in (single, *several[:1]):
        if kind in ("NodePort", "LoadBalancer"):
            spec.error(
                checks.CLUSTER_IP_TYPE, "clusterIP", f"may not be None when spec.type is {kind}"
            )
        if len(several) > 1 or (single and several and [single] != several):
            spec.error(checks.CLUSTER_IPS, "clusterIPs", "may hold nothing beside None")
        return (HEADLESS,)
    if not several:
        address = spec.address("clusterIP")
        return (address,) if address else ()
    found = spec.addresses("clusterIPs")
    address = spec.address("clusterIP") if single else ""
    if address and found and found[0][1] != address:
        spec.error(checks.CLUSTER_IPS, "clusterIPs", f"must begin with spec.clusterIP, {address}")
    if len(several) > 2 or len({family_of(text) for _, text in found}) < len(found):
        spec.error(checks.IP_FAMILY, "clusterIPs", "may hold at most one address of each IP family")
    return tuple(text for _, text in found)


def _families(spec: Fields, cluster_ips: tuple[str, ...]) -> tuple[IPFamily, ...]:
    of_addresses = tuple(family_of(text) for text in cluster_ips if text != HEADLESS)
    named: list[IPFamily] = []
    for index, text in spec.strings("ipFamilies"):
        if text not in IP_FAMILIES:
            spec.error_at(
                checks.CHOICE, ("ipFamilies", index), f"must be IPv4 or IPv6, not {shown(text)}"
            )
        elif text in named:
            spec.error_at(checks.REPEATED_MEMBER, ("ipFamilies", index), f"{text} is named twice")
        else:
            named.append("IPv4" if text == "IPv4" else "IPv6")
    for index, (family, wanted) in enumerate(zip(of_addresses, named, strict=False)):
        if family != wanted:
            path = ("clusterIPs", index) if spec.data.get("clusterIPs") else ("clusterIP",)
            message = f"{cluster_ips[index]} is {family}, but spec.ipFamilies[{index}] is {wanted}"
            spec.error_at(checks.IP_FAMILIES, path, message)
    if not named and len(of_addresses) == 1 and spec.data.get("ipFamilyPolicy") in DUAL_STACK:
        return ()  # Whether there is another one is for the cluster to say.
    return tuple(named) or of_addresses


def _external_ips(spec: Fields) -> tuple[str, ...]:
    kept = []
    for index, address in spec.addresses("externalIPs"):
        reason = why_not_external(address)
        if reason:
            spec.error_at(checks.SPECIAL_ADDRESS, ("externalIPs", index), f"{address} {reason}")
        kept.append(address)
    return tuple(kept)


def _external_name(spec: Fields, kind: str) -> str:
    name = spec.string("externalName")
    if kind != "ExternalName":
        return ""
    if not name:
        spec.error(checks.REQUIRED, "externalName", "is required when spec.type is ExternalName")
    elif not (name.isascii() and is_name(name.lower().removesuffix("."), "subdomain")):
        spec.error(checks.NAME, "externalName", f"{NAMES['subdomain']}; not {shown(name)}")
        return ""
    return name


def _source_ranges(spec: Fields) -> tuple[str, ...]:
    return tuple(cidr for _, cidr in spec.cidrs("loadBalancerSourceRanges"))


def _ingress(document: Fields) -> tuple[LoadBalancerIngress, ...]:
    balancer = document.mapping("status").mapping("loadBalancer")
    found = []
    for ingress in balancer.mappings("ingress"):
        address = ingress.address("ip")
        mode = ingress.choice("ipMode", ("VIP", "Proxy"), "VIP")
        found.append(LoadBalancerIngress(address, mode))
    return tuple(found)


def _affinity_timeout(spec: Fields) -> int:
    config = spec.mapping("sessionAffinityConfig")
    # Without affinity the API server drops the configuration unread.
    if not config.data or spec.data.get("sessionAffinity") != "ClientIP":
        return 10800
    return config.mapping("clientIP").integer("timeoutSeconds", 1, DAY, 10800)


def _external_policy(spec: Fields, kind: str) -> Any:
    policy = spec.choice("externalTrafficPolicy", POLICIES, "Cluster")
    exposed = kind in ("NodePort", "LoadBalancer") or spec.data.get("externalIPs")
    if spec.data.get("externalTrafficPolicy") and not exposed:
        message = "means nothing: the Service is not reached from outside"
        spec.warning(checks.UNUSED_POLICY, "externalTrafficPolicy", message)
    return policy
