"""Tables of iptables-legacy as the kernel holds them: arrays of entries, one a rule and more.

Structures are those of Linux ``include/uapi/linux/netfilter_ipv4/ip_tables.h`` and
``netfilter_ipv6/ip6_tables.h``. Nothing here asks the kernel.
"""

from __future__ import annotations

from struct import Struct, calcsize
from types import MappingProxyType
from typing import NamedTuple

from svcnet.family import IPFamily

_NAME = 32  # XT_TABLE_MAXNAMELEN
_HOOKS = "I5I5I"  # valid_hooks, hook_entry, underflow
_INFO = Struct(f"@{_NAME}s{_HOOKS}II")  # struct ipt_getinfo: and num_entries, size
_HEAD = Struct(f"@{_NAME}sI0Q")  # struct ipt_get_entries, up to the entries
_COUNTERS = Struct("@QQ")
_LENGTH = Struct("=H")
_MATCH = MappingProxyType({"IPv4": 84, "IPv6": 136})
"""How long the match of addresses is with which an entry begins."""


class TableSize(NamedTuple):
    """How many entries a table has, and how many bytes they are."""

    entries: int
    bytes: int


def info_of(table: str) -> bytearray:
    """Return ``struct ipt_getinfo`` by which a table is asked for."""
    return bytearray(_INFO.pack(table.encode(), *[0] * 13))


def size_in(info: bytes | bytearray) -> TableSize:
    """Return the size that ``struct ipt_getinfo`` tells."""
    return TableSize(*_INFO.unpack(info)[-2:])


def entries_of(table: str, size: TableSize) -> bytearray:
    """Return ``struct ipt_get_entries`` by which the entries of a table are asked for."""
    found = bytearray(_HEAD.size + size.bytes)
    _HEAD.pack_into(found, 0, table.encode(), size.bytes)
    return found


def clear_counters(entries: bytearray, family: IPFamily) -> None:
    """Set the counters of all entries in ``struct ipt_get_entries`` to zero.

    An entry is its match of addresses, u32, u16 target_offset, u16 next_offset, u32 and counters,
    which two numbers of 64 bits are.
    """
    match = _MATCH[family]
    next_offset, counters = calcsize(f"@{match}sIH"), calcsize(f"@{match}sIHHI0Q")
    nothing, width, length = bytes(_COUNTERS.size), _COUNTERS.size, _LENGTH.unpack_from
    offset, end = _HEAD.size, len(entries)
    while offset < end:
        entries[offset + counters : offset + counters + width] = nothing
        offset += length(entries, offset + next_offset)[0]
