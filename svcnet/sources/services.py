"""Service and ServiceCIDR documents to models.

Source of the rules: ``ValidateServiceCreate`` and ``ValidateLoadBalancerStatus`` in
pkg/apis/core/validation, ``ValidateServiceCIDR`` in pkg/apis/networking/validation, the defaults in
pkg/apis/core/v1/defaults.go, and what pkg/registry/core/service/storage makes of the families and
of clusterIPs; Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svcnet import checks
from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.labels import (
    HINTS_ANNOTATION,
    OLD_HINTS_ANNOTATION,
    PROXY_PROTOCOL_ANNOTATION,
    SCHEDULER_ANNOTATION,
)
from svcnet.models import LoadBalancerIngress, Service, ServiceCIDR, ServicePort
from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.models.service import (
    HEADLESS,
    PROXY_PROTOCOL,
    IPFamilyPolicy,
    TrafficDistribution,
)
from svcnet.sources.addresses import canonical_address, canonical_cidr, why_no_endpoint
from svcnet.sources.fields import MAX_INT32, MIN_INT32, NAMES, Fields, is_name, quote_value
from svcnet.sources.labels import LABEL_KEY, is_label_key
from svcnet.sources.metadata import read_annotations, read_labels
from svcnet.sources.stream import SPACES

PROTOCOLS = ("TCP", "UDP", "SCTP")
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
POLICIES = ("Cluster", "Local")
FAMILY_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
DUAL_STACK = FAMILY_POLICIES[1:]
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
AFFINITY_TIMEOUT = 10800
DAY = 86400


def read_service(document: Fields, namespace: str, name: str) -> Service:
    """Return the Service that `document` describes; what is wrong becomes a finding."""
    metadata, spec = document.mapping("metadata"), document.mapping("spec")
    annotations = read_annotations(metadata)
    if annotations:
        annotations = _checked_annotations(metadata, annotations)
    kind = spec.choice("type", TYPES, "ClusterIP")
    cluster_ips = _cluster_ips(spec, kind)
    families = _families(spec, kind, cluster_ips)
    headless = cluster_ips[:1] == (HEADLESS,)
    plain = kind != "ExternalName" and _SELDOM.isdisjoint(spec.data)
    return Service(
        namespace=namespace,
        name=name,
        ports=_ports(spec, kind, headless=headless),
        type=kind,
        cluster_ips=cluster_ips,
        ip_families=families,
        ip_family_policy=_family_policy(spec, kind, families, headless=headless),
        load_balancer_ingress=_ingress(document),
        session_affinity=spec.choice("sessionAffinity", ("None", "ClientIP"), "None"),
        internal_traffic_policy=spec.choice(
            "internalTrafficPolicy", POLICIES, "Cluster", empty=False
        ),
        **({} if plain else _seldom(spec, kind)),
        selector=read_labels(spec, "selector"),
        labels=read_labels(metadata),
        annotations=annotations,
    )


# All that :func:`_seldom` looks at.
_SELDOM = frozenset(
    (
        "allocateLoadBalancerNodePorts",
        "externalIPs",
        "externalName",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "publishNotReadyAddresses",
        "sessionAffinityConfig",
        "trafficDistribution",
    )
)


def _seldom(spec: Fields, kind: str) -> dict[str, Any]:
    """Return what most Services leave at the default: a type's other than ExternalName has one."""
    policy = _external_policy(spec, kind)
    return {
        "external_ips": _external_ips(spec),
        "external_name": _external_name(spec, kind),
        "load_balancer_source_ranges": _source_ranges(spec, kind),
        "session_affinity_timeout": _affinity_timeout(spec),
        "external_traffic_policy": policy,
        "health_check_node_port": _health_check_node_port(spec, kind, policy),
        "publish_not_ready_addresses": spec.boolean("publishNotReadyAddresses", False),
        "traffic_distribution": _traffic_distribution(spec),
        # Nobody checks it, and a cloud may do without.
        "load_balancer_ip": canonical_address(spec.string("loadBalancerIP")) or "",
        "allocate_node_ports": _allocates_node_ports(spec, kind),
    }


