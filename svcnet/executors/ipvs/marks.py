"""Whether what IPVS mode cares about may have changed, told without parsing it.

Whatever counts packets, connections or seconds is left out; but it counts whether an
endpoint that drains is still needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from errno import ENOENT
from hashlib import blake2b

from svcnet.errors import ApplyError
from svcnet.executors.ipvs import device
from svcnet.executors.ipvs.ipsets import question
from svcnet.executors.ipvs.kernel import IPVS
from svcnet.executors.ipvs.names import all_sets, draining
from svcnet.executors.ipvs.observe import read_sysctl
from svcnet.executors.netlink import ask
from svcnet.netlink import attribute, each_attribute
from svcnet.renderers.ipvs import IPVSTables

# linux/netlink.h, linux/netfilter/ipset/ip_set.h
_NETLINK_NETFILTER = 12
_IPSET_CMD_SAVE = 8
_IPSET_ATTR_TIMEOUT = 6
_IPSET_ATTR_DATA = 7
_IPSET_ATTR_ADT = 8
_NFGENMSG_BYTES = 4


def mark(artifact: IPVSTables) -> Hashable | None:
    """Return a mark of what is there: equal marks mean that nobody changed anything.

    It covers the virtual servers of the artifact's family with their real servers, the sets
    of svcnet, the dummy device with its addresses, and the kernel's settings. None if it
    cannot be told, because something changes just now.
    """
    family = artifact.family
    try:
        with IPVS() as ipvs:
            servers = [each for each in ipvs.configurations() if each.family == family]
            return (
                _digest(part for each in servers for part in (each.told, *ipvs.settings(each))),
                ipvs.timeouts(),
                _digest(part for name in all_sets(family) for part in _set(family, name)),
                device.mark(family),
                tuple(read_sysctl(path) for path in artifact.sysctls),
            )
    except (OSError, ValueError, ApplyError):
        return None


def _digest(parts: Iterable[bytes]) -> bytes:
    return blake2b(b"\n".join(parts)).digest()


def _set(family: str, name: str) -> Iterator[bytes]:
    """Yield what a set is and has, without the seconds that entries which drain still have."""
    kind, body = question(_IPSET_CMD_SAVE, name)
    has_times = name == draining(family)
    try:
        for answer in ask(_NETLINK_NETFILTER, kind, body, dump=True):
            for found, value in each_attribute(answer, _NFGENMSG_BYTES):
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
