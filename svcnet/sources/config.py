"""The two small files beside manifests: KubeProxyConfiguration and host facts."""

from __future__ import annotations

import re
from typing import Any

from svcnet import checks
from svcnet.models import (
    ConntrackConfiguration,
    DetectLocalConfiguration,
    Host,
    IPTablesConfiguration,
    IPVSConfiguration,
    KubeProxyConfiguration,
    NFTablesConfiguration,
)
from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.models.port_range import PortRange, parse_port_range
from svcnet.sources.addresses import address_and_port, canonical_cidr
from svcnet.sources.fields import Fields, is_name, shown
from svcnet.sources.services import why_no_scheduler

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
MODES = ("", "iptables", "ipvs", "nftables", "userspace")
DETECT_LOCAL = ("", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
# What the kernel allows in a name (dev_valid_name in net/core/dev.c), less what iptables
# or a shell would read as something else.
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
_DURATION = re.compile(r"(?:(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_config(document: Fields) -> KubeProxyConfiguration:
    """Return the configuration that `document` describes; fields it does not know are ignored."""
    if document.data.get("kind") != "KubeProxyConfiguration":
        document.error(checks.CONFIGURATION_KIND, "kind", "must be KubeProxyConfiguration")
    if document.data.get("apiVersion") != API_VERSION:
        document.error(checks.CONFIGURATION_KIND, "apiVersion", f"must be {API_VERSION}")
    conntrack = document.mapping("conntrack")
    return KubeProxyConfiguration(
        mode=document.choice("mode", MODES, ""),
        hostname_override=_hostname(document),
        cluster_cidrs=_cluster_cidrs(document),
        detect_local_mode=document.choice("detectLocalMode", DETECT_LOCAL, ""),
        detect_local=_detect_local(document),
        node_port_addresses=tuple(cidr for _, cidr in document.cidrs("nodePortAddresses")),
        port_range=_port_range(document),
        healthz_bind_address=_bind_address(document, "healthzBindAddress", 10256),
        metrics_bind_address=_bind_address(document, "metricsBindAddress", 10249),
        iptables=_iptables(document.mapping("iptables")),
        ipvs=_ipvs(document.mapping("ipvs")),
        nftables=_nftables(document.mapping("nftables")),
        conntrack=ConntrackConfiguration(
            max_per_core=conntrack.integer("maxPerCore", 0, 2**31 - 1, 32768),
            min=conntrack.integer("min", 0, 2**31 - 1, 131072),
            tcp_established_timeout=_seconds(conntrack, "tcpEstablishedTimeout", 86400.0),
            tcp_close_wait_timeout=_seconds(conntrack, "tcpCloseWaitTimeout", 3600.0),
            tcp_be_liberal=conntrack.boolean("tcpBeLiberal", False),
            udp_timeout=_seconds(conntrack, "udpTimeout", None),
            udp_stream_timeout=_seconds(conntrack, "udpStreamTimeout", None),
        ),
        feature_gates=_feature_gates(document),
    )


def read_host(document: Fields) -> Host:
    """Return the host facts that `document` describes; a field it does not know is an error."""
    known = ("addresses", "iptablesRandomFully", "conntrackTCPBeLiberal")
    for key in document.data:
        if key not in known:
            document.error(
                checks.HOST_FACT, str(key), f"is no host fact; known are {', '.join(known)}"
            )
    addresses = tuple(address for _, address in document.addresses("addresses"))
    return Host(
        addresses=addresses if document.data.get("addresses") is not None else None,
        iptables_random_fully=document.boolean("iptablesRandomFully", True),
        conntrack_tcp_be_liberal=document.boolean("conntrackTCPBeLiberal", False),
    )


def _hostname(document: Fields) -> str:
    """Return hostnameOverride as kube-proxy uses it: trimmed and in lower case."""
    name = document.string("hostnameOverride").strip().lower()
    if name and not is_name(name, "subdomain"):
        document.error(checks.NAME, "hostnameOverride", f"must be a node name, not {shown(name)}")
        return ""
    return name


def _cluster_cidrs(document: Fields) -> tuple[str, ...]:
    found = []
    for text in filter(None, document.string("clusterCIDR").split(",")):
        cidr = canonical_cidr(text)
        if cidr is None:
            document.error(
                checks.CIDR, "clusterCIDR", f"must be CIDRs with commas between, not {shown(text)}"
            )
        else:
            found.append(cidr)
    return tuple(found)


def _port_range(document: Fields) -> PortRange | None:
    text = document.string("portRange")
    try:
        return parse_port_range(text)
    except ValueError as error:
        document.error(checks.PORT_RANGE, "portRange", f"{error}; not {shown(text)}")
        return None


def _bind_address(document: Fields, key: str, port: int) -> tuple[str, int] | None:
    """Return an address and port; without a port it is `port`, as in kube-proxy."""
    text = document.string(key)
    try:
        return address_and_port(text, port) if text else None
    except ValueError as error:
        document.error(checks.BIND_ADDRESS, key, f"{error}, not {shown(text)}")
        return None


def _detect_local(document: Fields) -> DetectLocalConfiguration:
    detect = document.mapping("detectLocal")
    names = {}
    for key in ("bridgeInterface", "interfaceNamePrefix"):
        names[key] = detect.string(key)
        if names[key] and not _INTERFACE.fullmatch(names[key]):
            detect.error(
                checks.INTERFACE_NAME, key, f"must be an interface name, not {shown(names[key])}"
            )
        wanted = document.data.get("detectLocalMode")
        if not names[key] and wanted == key[0].upper() + key[1:]:
            detect.error(checks.REQUIRED, key, f"is required when detectLocalMode is {wanted}")
    return DetectLocalConfiguration(names["bridgeInterface"], names["interfaceNamePrefix"])


def _iptables(section: Fields) -> IPTablesConfiguration:
    return IPTablesConfiguration(
        masquerade_bit=section.integer("masqueradeBit", 0, 31, 14),
        masquerade_all=section.boolean("masqueradeAll", False),
        localhost_node_ports=section.boolean("localhostNodePorts", True),
        sync_period=_seconds(section, "syncPeriod", 30.0),
        min_sync_period=_seconds(section, "minSyncPeriod", 1.0),
    )


def _nftables(section: Fields) -> NFTablesConfiguration:
    return NFTablesConfiguration(
        masquerade_bit=section.integer("masqueradeBit", 0, 31, 14),
        masquerade_all=section.boolean("masqueradeAll", False),
        sync_period=_seconds(section, "syncPeriod", 30.0),
        min_sync_period=_seconds(section, "minSyncPeriod", 1.0),
    )


def _ipvs(section: Fields) -> IPVSConfiguration:
    return IPVSConfiguration(
        scheduler=_scheduler(section),
        strict_arp=section.boolean("strictARP", False),
        exclude_cidrs=tuple(cidr for _, cidr in section.cidrs("excludeCIDRs")),
        tcp_timeout=_seconds(section, "tcpTimeout", None),
        tcp_fin_timeout=_seconds(section, "tcpFinTimeout", None),
        udp_timeout=_seconds(section, "udpTimeout", None),
        sync_period=_seconds(section, "syncPeriod", 30.0),
        min_sync_period=_seconds(section, "minSyncPeriod", 0.0),
    )


def _scheduler(section: Fields) -> str:
    scheduler = section.string("scheduler")
    if scheduler and scheduler not in IPVS_SCHEDULERS:
        section.error(checks.CHOICE, "scheduler", why_no_scheduler(scheduler))
        return "rr"
    return scheduler or "rr"


def _feature_gates(document: Fields) -> dict[str, bool]:
    gates = document.mapping("featureGates")
    return {name: gates.boolean(name, False) for name in gates.data if isinstance(name, str)}


def _seconds(section: Fields, key: str, default: Any) -> Any:
    """Return a Go duration such as ``1m30s`` in seconds."""
    value = section.data.get(key)
    if value is None:
        return default
    if value == "0" or (type(value) is int and value == 0):
        return 0.0
    parts = _DURATION.findall(value) if type(value) is str and len(value) < 50 else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        section.error(
            checks.DURATION, key, f"must be a duration such as 30s or 1m, not {shown(value)}"
        )
        return default
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
