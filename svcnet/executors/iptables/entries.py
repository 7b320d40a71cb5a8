"""The rules of iptables-legacy asked of the kernel, and made a digest of.

x_tables has no number that counts its changes, and knows a table as one array of entries.
That is read as it is: to print and parse it takes several times as long.
"""

from __future__ import annotations

import ctypes
import os
import socket
from errno import ENOENT
from hashlib import blake2b

from svcnet.netfilter.entries import Size, clear_counters, entries_of, info_of, size_in

_GET_INFO = 64  # IPT_SO_GET_INFO, IP6T_SO_GET_INFO
_GET_ENTRIES = 65  # IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES
_FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
_LEVELS = {"IPv4": socket.IPPROTO_IP, "IPv6": socket.IPPROTO_IPV6}


def digest(family: str, table: str) -> bytes:
    """Return a digest of all that iptables-legacy has in a table but its counters.

    Empty if the kernel has no such table. Raises OSError without CAP_NET_ADMIN, or when
    the table changes meanwhile.
    """
    with _socket(family) as opened:
        try:
            info, size = _info(opened, family, table)
            entries = entries_of(table, size)
            _getsockopt(opened, _LEVELS[family], _GET_ENTRIES, entries)
        except OSError as error:
            if error.errno == ENOENT:
                return b""
            raise
    clear_counters(entries, family)
    found = blake2b(info)
    found.update(entries)
    return found.digest()


def count(family: str, table: str) -> int:
    """Return how many entries a table of iptables-legacy has. Raises OSError as digest does.

    A table that the kernel can have and does not have yet is made.
    """
    with _socket(family) as opened:
        return _info(opened, family, table)[1].entries


def _socket(family: str) -> socket.socket:
    """Return a socket; any kind will do, and one for datagrams needs no right of its own."""
    return socket.socket(_FAMILIES[family], socket.SOCK_DGRAM)


def _info(opened: socket.socket, family: str, table: str) -> tuple[bytearray, Size]:
    """Return where the built-in chains of a table begin and end, and its size."""
    info = info_of(table)
    _getsockopt(opened, _LEVELS[family], _GET_INFO, info)
    return info, size_in(info)


def _getsockopt(opened: socket.socket, level: int, option: int, value: bytearray) -> None:
    """Do what ``socket.getsockopt`` does, which passes nothing in and takes 1024 bytes at most."""
    library = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_uint(len(value))
    array = (ctypes.c_char * len(value)).from_buffer(value)
    if library.getsockopt(opened.fileno(), level, option, array, ctypes.byref(length)):
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
