"""Facts of this machine that rules depend on."""

from __future__ import annotations

from pathlib import Path

from svcnet.errors import ApplyError
from svcnet.executors.iptables import counting
from svcnet.executors.iptables.commands import VERSION, version
from svcnet.executors.links import all_addresses, link
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import reason
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import Host
from svcnet.netfilter.ip.wire import device_of, parse_address, parse_link
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

__all__ = ["probe"]

_BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
# The first release whose MASQUERADE takes --random-fully.
_RANDOM_FULLY = (1, 6, 2)


def probe(machine: Machine = THIS_MACHINE) -> Host:
    """Return the facts of a machine, as one network namespace of it.

    Raises ApplyError when the interfaces cannot be listed, iptables does not say its version, or
    the kernel not whether it counts.
    """
    return Host(
        addresses=_addresses(machine),
        iptables_random_fully=_iptables_version(machine) >= _RANDOM_FULLY,
        conntrack_tcp_be_liberal=_is_liberal(machine),
        nfacct=not counting.lack(machine=machine),
    )


def _addresses(machine: Machine) -> tuple[str, ...]:
    """Return the addresses of all interfaces, in the kernel's order, each once.

    But not those of the dummy device of IPVS mode: they are Services', not the node's.
    """
    try:
        device = link(machine, DUMMY_DEVICE)
        dummy = None if device is None else parse_link(device).index
        bodies = [body for body in all_addresses(machine) if device_of(body) != dummy]
        return tuple(dict.fromkeys(parse_address(body).address for body in bodies))
    except OSError as error:
        raise ApplyError(f"the host's addresses cannot be listed: {reason(error)}") from None
    except ValueError as error:
        raise ApplyError(f"the host's addresses cannot be listed: {error}") from None


def _iptables_version(machine: Machine) -> tuple[int, ...]:
    """Return the version of iptables; without one, that of any in use today."""
    found = VERSION.search(version(machine=machine) or "")
    return tuple(map(int, found.groups())) if found else _RANDOM_FULLY


def _is_liberal(machine: Machine) -> bool:
    try:
        return machine.read(_BE_LIBERAL).strip() == "1"
    except OSError:
        return False
