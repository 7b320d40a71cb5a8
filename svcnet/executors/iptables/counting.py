"""What rules count packets in, where the kernel has counters with names.

Source of the names and of when they are used: pkg/proxy/iptables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

import struct
from errno import ENOPROTOOPT

from svcnet import netlink
from svcnet.errors import ApplyError
from svcnet.executors import nfacct
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, reason
from svcnet.renderers.iptables import RestoreText
from svcnet.renderers.iptables.names import COUNTERS
from svcnet.words import count_noun

_COMPAT_GET = 11 << 8  # linux/netfilter/nfnetlink.h, nf_tables_compat.h
_COMPAT_NAME, _COMPAT_REVISION, _COMPAT_TYPE = 1, 2, 3
_MATCH, _FIRST = struct.pack("!I", 0), struct.pack("!I", 0)
_GET_REVISION_MATCH = 66  # IPT_SO_GET_REVISION_MATCH of linux/netfilter_ipv4/ip_tables.h
_NAME_LENGTH = 29  # struct xt_get_revision of linux/netfilter/x_tables.h
_NO_MATCH = "the kernel has no match of that name (xt_nfacct)"


def lack(*, machine: Machine) -> str:
    """Return why rules cannot count in counters of the kernel; the empty string where they can.

    The kernel alone is asked: a program that fails once would change rules by it. kube-proxy asks
    for the counters alone; where rules could not name them, it could write none. Raises ApplyError
    where the kernel does not say.
    """
    return nfacct.lack(machine=machine) or _lack_of_match(machine)


def _lack_of_match(machine: Machine) -> str:
    """Return what ``-m nfacct`` lacks; both ways to ask know the matches of both variants."""
    try:
        return _ask_nf_tables(machine)
    except OSError as error:
        if error.errno not in nfacct.NO_SUBSYSTEM:
            raise _untold(error) from None
    try:
        return _ask_legacy(machine)
    except OSError as error:
        if error.errno in (ENOPROTOOPT, *nfacct.NO_SUBSYSTEM):
            return _NO_MATCH
        raise _untold(error) from None


def _ask_nf_tables(machine: Machine) -> str:
    """Ask as the nft variant does (net/netfilter/nft_compat.c). Raises OSError."""
    body = netlink.NFGENMSG.pack(2, 0, 0) + netlink.attribute(_COMPAT_NAME, b"nfacct\0")
    body += netlink.attribute(_COMPAT_REVISION, _FIRST) + netlink.attribute(_COMPAT_TYPE, _MATCH)
    try:
        list(ask(netlink.NETLINK_NETFILTER, _COMPAT_GET, body, machine=machine))
    except FileNotFoundError:
        return _NO_MATCH
    return ""


def _ask_legacy(machine: Machine) -> str:
    """Ask as the legacy variant does (net/ipv4/netfilter/ip_tables.c). Raises OSError."""
    question = bytearray(b"nfacct".ljust(_NAME_LENGTH + 1, b"\0"))
    try:
        machine.socket_option("IPv4", _GET_REVISION_MATCH, question)
    except FileNotFoundError:
        return _NO_MATCH
    return ""


def _untold(error: OSError) -> ApplyError:
    return ApplyError(f"whether rules can count cannot be told: {reason(error)}")


def make_counters(artifact: RestoreText, *, machine: Machine) -> None:
    """Make what the rules of `artifact` count in. Raises ApplyError."""
    if artifact.settings.nfacct:
        nfacct.ensure(COUNTERS, machine=machine)


def remove_counters(*, machine: Machine) -> tuple[str, ...]:
    """Remove counters that no rule counts in any more; return a line if there were any."""
    gone = nfacct.remove(COUNTERS, machine=machine)
    return (f"nfacct: {count_noun(len(gone), 'counter')} removed",) if gone else ()
