"""nf_tables counts its commits: a number that tells whether anybody wrote.

The kernel adds one to the *generation* of a network namespace with each transaction that
changes any ruleset there, of whichever family and table (``nf_tables_commit`` in
``net/netfilter/nf_tables_api.c``), and tells it for the asking.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from struct import Struct

from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask
from svcnet.netfilter.restore import commits
from svcnet.netlink import attributes

_NETLINK_NETFILTER = 12  # linux/netlink.h
_NFNL_SUBSYS_NFTABLES = 10  # linux/netfilter/nfnetlink.h
_NFT_MSG_GETGEN = 16  # linux/netfilter/nf_tables.h
_NFTA_GEN_ID = 1
_NFGENMSG = Struct("=BBH")


def generation(machine: Machine) -> int:
    """Return the generation of a machine's network namespace. Raises OSError."""
    kind = _NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETGEN
    body = _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)
    for answer in ask(_NETLINK_NETFILTER, kind, body, machine=machine):
        told = attributes(answer, _NFGENMSG.size).get(_NFTA_GEN_ID)
        if told is not None:
            return int.from_bytes(told, "big")
    raise OSError("nf_tables did not say its generation")


class Commits:
    """The commits of a machine's network namespace that are not svcnet's own.

    Those that svcnet makes are counted as they are made and taken off the generation. So
    nobody can come between a write and the look at what it left: there is no such look.
    One value serves all families of a process, since the generation does; it is not for
    two threads at once.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._own = 0

    def wrote(self, texts: Iterable[str]) -> None:
        """Count the commits of restore texts that iptables-restore has carried out.

        It makes one of each table in which something changes. What may have changed
        nothing is not counted; then the generation looks like somebody else's work, which
        costs a look and misses nothing.
        """
        self._own += sum(map(commits, texts))

    def of_others(self) -> int:
        """Return a number that is the same as before if, and only if, nobody else wrote.

        Raises OSError where the kernel has no nf_tables, or without CAP_NET_ADMIN.
        """
        return generation(self.machine) - self._own
