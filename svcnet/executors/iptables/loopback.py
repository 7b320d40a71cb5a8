"""What keeps neighbours off the services of this host's loopback: KUBE-FIREWALL.

Node ports on 127.0.0.1 take the setting ``route_localnet``, with which the kernel takes packets
for 127.0.0.0/8 from any interface (https://issue.k8s.io/90259). The chain KUBE-FIREWALL drops
those of neighbours. svcnet does not know what the setting was before, nor who else relies on it,
so it never takes it back; as long as it is on, the chain and its jumps stay.
"""

from __future__ import annotations

from pathlib import Path

from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables
from svcnet.renderers.iptables import JUMPS
from svcnet.renderers.iptables.names import FIREWALL

SETTINGS = Path("/proc/sys/net/ipv4/conf")
ROUTE_LOCALNET = SETTINGS / "all/route_localnet"

STAYS = (
    f"{FIREWALL} and the jumps to it stay, for route_localnet is on: without them neighbours "
    "would reach 127.0.0.1"
)

# The kubelet has a chain of this name in every table that it has written to.
_CANARY = "KUBE-KUBELET-CANARY"
_JUMP_CHAINS = tuple(jump.chain for jump in JUMPS if jump.target == FIREWALL)


def is_routed(machine: Machine) -> bool:
    """Return whether packets for 127.0.0.0/8 are taken from any interface, or one to come."""
    try:
        interfaces = machine.names(SETTINGS)
    except OSError:
        return False
    return any(_is_on(machine, SETTINGS / each / "route_localnet") for each in interfaces)


def _is_on(machine: Machine, setting: Path) -> bool:
    try:
        return machine.read(setting).strip() != "0"
    except OSError:  # an interface that has gone meanwhile
        return False


def is_kubelets(observed: SavedTables, family: IPFamily) -> bool:
    """Return whether KUBE-FIREWALL is the kubelet's too, or its alone as it is for IPv6."""
    return family == "IPv6" or _CANARY in observed.chains("filter")


def is_guarded(observed: SavedTables) -> bool:
    """Return whether neighbours are kept off by the rules that were observed."""
    chains = observed.chains("filter")
    drops = any("-d 127.0.0.0/8" in rule and "-j DROP" in rule for rule in chains.get(FIREWALL, ()))
    return drops and all(
        any(leads_there(rule) for rule in chains.get(chain, ())) for chain in _JUMP_CHAINS
    )


def leads_there(rule: str) -> bool:
    """Return whether a rule is a jump to KUBE-FIREWALL."""
    return rule.endswith(f"-j {FIREWALL}")
