"""What nf_tables tells of its commits, to whoever listens: which tables and chains they touch.

Of each transaction the kernel sends a message for everything that it changes, and behind these one
with the generation that it made (``nf_tables_commit`` and ``nf_tables_gen_notify`` in
``net/netfilter/nf_tables_api.c``); transactions come one after the other. That it tells the number
and the name of the process as well is of no use here: the number is that of the first namespace of
processes, and another container's process may have ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple
from weakref import finalize

from attrs import frozen

from svcnet import netlink
from svcnet.executors.machine import Machine
from svcnet.netlink import NETLINK_NETFILTER, NFGENMSG, NFNL_SUBSYS_NFTABLES, attributes

_NETLINK_ADD_MEMBERSHIP = 1
_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
# linux/netfilter/nf_tables.h
_NFT_MSG_DELCHAIN = 5
_NFT_MSG_NEWRULE, _NFT_MSG_DELRULE = 6, 8
_NFT_MSG_NEWGEN = 15
_NFTA_GEN_ID = 1
_NFTA_TABLE = 1
"""Of every kind of message the attribute with the table's name."""
_CHAINS = {_NFT_MSG_DELCHAIN: 3, _NFT_MSG_NEWRULE: 2, _NFT_MSG_DELRULE: 2}
"""Of these the attribute with the chain's name. NEWCHAIN may give a chain another name, and tells
only that, so it is about the whole table."""
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

ROOM = 8 << 20
"""Bytes of messages that wait for us; the usual 200 kB are a few hundred small commits."""


class RulesetPart(NamedTuple):
    """Where something changed, by nft's names; ``chain`` is empty for a table and all in it."""

    family: str
    table: str
    chain: str = ""


@frozen
class Notice:
    """One commit: its generation, and all places that it touched."""

    generation: int
    places: frozenset[RulesetPart]


class Notices:
    """The commits of a machine's network namespace from now on. Raises OSError, as every method.

    Without CAP_NET_ADMIN nobody may listen.
    """

    def __init__(self, machine: Machine) -> None:
        self._socket = machine.netlink(NETLINK_NETFILTER)
        self._places: set[RulesetPart] | None = set()
        self._close = finalize(self, self._socket.close)
        try:
            with suppress(OSError):  # a small room only loses more
                self._socket.hold(ROOM)
            self._socket.enable(_NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more; what nobody holds any more does so by itself."""
        self._close()

    def take(self) -> Iterator[Notice]:
        """Yield the commits that were told of and not taken yet; wait for none.

        A commit that is not understood whole is passed over. Raises OSError where the kernel had
        to tell more than there was room for: which commits were lost is not known, and whoever
        asks begins anew.
        """
        for datagram in self._socket.pending():
            try:
                for kind, _, _, body in netlink.messages(datagram):
                    yield from self._note(kind, body)
            except (ValueError, struct.error):
                self._places = None

    def _note(self, kind: int, body: bytes) -> Iterator[Notice]:
        """Take one message; yield the commit that it ends."""
        subsystem, what = divmod(kind, 1 << 8)
        told = attributes(body, NFGENMSG.size)
        if subsystem != NFNL_SUBSYS_NFTABLES:
            self._places = None
        elif what == _NFT_MSG_NEWGEN:
            places, self._places = self._places, set()
            if places is not None and _NFTA_GEN_ID in told:
                number = int.from_bytes(told[_NFTA_GEN_ID], "big")
                yield Notice(number, frozenset(places))
        elif self._places is not None:
            family, table = _FAMILIES.get(body[0]), told.get(_NFTA_TABLE)
            chain = told.get(_CHAINS[what], b"") if what in _CHAINS else b""
            if family is None or table is None:
                self._places = None
            else:
                self._places.add(RulesetPart(family, _name(table), _name(chain)))


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")
