"""Counters of the kernel that have names, and that rules count packets in (nfacct).

Numbers and structures are those of Linux ``include/uapi/linux/netfilter/nfnetlink_acct.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from errno import EACCES, EAFNOSUPPORT, EBUSY, EINVAL, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT

from svcnet import netlink
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, reason, tell

_SUBSYSTEM = 7 << 8
_NEW, _GET, _DELETE = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 3
_NAME, _PACKETS = 1, 2
_NUMBER = struct.Struct(">Q")
NO_SUBSYSTEM = (EINVAL, EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT)
"""What a kernel answers that has no such counters: net/netfilter/nfnetlink.c, net/socket.c."""
_NO_RIGHT = (EPERM, EACCES)


def lack(*, machine: Machine) -> str:
    """Return why this process cannot have such counters; the empty string where it can.

    Raises ApplyError where the kernel says neither: its silence is no reason to count no more.
    """
    try:
        list(_get("svcnet", machine))
    except OSError as error:
        if error.errno == ENOENT:  # so the subsystem is there
            return ""
        if error.errno in _NO_RIGHT:
            return "without CAP_NET_ADMIN the kernel does not say"
        if error.errno in NO_SUBSYSTEM:
            return "the kernel has no counters with names (nfnetlink_acct)"
        raise ApplyError(f"whether the kernel counts cannot be told: {reason(error)}") from None
    return ""


def ensure(names: Iterable[str], *, machine: Machine) -> None:
    """Make those counters that are not there. Raises ApplyError."""
    wanted = list(names)
    try:
        for place, errno in _tell(_NEW, netlink.NLM_F_CREATE, wanted, machine):
            if errno != EBUSY:  # it is there
                problem = netlink.errno_text(errno)
                raise ApplyError(f"the counter {wanted[place]} cannot be made: {problem}")
    except OSError as error:
        raise ApplyError(f"counters cannot be made: {reason(error)}") from None


def remove(names: Iterable[str], *, machine: Machine) -> tuple[str, ...]:
    """Remove counters that no rule counts in; return which were there to be removed."""
    wanted = list(names)
    try:
        refused = {place for place, _ in _tell(_DELETE, 0, wanted, machine)}
    except OSError:
        return ()
    return tuple(name for place, name in enumerate(wanted) if place not in refused)


def packets(name: str, *, machine: Machine) -> int | None:
    """Return how many packets a counter has counted, None where there is none."""
    try:
        for content in _get(name, machine):
            (found,) = _NUMBER.unpack(netlink.attributes(content, netlink.NFGENMSG.size)[_PACKETS])
            return int(found)
    except (OSError, ValueError, KeyError, struct.error):
        return None
    return None


def _get(name: str, machine: Machine) -> Iterator[bytes]:
    return ask(netlink.NETLINK_NETFILTER, _GET, _body(name), machine=machine)


def _tell(
    kind: int, flags: int, names: Iterable[str], machine: Machine
) -> Iterator[tuple[int, int]]:
    return tell(netlink.NETLINK_NETFILTER, kind, flags, list(map(_body, names)), machine=machine)


def _body(name: str) -> bytes:
    return netlink.NFGENMSG.pack(0, 0, 0) + netlink.attribute(_NAME, name.encode("ascii") + b"\0")
