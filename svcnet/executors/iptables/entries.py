"""The rules of iptables-legacy as the kernel holds them, made a digest of.

x_tables has no number that counts its changes, and knows a table as one array of entries.
That is read as it is: to print and parse it takes several times as long. Structures are
those of Linux ``include/uapi/linux/netfilter_ipv4/ip_tables.h`` and
``netfilter_ipv6/ip6_tables.h``.
"""

from __future__ import annotations

import ctypes
import os
import socket
from errno import ENOENT
from hashlib import blake2b
from struct import Struct, calcsize

from attrs import frozen

_GET_INFO = 64  # IPT_SO_GET_INFO, IP6T_SO_GET_INFO
_GET_ENTRIES = 65  # IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES
_NAME = 32  # XT_TABLE_MAXNAMELEN
_HOOKS = "I5I5I"  # valid_hooks, hook_entry, underflow
_INFO = Struct(f"@{_NAME}s{_HOOKS}II")  # struct ipt_getinfo: and num_entries, size
_HEAD = Struct(f"@{_NAME}sI0Q")  # struct ipt_get_entries, up to the entries
_COUNTERS = Struct("@QQ")


@frozen
class _Entries:
    """How entries of a family are asked for, and where in one its length and counters are.

    An entry is its match of addresses, u32, u16 target_offset, u16 next_offset, u32 and
    counters, which two numbers of 64 bits are.
    """

    address_family: int
    level: int
    match: int

    @property
    def next_offset(self) -> int:
        return calcsize(f"@{self.match}sIH")

    @property
    def counters(self) -> int:
        return calcsize(f"@{self.match}sIHHI0Q")


_IPV4 = _Entries(socket.AF_INET, socket.IPPROTO_IP, 84)
_IPV6 = _Entries(socket.AF_INET6, socket.IPPROTO_IPV6, 136)


def digest(family: str, table: str) -> bytes:
    """Return a digest of all that iptables-legacy has in a table but its counters.

    Empty if the kernel has no such table. Raises OSError without CAP_NET_ADMIN, or when
    the table changes meanwhile.
    """
    layout = _IPV6 if family == "IPv6" else _IPV4
    # A socket of any kind will do; one for datagrams needs no right of its own.
    with socket.socket(layout.address_family, socket.SOCK_DGRAM) as opened:
        try:
            head, entries = _read(opened, layout.level, table.encode())
        except OSError as error:
            if error.errno == ENOENT:
                return b""
            raise
    _clear_counters(entries, layout)
    found = blake2b(head)
    found.update(entries)
    return found.digest()


def count(family: str, table: str) -> int:
    """Return how many entries a table of iptables-legacy has. Raises OSError as digest does.

    A table that the kernel can have and does not have yet is made.
    """
    layout = _IPV6 if family == "IPv6" else _IPV4
    with socket.socket(layout.address_family, socket.SOCK_DGRAM) as opened:
        return int(_INFO.unpack(_info(opened, layout.level, table.encode()))[-2])


def _info(opened: socket.socket, level: int, table: bytes) -> bytearray:
    """Return ``struct ipt_getinfo``."""
    info = bytearray(_INFO.pack(table, *[0] * 13))
    _getsockopt(opened, level, _GET_INFO, info)
    return info


def _read(opened: socket.socket, level: int, table: bytes) -> tuple[bytes, bytearray]:
    """Return where the built-in chains begin and end, and ``struct ipt_get_entries``."""
    info = _info(opened, level, table)
    size = _INFO.unpack(info)[-1]
    entries = bytearray(_HEAD.size + size)
    _HEAD.pack_into(entries, 0, table, size)
    _getsockopt(opened, level, _GET_ENTRIES, entries)
    return bytes(info), entries


def _clear_counters(entries: bytearray, layout: _Entries) -> None:
    counters, length = layout.counters, Struct("=H").unpack_from
    nothing, width, next_offset = bytes(_COUNTERS.size), _COUNTERS.size, layout.next_offset
    offset, end = _HEAD.size, len(entries)
    while offset < end:
        entries[offset + counters : offset + counters + width] = nothing
        offset += length(entries, offset + next_offset)[0]


def _getsockopt(opened: socket.socket, level: int, option: int, value: bytearray) -> None:
    """Do what ``socket.getsockopt`` does, which passes nothing in and takes 1024 bytes at most."""
    library = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_uint(len(value))
    array = (ctypes.c_char * len(value)).from_buffer(value)
    if library.getsockopt(opened.fileno(), level, option, array, ctypes.byref(length)):
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