def _checked_annotations(metadata: Fields, annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Return the annotations but for wrong ones of svcnet's own, which mean nothing."""
    scheduler = annotations.get(SCHEDULER_ANNOTATION, "")
    version = annotations.get(PROXY_PROTOCOL_ANNOTATION, PROXY_PROTOCOL)
    wrong = {}
    if scheduler and scheduler not in IPVS_SCHEDULERS:
        wrong[SCHEDULER_ANNOTATION] = why_no_scheduler(scheduler)
    if version != PROXY_PROTOCOL:
        wrong[PROXY_PROTOCOL_ANNOTATION] = f"must be {PROXY_PROTOCOL}, not {quote_value(version)}"
    for key, message in wrong.items():
        metadata.warning_at(checks.ANNOTATION, ("annotations", key), f"{message}: it has no effect")
    hints = annotations.get(OLD_HINTS_ANNOTATION)
    if hints is not None and annotations.get(HINTS_ANNOTATION, hints) != hints:
        message = f"must be as that of {OLD_HINTS_ANNOTATION}, {quote_value(hints)}"
        metadata.error_at(checks.TOPOLOGY_ANNOTATIONS, ("annotations", HINTS_ANNOTATION), message)
    return {key: text for key, text in annotations.items() if key not in wrong}


def why_no_scheduler(name: str) -> str:
    """Return what to say of a scheduler that IPVS does not have."""
    return f"must be an IPVS scheduler: {', '.join(IPVS_SCHEDULERS)}; not {quote_value(name)}"


def read_service_cidr(document: Fields, name: str) -> ServiceCIDR:
    """Return the ServiceCIDR that `document` describes; servers never took another form."""
    spec = document.mapping("spec")
    if spec.data.get("cidrs") in (None, []):
        spec.error(checks.REQUIRED, "cidrs", "is required: at least one CIDR")
    kept = []
    for index, text in spec.strings("cidrs"):
        canonical = canonical_cidr(text)
        if canonical != text:
            wanted = canonical or "a CIDR such as 10.96.0.0/12"
            message = f"must be {wanted}, not {quote_value(text)}"
            spec.error_at(checks.CIDR, ("cidrs", index), message)
        else:
            kept.append(text)
    if len({family_of(text) for text in kept}) < len(kept):
        spec.error(checks.IP_FAMILY, "cidrs", "may hold at most one CIDR of each IP family")
    return ServiceCIDR(name, tuple(kept))


def _ports(spec: Fields, kind: str, *, headless: bool) -> tuple[ServicePort, ...]:
    listed = spec.items("ports")
    if not listed:
        if kind != "ExternalName" and not headless and not spec.data.get("ports"):
            spec.error(checks.REQUIRED, "ports", "is required: at least one port")
        return ()
    if len(listed) == 1:
        return tuple([_port(port, kind, several=False) for port in spec.mappings("ports")])
    names: dict[str, int] = {}
    numbers: dict[tuple[str, int], int] = {}
    node_ports: dict[tuple[str, int], int] = {}
    found = []
    for index, port in enumerate(spec.mappings("ports")):
        read = _port(port, kind, several=True)
        found.append(read)
        _unique(port, "name", read.name, names, index)
        if read.port:
            _unique(port, "port", (read.protocol, read.port), numbers, index)
        if read.node_port:
            _unique(port, "nodePort", (read.protocol, read.node_port), node_ports, index)
    return tuple(found)


def _unique(port: Fields, key: str, value: Any, seen: dict[Any, int], index: int) -> None:
    if value in seen and value != "":
        what = value if isinstance(value, str) else f"{value[0]} {value[1]}"
        port.error(checks.REPEATED_MEMBER, key, f"{what} is that of ports[{seen[value]}] too")
    seen.setdefault(value, index)


def _port(port: Fields, kind: str, *, several: bool) -> ServicePort:
    name = port.optional_name("name", "label")
    if several and not name and not port.data.get("name"):
        port.error(checks.REQUIRED, "name", "is required when a Service has several ports")
    number = read_port_number(port, "port")
    return ServicePort(
        port=number,
        name=name,
        protocol=port.choice("protocol", PROTOCOLS, "TCP"),
        target_port=_target_port(port, number),
        node_port=_node_port(port, kind),
        app_protocol=read_app_protocol(port),
    )


def read_port_number(port: Fields, key: str) -> int:
    """Return the number of a port that must have one."""
    if port.data.get(key) is None:
        port.error(checks.REQUIRED, key, "is required")
    return port.integer(key, 1, 65535)


def _node_port(port: Fields, kind: str) -> int:
    """Return the node port; the API server takes one of an ExternalName, and gives it to nobody."""
    number = port.integer("nodePort", 0, 65535)
    if number and kind == "ClusterIP":
        port.error(checks.NODE_PORT_TYPE, "nodePort", f"may not be used when spec.type is {kind}")
    return number if kind != "ExternalName" else 0


def read_app_protocol(port: Fields) -> str:
    """Return the ``appProtocol`` of a port of a Service, a slice or Endpoints."""
    if port.data.get("appProtocol") is None:
        return ""
    text = port.string("appProtocol")
    if type(port.data["appProtocol"]) is str and not is_label_key(text):
        port.error(checks.LABEL, "appProtocol", f"{LABEL_KEY}; not {quote_value(text)}")
        return ""
    return text


def _target_port(port: Fields, number: int) -> int | str:
    value = port.data.get("targetPort")
    if value is None or value == "" or (type(value) in (int, float) and not value):
        return number
    if type(value) is str:
        return port.optional_name("targetPort", "port")
    return port.integer("targetPort", 1, 65535, number)


def _cluster_ips(spec: Fields, kind: str) -> tuple[str, ...]:
    single = spec.string("clusterIP")
    several = [text for _, text in spec.strings("clusterIPs")]
    if kind == "ExternalName":
        for key, given in (("clusterIP", single), ("clusterIPs", several)):
            if given:
                message = "may not be set when spec.type is ExternalName"
                spec.error(checks.CLUSTER_IP_TYPE, key, message)
        return ()
    if several and not single:
        spec.error(checks.CLUSTER_IPS, "clusterIPs", "may not be given without spec.clusterIP")
    elif several and several[0] != single:
        message = f"must begin with spec.clusterIP, {quote_value(single)}"
        spec.error(checks.CLUSTER_IPS, "clusterIPs", message)
    if HEADLESS in (single, *several[:1]):
        if kind in ("NodePort", "LoadBalancer"):
            message = f"may not be None when spec.type is {kind}"
            spec.error(checks.CLUSTER_IP_TYPE, "clusterIP", message)
        if len(several) > 1:
            spec.error(checks.CLUSTER_IPS, "clusterIPs", "may hold nothing beside None")
        return (HEADLESS,)
    if not several or several[0] != single:
        address = spec.address("clusterIP")
        return (address,) if address else ()
    found = _canonical(spec, several)
    if len(several) > 2 or len({family_of(text) for text in found}) < len(found):
        spec.error(checks.IP_FAMILY, "clusterIPs", "may hold at most one address of each IP family")
    return tuple(found)


def _canonical(spec: Fields, cluster_ips: Sequence[str]) -> list[str]:
    """Return the members of ``clusterIPs``; the first of them is ``clusterIP`` too."""
    found = []
    for index, text in enumerate(cluster_ips):
        address = canonical_address(text)
        if address is None:
            path = ("clusterIPs", index) if index else ("clusterIP",)
            spec.error_at(checks.ADDRESS, path, f"must be an IP address, not {quote_value(text)}")
        else:
            found.append(address)
    return found


def _families(spec: Fields, kind: str, cluster_ips: tuple[str, ...]) -> tuple[IPFamily, ...]:
    of_addresses = tuple(family_of(text) for text in cluster_ips if text != HEADLESS)
    named: list[IPFamily] = []
    for index, text in spec.strings("ipFamilies"):
        where = ("ipFamilies", index)
        if text not in IP_FAMILIES:
            spec.error_at(checks.CHOICE, where, f"must be IPv4 or IPv6, not {quote_value(text)}")
        elif text in named:
            spec.error_at(checks.REPEATED_MEMBER, where, f"{text} is named twice")
        else:
            named.append("IPv4" if text == "IPv4" else "IPv6")
    if kind == "ExternalName":
        _forbid(spec, "ipFamilies", kind)
        return ()
    for index, (family, wanted) in enumerate(zip(of_addresses, named, strict=False)):
        if family != wanted:
            path = ("clusterIPs", index) if index else ("clusterIP",)
            message = f"{cluster_ips[index]} is {family}, but spec.ipFamilies[{index}] is {wanted}"
            spec.error_at(checks.IP_FAMILIES, path, message)
    if not named and len(of_addresses) == 1 and spec.data.get("ipFamilyPolicy") in DUAL_STACK:
        return ()  # Whether there is another one is for the cluster to say.
    return tuple(named) or of_addresses


def _forbid(spec: Fields, key: str, kind: str) -> None:
    """Tell of a field that a Service of such a type may not have."""
    if spec.data.get(key):
        spec.error(checks.MISPLACED_FIELD, key, f"may not be set when spec.type is {kind}")


def _family_policy(
    spec: Fields, kind: str, families: tuple[IPFamily, ...], *, headless: bool
) -> IPFamilyPolicy:
    """Return ``ipFamilyPolicy``; without it only what selects nothing may have both families."""
    policy: IPFamilyPolicy = spec.choice("ipFamilyPolicy", FAMILY_POLICIES, "", empty=False)
    if kind == "ExternalName":
        _forbid(spec, "ipFamilyPolicy", kind)
        return ""
    alone = headless and not policy and not spec.data.get("selector")
    if len(set(families)) > 1 and not alone and policy not in DUAL_STACK:
        message = "must be PreferDualStack or RequireDualStack where there are two IP families"
        spec.error(checks.FAMILY_POLICY, "ipFamilyPolicy", message)
    return policy


def _external_ips(spec: Fields) -> tuple[str, ...]:
    kept = []
    for index, address in spec.addresses("externalIPs"):
        reason = why_no_endpoint(address)
        if reason:
            spec.error_at(checks.SPECIAL_ADDRESS, ("externalIPs", index), f"{address} {reason}")
        kept.append(address)
    return tuple(kept)


def _allocates_node_ports(spec: Fields, kind: str) -> bool:
    key = "allocateLoadBalancerNodePorts"
    if kind != "LoadBalancer" and spec.data.get(key) is not None:
        spec.error(checks.MISPLACED_FIELD, key, f"may not be set when spec.type is {kind}")
    return spec.boolean(key, True)


def _external_name(spec: Fields, kind: str) -> str:
    name = spec.string("externalName")
    if kind != "ExternalName":
        return ""
    if not name.removesuffix("."):
        spec.error(checks.REQUIRED, "externalName", "is required when spec.type is ExternalName")
    elif not is_name(name.removesuffix("."), "subdomain"):
        spec.error(checks.NAME, "externalName", f"{NAMES['subdomain']}; not {quote_value(name)}")
        return ""
    return name


def _source_ranges(spec: Fields, kind: str) -> tuple[str, ...]:
    key = "loadBalancerSourceRanges"
    if kind != "LoadBalancer":
        _forbid(spec, key, kind)
    kept = []
    for index, text in spec.strings(key):
        cidr = canonical_cidr(text.strip(SPACES))
        if cidr is None:
            message = f"must be a CIDR such as 10.0.0.0/8, not {quote_value(text)}"
            spec.error_at(checks.CIDR, (key, index), message)
        else:
            kept.append(cidr)
    return tuple(kept)


def _ingress(document: Fields) -> tuple[LoadBalancerIngress, ...]:
    if document.data.get("status") in (None, {}, {"loadBalancer": {}}):
        return ()
    balancer = document.mapping("status").mapping("loadBalancer")
    found = []
    for ingress in balancer.mappings("ingress"):
        address = ingress.address("ip")
        mode = ingress.choice("ipMode", ("VIP", "Proxy"), "VIP", empty=False)
        if not ingress.data.get("ip") and ingress.data.get("ipMode"):
            ingress.error(checks.MISPLACED_FIELD, "ipMode", "may not be set without ip")
        found.append(LoadBalancerIngress(address, mode))
    return tuple(found)


def _affinity_timeout(spec: Fields) -> int:
    if spec.data.get("sessionAffinityConfig") is None:
        return AFFINITY_TIMEOUT
    client = spec.mapping("sessionAffinityConfig").mapping("clientIP")
    if spec.data.get("sessionAffinity") == "ClientIP":
        return client.integer("timeoutSeconds", 1, DAY, AFFINITY_TIMEOUT)
    # Without affinity the API server drops the configuration, whatever number it has.
    client.integer("timeoutSeconds", MIN_INT32, MAX_INT32)
    return AFFINITY_TIMEOUT


def _external_policy(spec: Fields, kind: str) -> Any:
    policy = spec.choice("externalTrafficPolicy", POLICIES, "Cluster")
    exposed = kind in ("NodePort", "LoadBalancer") or (
        kind == "ClusterIP" and spec.data.get("externalIPs")
    )
    if spec.data.get("externalTrafficPolicy") and not exposed:
        message = "means nothing: the Service is not reached from outside"
        spec.error(checks.MISPLACED_FIELD, "externalTrafficPolicy", message)
    return policy


def _health_check_node_port(spec: Fields, kind: str, policy: str) -> int:
    number = spec.integer("healthCheckNodePort", 0, 65535)
    if number and (kind, policy) != ("LoadBalancer", "Local"):
        message = "has no effect but for spec.type LoadBalancer with externalTrafficPolicy Local"
        spec.warning(checks.UNUSED_FIELD, "healthCheckNodePort", message)
        return 0
    return number


def _traffic_distribution(spec: Fields) -> TrafficDistribution:
    distribution: TrafficDistribution = spec.choice(
        "trafficDistribution", DISTRIBUTIONS, "", empty=False
    )
    return distribution
