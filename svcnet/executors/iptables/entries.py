"""The rules of iptables-legacy asked of the kernel, and made a digest of.

x_tables has no number that counts its changes, and knows a table as one array of entries.
That is read as it is: to print and parse it takes several times as long.
"""

from __future__ import annotations

from errno import ENOENT
from hashlib import blake2b

from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter.entries import TableSize, clear_counters, entries_of, info_of, size_in

_GET_INFO = 64  # IPT_SO_GET_INFO, IP6T_SO_GET_INFO
_GET_ENTRIES = 65  # IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES


def digest(machine: Machine, family: IPFamily, table: str) -> bytes:
    """Return a digest of all that iptables-legacy has in a table but its counters.

    Empty if the kernel has no such table. Raises OSError without CAP_NET_ADMIN, or when
    the table changes meanwhile.
    """
    try:
        info, size = _info(machine, family, table)
        entries = entries_of(table, size)
        machine.socket_option(family, _GET_ENTRIES, entries)
    except OSError as error:
        if error.errno == ENOENT:
            return b""
        raise
    clear_counters(entries, family)
    found = blake2b(info)
    found.update(entries)
    return found.digest()


def count(machine: Machine, family: IPFamily, table: str) -> int:
    """Return how many entries a table of iptables-legacy has. Raises OSError as digest does.

    A table that the kernel can have and does not have yet is made.
    """
    return _info(machine, family, table)[1].entries


def _info(machine: Machine, family: IPFamily, table: str) -> tuple[bytearray, TableSize]:
    """Return where the built-in chains of a table begin and end, and its size."""
    info = info_of(table)
    machine.socket_option(family, _GET_INFO, info)
    return info, size_in(info)
