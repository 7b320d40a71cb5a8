"""Facts of this machine that rules depend on."""

from __future__ import annotations

from pathlib import Path
from socket import if_nametoindex

from svcnet.errors import ApplyError
from svcnet.executors.iptables import counting
from svcnet.executors.iptables.commands import VERSION, version
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.models import Host
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

__all__ = ["probe"]

_BE_LIBERAL = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
# The first release whose MASQUERADE takes --random-fully.
_RANDOM_FULLY = (1, 6, 2)


def probe(machine: Machine = THIS_MACHINE) -> Host:
    """Return the facts of a machine; addresses are those of the process's own network namespace.

    Raises ApplyError when the interfaces cannot be listed, iptables does not say its version, or
    the kernel not whether it counts.
    """
    return Host(
        addresses=_addresses(),
        iptables_random_fully=_iptables_version(machine) >= _RANDOM_FULLY,
        conntrack_tcp_be_liberal=_is_liberal(machine),
        nfacct=not counting.lack(machine=machine),
    )


def _addresses() -> tuple[str, ...]:
    """Return the addresses of all interfaces, in the kernel's order, each once.

    But not those of the dummy device of IPVS mode: they are Services', not the node's.
    """
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    dummy = _dummy_index()
    try:
        with IPRoute() as route:
            messages = [message for message in route.get_addr() if message["index"] != dummy]
            found = [message.get("address") for message in messages]
    except (NetlinkError, OSError) as error:
        raise ApplyError(f"the host's addresses cannot be listed: {error}") from None
    return tuple(dict.fromkeys(address for address in found if address))


def _dummy_index() -> int:
    """Return the number of the dummy device, 0 if there is none."""
    try:
        return if_nametoindex(DUMMY_DEVICE)
    except OSError:
        return 0


def _iptables_version(machine: Machine) -> tuple[int, ...]:
    """Return the version of iptables; without one, that of any in use today."""
    found = VERSION.search(version(machine=machine) or "")
    return tuple(map(int, found.groups())) if found else _RANDOM_FULLY


def _is_liberal(machine: Machine) -> bool:
    try:
        return machine.read(_BE_LIBERAL).strip() == "1"
    except OSError:
        return False
