"""A KubeProxyConfiguration, completed and checked as kube-proxy does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from svcnet import checks
from svcnet.models import (
    ConntrackConfiguration,
    DetectLocalConfiguration,
    IPTablesConfiguration,
    IPVSConfiguration,
    KubeProxyConfiguration,
    NFTablesConfiguration,
)
from svcnet.models.config import IPVS_SCHEDULERS, PRIMARY
from svcnet.models.port_range import PortRange, parse_port_range
from svcnet.sources.config.effects import tell_effects
from svcnet.sources.config.gates import check_gates
from svcnet.sources.config.rest import check_rest
from svcnet.sources.config.values import (
    bind_address,
    cidrs,
    int32,
    node_address,
    pair_of_cidrs,
    periods,
    seconds,
)
from svcnet.sources.fields import MAX_INT32, Fields, is_name, quote_value
from svcnet.sources.services import why_no_scheduler
from svcnet.sources.unknown import report_unknown

KIND = "KubeProxyConfiguration"
API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
MODES = ("", "iptables", "ipvs", "nftables", "userspace")
DETECT_LOCAL = ("", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
# What the kernel allows in a name (dev_valid_name in net/core/dev.c), less what iptables
# or a shell would read as something else.
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
# In rules a "+" follows it, and iptables takes 15 characters in all.
_PREFIX = re.compile(r"[A-Za-z0-9_.@-]{1,14}")


def read_config(document: Fields, mode: str = "") -> KubeProxyConfiguration:
    """Return the configuration that `document` describes.

    Of the sections for one mode that of `mode` counts, or if it is empty that of the document's
    own; what is in the others must be of the right types.
    """
    if document.data.get("kind") != KIND:
        document.error(checks.CONFIGURATION_KIND, "kind", f"must be {KIND}")
    if document.data.get("apiVersion") != API_VERSION:
        document.error(checks.CONFIGURATION_KIND, "apiVersion", f"must be {API_VERSION}")
    report_unknown(KIND, [(document.place, dict(document.data))], document.findings)
    own: Any = document.choice("mode", MODES, "")
    mode = mode or own or "iptables"
    detect_local_mode = document.choice("detectLocalMode", DETECT_LOCAL, "")
    gates = _feature_gates(document)
    check_rest(document, gates)
    tell_effects(document, mode, detect_local_mode or "ClusterCIDR")
    return KubeProxyConfiguration(
        mode=own,
        hostname_override=_hostname(document),
        bind_address=node_address(document, "bindAddress"),
        cluster_cidrs=pair_of_cidrs(
            document, "clusterCIDR", counts=detect_local_mode in ("", "ClusterCIDR")
        ),
        detect_local_mode=detect_local_mode,
        detect_local=_detect_local(document, detect_local_mode),
        node_port_addresses=_node_port_addresses(document),
        port_range=_port_range(document),
        healthz_bind_address=bind_address(document, "healthzBindAddress", 10256),
        metrics_bind_address=bind_address(document, "metricsBindAddress", 10249),
        iptables=_iptables(document.mapping("iptables"), counts=mode in ("iptables", "userspace")),
        ipvs=_ipvs(document.mapping("ipvs"), counts=mode == "ipvs"),
        nftables=_nftables(document.mapping("nftables"), counts=mode == "nftables"),
        conntrack=_conntrack(document.mapping("conntrack")),
        feature_gates=gates,
    )


def _hostname(document: Fields) -> str:
    """Return hostnameOverride as kube-proxy uses it: trimmed and in lower case."""
    text = document.string("hostnameOverride")
    name = text.strip().lower()
    if text and not is_name(name, "subdomain"):
        document.error(
            checks.NAME, "hostnameOverride", f"must be a node name, not {quote_value(text)}"
        )
        return ""
    return name


def _node_port_addresses(document: Fields) -> tuple[str, ...]:
    """Return CIDRs, or ``primary`` alone."""
    key = "nodePortAddresses"
    named = [index for index, text in enumerate(document.items(key)) if text == PRIMARY]
    if not named:
        return cidrs(document, key)
    if len(document.items(key)) > 1:
        message = f"{PRIMARY} must be alone, and CIDRs without it"
        document.error_at(checks.CHOICE, (key, named[0]), message)
    return (PRIMARY,)


def _port_range(document: Fields) -> PortRange | None:
    text = document.string("portRange")
    try:
        return parse_port_range(text)
    except ValueError as error:
        document.error(checks.PORT_RANGE, "portRange", f"{error}; not {quote_value(text)}")
        return None


def _detect_local(document: Fields, mode: str) -> DetectLocalConfiguration:
    detect = document.mapping("detectLocal")
    bridge, prefix = detect.string("bridgeInterface"), detect.string("interfaceNamePrefix")
    if mode == "BridgeInterface":
        _check_interface(detect, "bridgeInterface", bridge, _INTERFACE)
    if mode == "InterfaceNamePrefix":
        _check_interface(detect, "interfaceNamePrefix", prefix, _PREFIX)
    return DetectLocalConfiguration(bridge, prefix)


def _check_interface(detect: Fields, key: str, name: str, form: re.Pattern[str]) -> None:
    if not name:
        mode = key[0].upper() + key[1:]
        detect.error(checks.REQUIRED, key, f"is required when detectLocalMode is {mode}")
    elif not form.fullmatch(name):
        most = 14 if form is _PREFIX else 15
        message = f"must be at most {most} characters of an interface name, not {quote_value(name)}"
        detect.error(checks.INTERFACE_NAME, key, message)


def _iptables(section: Fields, *, counts: bool) -> IPTablesConfiguration:
    sync_period, min_sync_period = periods(section, 1.0, counts=counts)
    return IPTablesConfiguration(
        masquerade_bit=section.integer("masqueradeBit", 0, 31, 14),
        masquerade_all=section.boolean("masqueradeAll", False),
        localhost_node_ports=section.boolean("localhostNodePorts", True),
        sync_period=sync_period,
        min_sync_period=min_sync_period,
    )


def _nftables(section: Fields, *, counts: bool) -> NFTablesConfiguration:
    sync_period, min_sync_period = periods(section, 1.0, counts=counts)
    return NFTablesConfiguration(
        masquerade_bit=int32(section, "masqueradeBit", 14, 0, 31, counts=counts),
        masquerade_all=section.boolean("masqueradeAll", False),
        sync_period=sync_period,
        min_sync_period=min_sync_period,
    )


def _ipvs(section: Fields, *, counts: bool) -> IPVSConfiguration:
    sync_period, min_sync_period = periods(section, 0.0, counts=counts)
    return IPVSConfiguration(
        scheduler=_scheduler(section, counts=counts),
        strict_arp=section.boolean("strictARP", False),
        exclude_cidrs=cidrs(section, "excludeCIDRs", counts=counts),
        tcp_timeout=seconds(section, "tcpTimeout", counts=counts) or None,
        tcp_fin_timeout=seconds(section, "tcpFinTimeout", counts=counts) or None,
        udp_timeout=seconds(section, "udpTimeout", counts=counts) or None,
        sync_period=sync_period,
        min_sync_period=min_sync_period,
    )


def _scheduler(section: Fields, *, counts: bool) -> str:
    scheduler = section.string("scheduler")
    if scheduler and scheduler not in IPVS_SCHEDULERS:
        if counts:
            section.error(checks.CHOICE, "scheduler", why_no_scheduler(scheduler))
        return "rr"
    return scheduler or "rr"


def _conntrack(section: Fields) -> ConntrackConfiguration:
    """Return the section; of it, 0 leaves the kernel's own value."""
    return ConntrackConfiguration(
        max_per_core=section.integer("maxPerCore", 0, MAX_INT32, 32768),
        min=section.integer("min", 0, MAX_INT32, 131072),
        tcp_established_timeout=_duration(section, "tcpEstablishedTimeout", 86400.0),
        tcp_close_wait_timeout=_duration(section, "tcpCloseWaitTimeout", 3600.0),
        tcp_be_liberal=section.boolean("tcpBeLiberal", False),
        udp_timeout=seconds(section, "udpTimeout") or None,
        udp_stream_timeout=seconds(section, "udpStreamTimeout") or None,
    )


def _duration(section: Fields, key: str, default: float) -> float:
    """Return a duration that is absent otherwise than 0."""
    found = seconds(section, key, nullable=True)
    return default if section.data.get(key) is None else found


def _feature_gates(document: Fields) -> Mapping[str, bool]:
    gates = document.mapping("featureGates")
    found = {name: gates.boolean(name, False) for name in gates.data if isinstance(name, str)}
    check_gates(gates, found)
    return found
