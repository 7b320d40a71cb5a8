"""KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), the fields that change an output.

Durations are seconds; ``None`` stands for a field that was left out where that
differs from zero. Defaults are those of kube-proxy v1.36.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.models.port_range import PortRange

IPVS_SCHEDULERS = (
    *("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq"),
    *("mh", "fo", "ovf"),
)
"""The IPVS schedulers that Linux has: net/netfilter/ipvs/ip_vs_*.c."""

PRIMARY = "primary"
"""In nodePortAddresses: the node's own address of each family."""

DetectLocalMode = Literal["", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]


@frozen(repr=False)
class DetectLocalConfiguration(Brief):
    """How traffic of this node's pods is recognised by interface."""

    bridge_interface: str = ""
    interface_name_prefix: str = ""


@frozen(repr=False)
class IPTablesConfiguration(Brief):
    """The ``iptables`` section."""

    masquerade_bit: int = 14
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    sync_period: float = 30.0
    min_sync_period: float = 1.0


@frozen(repr=False)
class IPVSConfiguration(Brief):
    """The ``ipvs`` section; timeouts of None leave the kernel's own values."""

    scheduler: str = "rr"
    strict_arp: bool = False
    exclude_cidrs: tuple[str, ...] = ()
    tcp_timeout: float | None = None
    tcp_fin_timeout: float | None = None
    udp_timeout: float | None = None
    sync_period: float = 30.0
    min_sync_period: float = 0.0


@frozen(repr=False)
class NFTablesConfiguration(Brief):
    """The ``nftables`` section."""

    masquerade_bit: int = 14
    masquerade_all: bool = False
    sync_period: float = 30.0
    min_sync_period: float = 1.0


@frozen(repr=False)
class RuleSettings(Brief):
    """What rules take of a configuration, in whichever of its sections a mode has it.

    ``node_port_addresses`` are CIDRs, or ``primary`` alone. ``reads_service_cidrs`` says whether
    rules depend on the cluster's ServiceCIDRs.
    """

    masquerade_bit: int = 14
    masquerade_all: bool = False
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    reads_service_cidrs: bool = False


@frozen(repr=False)
class ConntrackConfiguration(Brief):
    """The ``conntrack`` section."""

    max_per_core: int = 32768
    min: int = 131072
    tcp_established_timeout: float = 86400.0
    tcp_close_wait_timeout: float = 3600.0
    tcp_be_liberal: bool = False
    udp_timeout: float | None = None
    udp_stream_timeout: float | None = None


@frozen(repr=False)
class KubeProxyConfiguration(Brief):
    """The configuration of a node's service proxy.

    ``bind_address`` is the node's address of its family, whatever its Node says; empty where the
    configuration leaves that to the Node. ``node_port_addresses`` are CIDRs, or ``primary``
    alone. ``port_range`` are the ports that a userspace proxy may listen on, None for its default.
    Where health and metrics are to be served is None where the configuration is silent.
    """

    mode: Literal["", "iptables", "ipvs", "nftables", "userspace"] = ""
    hostname_override: str = ""
    bind_address: str = ""
    cluster_cidrs: tuple[str, ...] = ()
    detect_local_mode: DetectLocalMode = ""
    detect_local: DetectLocalConfiguration = DetectLocalConfiguration()
    node_port_addresses: tuple[str, ...] = ()
    port_range: PortRange | None = None
    healthz_bind_address: tuple[str, int] | None = None
    metrics_bind_address: tuple[str, int] | None = None
    iptables: IPTablesConfiguration = IPTablesConfiguration()
    ipvs: IPVSConfiguration = IPVSConfiguration()
    nftables: NFTablesConfiguration = NFTablesConfiguration()
    conntrack: ConntrackConfiguration = ConntrackConfiguration()
    feature_gates: Mapping[str, bool] = field(factory=dict)

    @property
    def rule_settings(self) -> RuleSettings:
        """What rules take of it in the modes of kube-proxy that read section ``iptables``."""
        section = self.iptables
        return RuleSettings(
            section.masquerade_bit,
            section.masquerade_all,
            section.localhost_node_ports,
            self.node_port_addresses,
        )

    def feature(self, gate: str, default: bool) -> bool:
        """Return whether a feature gate is on, `default` when the configuration is silent."""
        return self.feature_gates.get(gate, default)
