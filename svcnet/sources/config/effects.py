"""Which fields of a configuration have an effect, in which mode, and what asks for one in vain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from svcnet import checks
from svcnet.sources.config.gates import ALL_GATES, OWN
from svcnet.sources.durations import parse_duration
from svcnet.sources.fields import Fields
from svcnet.sources.findings import Path, join_path

KUBEADM_KUBECONFIG = "/var/lib/kube-proxy/kubeconfig.conf"
ALL = frozenset({"iptables", "ipvs", "nftables", "userspace"})
MOST_NAMED = 20


@frozen
class KnownField:
    """A field that kube-proxy knows.

    ``uses`` are the modes in which it has an effect, of proxying or of detectLocalMode. ``quiet``
    are values that ask for no more than there is: the default, and what leaves things as they are.
    A duration is quiet by its nanoseconds.
    """

    uses: frozenset[str] = frozenset()
    quiet: tuple[object, ...] = ("", False)
    duration: bool = False

    def asks(self, value: Any) -> bool:
        """Return whether a value asks for something."""
        if type(value) in (dict, list, type(None)):
            return bool(value)
        if self.duration:
            try:
                value = (parse_duration(value) if type(value) is str else value) / 1e9
            except ValueError:
                return False  # an error of its own
        return value not in self.quiet


def _in_use(*modes: str) -> KnownField:
    return KnownField(frozenset(modes) if modes else ALL)


def _duration(*quiet: float, uses: tuple[str, ...] = ()) -> KnownField:
    return KnownField(frozenset(uses), (0, *quiet), duration=True)


# How often something is done in one mode asks for nothing in another.
PACE = dict.fromkeys(("syncPeriod", "minSyncPeriod"), _in_use())
FIELDS: dict[str, dict[str, KnownField]] = {
    "": {
        **dict.fromkeys(("apiVersion", "kind", "mode", "hostnameOverride"), _in_use()),
        **dict.fromkeys(("bindAddress", "healthzBindAddress", "metricsBindAddress"), _in_use()),
        **dict.fromkeys(("detectLocalMode", "nodePortAddresses"), _in_use()),
        "clusterCIDR": _in_use("ClusterCIDR"),
        "portRange": KnownField(frozenset({"userspace"}), ("", "0", "0-0")),
        "bindAddressHardFail": KnownField(),
        "enableProfiling": KnownField(),
        "showHiddenMetricsForVersion": KnownField(),
        "oomScoreAdj": KnownField(quiet=(-999,)),
        "configSyncPeriod": _duration(900),
        "windowsRunAsService": KnownField(),
    },
    "clientConnection": {
        # Where kubeadm puts it. Which server svcnet asks is an option of the command.
        "kubeconfig": KnownField(quiet=("", KUBEADM_KUBECONFIG)),
        "acceptContentTypes": KnownField(),
        "contentType": KnownField(quiet=("", "application/vnd.kubernetes.protobuf")),
        "qps": KnownField(quiet=(0, 5)),
        "burst": KnownField(quiet=(0, 10)),
    },
    "logging": {
        "format": KnownField(quiet=("", "text")),
        "flushFrequency": KnownField(quiet=(0, 5), duration=True),
        "verbosity": KnownField(quiet=(0,)),
        "vmodule": KnownField(),
    },
    "detectLocal": {
        "bridgeInterface": _in_use("BridgeInterface"),
        "interfaceNamePrefix": _in_use("InterfaceNamePrefix"),
    },
    "iptables": {
        "masqueradeBit": KnownField(frozenset({"iptables", "ipvs"}), (14,)),
        "masqueradeAll": _in_use("iptables", "ipvs"),
        "localhostNodePorts": KnownField(frozenset({"iptables", "userspace"}), (True,)),
        **PACE,
    },
    "ipvs": {
        "scheduler": KnownField(frozenset({"ipvs"}), ("", "rr")),
        "strictARP": _in_use("ipvs"),
        "excludeCIDRs": _in_use("ipvs"),
        "tcpTimeout": _duration(uses=("ipvs",)),
        "tcpFinTimeout": _duration(uses=("ipvs",)),
        "udpTimeout": _duration(uses=("ipvs",)),
        **PACE,
    },
    "nftables": {
        "masqueradeBit": KnownField(frozenset({"nftables"}), (14,)),
        "masqueradeAll": _in_use("nftables"),
        **PACE,
    },
    # Of 0 kube-proxy leaves the kernel's own values, which svcnet always does.
    "conntrack": {
        "maxPerCore": KnownField(quiet=(0, 32768)),
        "min": KnownField(quiet=(0, 131072)),
        "tcpEstablishedTimeout": _duration(86400),
        "tcpCloseWaitTimeout": _duration(3600),
        "tcpBeLiberal": _in_use("iptables", "ipvs", "userspace"),
        "udpTimeout": _duration(),
        "udpStreamTimeout": _duration(),
    },
    "winkernel": {
        "networkName": KnownField(),
        "sourceVip": KnownField(),
        "enableDSR": KnownField(),
        "rootHnsEndpointName": KnownField(),
        "forwardHealthCheckVip": KnownField(),
    },
    "featureGates": dict.fromkeys(OWN, _in_use()),
}
"""The fields of each section, the document's own under the empty name."""


def tell_effects(document: Fields, mode: str, detect_local_mode: str) -> None:
    """Warn, once, of fields that are set and have no effect in these modes."""
    vain = list(_in_vain(document, frozenset({mode, detect_local_mode})))
    if not vain:
        return
    others = [join_path(path) for path in vain[1 : MOST_NAMED + 1]]
    if len(vain) > MOST_NAMED + 1:
        others.append(f"{len(vain) - MOST_NAMED - 1} more")
    message = f"has no effect in mode {mode}"
    if others:
        message += f", nor {'has' if len(others) == 1 else 'have'} {', '.join(others)}"
    document.warning_at(checks.NO_EFFECT, vain[0], message)


def _in_vain(document: Fields, modes: frozenset[str]) -> Iterator[Path]:
    """Yield the paths of fields that ask for something and have no effect, in the text's order."""
    for key, value in document.data.items():
        if key not in FIELDS:
            if _is_vain(FIELDS[""].get(key), value, modes):
                yield (key,)
        elif type(value) is dict:
            for name, inner in value.items():
                known = FIELDS[key].get(name)
                if key == "featureGates" and known is None and name in ALL_GATES:
                    known = KnownField(quiet=())
                if _is_vain(known, inner, modes):
                    yield (key, name)


def _is_vain(known: KnownField | None, value: Any, modes: frozenset[str]) -> bool:
    return known is not None and not known.uses & modes and known.asks(value)
