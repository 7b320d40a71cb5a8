"""The kinds of senders that people think of, and the words for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class SenderWords(NamedTuple):
    """A kind of senders: its ``name``, what one is called in a table, and what all are in a text.

    ``one`` is empty of a kind that tables have no column for, ``all`` of one that only tables tell
    from others.
    """

    name: str
    one: str
    all: str


OUTSIDE = SenderWords("outside", "outside", "outside")
POD = SenderWords("pod", "pod of this node", "pods of this node")
NODE = SenderWords("node", "node", "the node itself")
FAR_POD = SenderWords("far-pod", "pod of another node", "")
ENDPOINT = SenderWords("endpoint", "", "endpoints themselves")
REMEMBERED = SenderWords("remembered", "", "clients that are remembered")

SENDER_KINDS: Mapping[str, str] = MappingProxyType(
    {each.name: each.all for each in (OUTSIDE, POD, NODE, ENDPOINT, REMEMBERED)}
)
"""The kinds of senders of which something can become otherwise, and how they are told of."""

COLUMNS = tuple(each.one for each in (OUTSIDE, NODE, POD, FAR_POD))
"""The kinds of senders that a table of packets has, by which rules tell packets apart."""
