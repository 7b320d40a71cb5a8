"""Messages that change a table, and batches of them.

The kernel carries out a batch as one transaction: between the message that begins it and the one
that ends it, all or nothing (``nfnetlink_rcv_batch`` in ``net/netfilter/nfnetlink.c``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from attrs import field, frozen

from svcnet.netfilter.nft.objects import NFTRule, NFTSet, NFTTable
from svcnet.netfilter.nft.wire import expressions, uapi
from svcnet.netfilter.nft.wire.data import pack_text
from svcnet.netfilter.nft.wire.reading import head
from svcnet.netfilter.nft.wire.rules import OwnLookup, rule_attributes, rule_parts
from svcnet.netfilter.nft.wire.sets import AnonymousSet, client_set_attributes
from svcnet.netlink import (
    ATTRIBUTE,
    NFGENMSG,
    NFNL_SUBSYS_NFTABLES,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    attribute,
    message,
    nest,
)

MOST_ELEMENTS = (1 << 16) - 1 - ATTRIBUTE.size
"""Bytes of elements in a message: the length of the attribute that has them is 16 bits."""

_GENERATION = Struct(">I")
_HANDLE = Struct(">Q")


@frozen
class NFTMessage:
    """One change of a table, as a batch has it: a kind, flags, and what is behind the header.

    ``elements`` is where the first element begins in the body, 0 in a message without any.
    """

    kind: int
    flags: int
    body: bytes = field(repr=False)
    elements: int = 0


def delete_table(table: NFTTable) -> NFTMessage:
    """Return what deletes a table with all that is in it."""
    return NFTMessage(uapi.NFT_MSG_DELTABLE, 0, head(*table))


def new_chain(table: NFTTable, name: str) -> NFTMessage:
    """Return what makes a chain without a hook, or leaves it as it is."""
    body = head(*table) + attribute(uapi.NFTA_CHAIN_NAME, pack_text(name))
    return NFTMessage(uapi.NFT_MSG_NEWCHAIN, NLM_F_CREATE, body)


def delete_chain(table: NFTTable, name: str) -> NFTMessage:
    """Return what deletes a chain, to which nothing may lead."""
    body = head(*table) + attribute(uapi.NFTA_CHAIN_NAME, pack_text(name))
    return NFTMessage(uapi.NFT_MSG_DELCHAIN, 0, body)


def flush_chain(table: NFTTable, name: str) -> NFTMessage:
    """Return what empties a chain."""
    body = head(*table) + attribute(uapi.NFTA_RULE_CHAIN, pack_text(name))
    return NFTMessage(uapi.NFT_MSG_DELRULE, 0, body)


def new_rule(table: NFTTable, rule: NFTRule, set_id: int) -> list[NFTMessage]:
    """Return what puts a rule at the end of its chain, behind what makes the set that it brings.

    That has a `set_id` that no other set of the same batch has. Raises ValueError for a rule
    without a form.
    """
    parts, found = rule_parts(rule.text), list[NFTMessage]()
    for each in parts:
        if isinstance(each, OwnLookup):
            found += _new_anonymous_set(table, each.made, set_id)
    body = head(*table) + rule_attributes(rule, parts, set_id)
    found.append(NFTMessage(uapi.NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, body))
    return found


def _new_anonymous_set(table: NFTTable, made: AnonymousSet, set_id: int) -> Iterator[NFTMessage]:
    """Yield what makes the set of a rule, and what fills it."""
    body = head(*table) + made.attributes(set_id)
    yield NFTMessage(uapi.NFT_MSG_NEWSET, NLM_F_CREATE, body)
    place = attribute(uapi.NFTA_SET_ELEM_LIST_SET, pack_text(made.name))
    place += expressions.number(uapi.NFTA_SET_ELEM_LIST_SET_ID, set_id)
    for part in divide(made.elements):
        body = head(*table) + place + nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, part)
        yield NFTMessage(uapi.NFT_MSG_NEWSETELEM, NLM_F_CREATE, body)


def delete_rule(table: NFTTable, chain: str, handle: int) -> NFTMessage:
    """Return what deletes the rule of a chain that has a handle."""
    place = attribute(uapi.NFTA_RULE_CHAIN, pack_text(chain))
    body = head(*table) + place + attribute(uapi.NFTA_RULE_HANDLE, _HANDLE.pack(handle))
    return NFTMessage(uapi.NFT_MSG_DELRULE, 0, body)


def new_set(table: NFTTable, made: NFTSet, set_id: int) -> NFTMessage:
    """Return what makes a set that remembers clients, or leaves it as it is.

    It has a `set_id` that no other set of the same batch has. Raises ValueError for another kind
    of set, which nft makes.
    """
    body = head(*table) + client_set_attributes(made, set_id)
    return NFTMessage(uapi.NFT_MSG_NEWSET, NLM_F_CREATE, body)


def delete_set(table: NFTTable, name: str) -> NFTMessage:
    """Return what deletes a set or map, of which no rule may speak."""
    body = head(*table) + attribute(uapi.NFTA_SET_NAME, pack_text(name))
    return NFTMessage(uapi.NFT_MSG_DELSET, 0, body)


def new_elements(table: NFTTable, container: str, elements: bytes) -> NFTMessage:
    """Return what adds elements to a set or map: those that fit one message."""
    return _elements(uapi.NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, container, elements)


def delete_elements(table: NFTTable, container: str, elements: bytes) -> NFTMessage:
    """Return what deletes elements of a set or map, given by their keys."""
    return _elements(uapi.NFT_MSG_DELSETELEM, 0, table, container, elements)


def flush_elements(table: NFTTable, container: str) -> NFTMessage:
    """Return what empties a set or map."""
    body = head(*table) + attribute(uapi.NFTA_SET_ELEM_LIST_SET, pack_text(container))
    return NFTMessage(uapi.NFT_MSG_DELSETELEM, 0, body)


def _elements(kind: int, flags: int, table: NFTTable, name: str, elements: bytes) -> NFTMessage:
    body = head(*table) + attribute(uapi.NFTA_SET_ELEM_LIST_SET, pack_text(name))
    begin = len(body) + ATTRIBUTE.size
    return NFTMessage(kind, flags, body + nest(uapi.NFTA_SET_ELEM_LIST_ELEMENTS, elements), begin)


class ElementFilling:
    """Elements of one set on their way into messages, as many together as fit one."""

    __slots__ = ("_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0

    def put(self, packed: bytes) -> bytes:
        """Take elements that fit one message; return those before if these do not fit it too."""
        self._size += len(packed)
        full = b""
        if self._size > MOST_ELEMENTS:
            full = b"".join(self._waiting)
            self._waiting, self._size = [], len(packed)
        self._waiting.append(packed)
        return full

    def rest(self) -> bytes:
        """Return those that wait yet."""
        return b"".join(self._waiting)


def divide(elements: Iterable[bytes]) -> Iterator[bytes]:
    """Yield elements joined, as many together as fit one message."""
    filling = ElementFilling()
    yield from filter(None, map(filling.put, elements))
    yield from filter(None, (filling.rest(),))


def batch(messages: Sequence[NFTMessage], generation: int | None = None) -> bytes:
    """Return the datagram that has the kernel carry out messages, of which there is at least one.

    Each has its place, counted from 1, as its sequence number; the last one is answered when all
    are done. With a `generation` the kernel does nothing (ERESTART) if it has another one by then.
    """
    told = (
        b""
        if generation is None
        else attribute(uapi.NFNL_BATCH_GENID, _GENERATION.pack(generation))
    )
    parts = [message(uapi.NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, 0, _BATCH + told)]
    last = len(messages)
    for number, each in enumerate(messages, 1):
        flags = NLM_F_REQUEST | each.flags | (NLM_F_ACK if number == last else 0)
        parts.append(message(NFNL_SUBSYS_NFTABLES << 8 | each.kind, flags, number, each.body))
    parts.append(message(uapi.NFNL_MSG_BATCH_END, NLM_F_REQUEST, last + 1, _BATCH))
    return b"".join(parts)


_BATCH = NFGENMSG.pack(0, 0, NFNL_SUBSYS_NFTABLES)
