"""Whether what IPVS mode cares about may have changed, told without parsing it.

Whatever counts packets, connections or seconds is left out; but it counts whether an
endpoint that drains is still needed.
"""

from __future__ import annotations

import socket
from collections.abc import Hashable, Iterable, Iterator
from errno import ENOENT
from hashlib import blake2b
from struct import Struct

from svcnet.errors import ApplyError
from svcnet.executors.ipvs import device
from svcnet.executors.ipvs.kernel import IPVS
from svcnet.executors.ipvs.listing import HEADING_LINES, PATH
from svcnet.executors.ipvs.names import all_sets, draining
from svcnet.executors.ipvs.observe import read_sysctl
from svcnet.executors.netlink import ask
from svcnet.netlink import attribute, each_attribute
from svcnet.renderers.ipvs import IPVSTables

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h
_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_IPSET = 6
_NFGENMSG = Struct("=BBH")
_IPSET_PROTOCOL = 6  # the oldest that kernels of today speak
_IPSET_CMD_SAVE = 8
_IPSET_ATTR_PROTOCOL = 1
_IPSET_ATTR_SETNAME = 2
_IPSET_ATTR_TIMEOUT = 6
_IPSET_ATTR_DATA = 7
_IPSET_ATTR_ADT = 8

_REAL = b"  -> "
"""What the line of a real server begins with."""


def mark(artifact: IPVSTables) -> Hashable | None:
    """Return a mark of what is there: equal marks mean that nobody changed anything.

    It covers the virtual servers of the artifact's family with their real servers, the sets
    of svcnet, the dummy device with its addresses, and the kernel's settings. None if it
    cannot be told, because something changes just now or the kernel's listing has gaps (see
    ``svcnet.executors.ipvs.listing``).
    """
    family = artifact.family
    try:
        with IPVS() as ipvs:
            servers = ipvs.configurations()
            timeouts = ipvs.timeouts()
        lines = PATH.read_bytes().splitlines()[HEADING_LINES:]
        if sum(not line.startswith(_REAL) for line in lines) != len(servers):
            return None
        return (
            _digest(told for each, told in servers if each == family),
            timeouts,
            _digest(_real_servers(lines, family)),
            _digest(part for name in all_sets(family) for part in _set(family, name)),
            device.mark(family),
            tuple(read_sysctl(path) for path in artifact.sysctls),
        )
    except (OSError, ApplyError):
        return None


def _digest(parts: Iterable[bytes]) -> bytes:
    return blake2b(b"\n".join(parts)).digest()


def _real_servers(lines: Iterable[bytes], family: str) -> Iterator[bytes]:
    """Yield the lines of a family's virtual and real servers without their connections.

    Of a real server of weight 0 it is told whether it has any: when not, it has drained.
    """
    is_wanted = False
    for line in lines:
        if not line.startswith(_REAL):
            is_wanted = (b"[" in line) is (family == "IPv6")
        if not is_wanted:
            continue
        if not line.startswith(_REAL):
            yield line
            continue
        place, active, inactive = line.rsplit(None, 2)
        yield place
        if place.endswith(b" 0"):
            yield b"busy" if (active, inactive) != (b"0", b"0") else b"idle"


def _set(family: str, name: str) -> Iterator[bytes]:
    """Yield what a set is and has, without the seconds that entries which drain still have."""
    body = (
        _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)
        + attribute(_IPSET_ATTR_PROTOCOL, bytes([_IPSET_PROTOCOL]))
        + attribute(_IPSET_ATTR_SETNAME, name.encode() + b"\0")
    )
    kind = _NFNL_SUBSYS_IPSET << 8 | _IPSET_CMD_SAVE
    has_times = name == draining(family)
    try:
        for answer in ask(_NETLINK_NETFILTER, kind, body, dump=True):
            for found, value in each_attribute(answer, _NFGENMSG.size):
                if has_times and found == _IPSET_ATTR_ADT:
                    yield from map(_without_time, each_attribute(value))
                elif not has_times or found != _IPSET_ATTR_DATA:
                    yield value
    except OSError as error:
        if error.errno != ENOENT:
            raise
        yield b"no set"


def _without_time(entry: tuple[int, bytes]) -> bytes:
    return b"".join(
        attribute(kind, value)
        for kind, value in each_attribute(entry[1])
        if kind != _IPSET_ATTR_TIMEOUT
    )
