"""Everybody who can send packets to a destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from svcnet.family import IPFamily
from svcnet.meaning.comparison.cells import is_loopback, of_range
from svcnet.meaning.comparison.intent import Heading
from svcnet.meaning.own_senders import NodeSenders, OwnSenders
from svcnet.meaning.sources import Distinctions, Senders
from svcnet.meaning.spans import LOOPBACK, everything

_SHARE = 32
"""What one in so many destinations asks about is common."""


class Everybody:
    """Who sends: others, and the node itself from the addresses that are its `own`.

    Others stand for somebody with an address that is none of those `taken` either.
    """

    def __init__(self, family: IPFamily, own: Collection[int], taken: Collection[int] = ()) -> None:
        self._family: IPFamily = family
        self._own = frozenset(own)
        self._taken = frozenset((*own, *taken))
        self._whole = everything(family)
        self.common = Distinctions()
        """What many destinations' rules asked about: it is known beforehand of all that come."""
        self._asked: Counter[object] = Counter()
        self._rounds = 0
        self._others: dict[frozenset[int], frozenset[int]] = {}
        self._node = NodeSenders(each for each in own if not is_loopback(each, family))
        # What is not loopback has no business there.
        self._loop = NodeSenders((LOOPBACK[0] + 1 if family == "IPv4" else 1,))

    def of(self, target: Heading, known: Distinctions) -> Senders | OwnSenders:
        """Return who can send to a destination, as far as distinctions tell them apart."""
        self._rounds += 1
        if target.is_node:
            is_loop = is_loopback(target.address, self._family)
            return (self._loop if is_loop else self._node).of(known)
        return Senders(
            known,
            lambda span: of_range(span, self._family, self._taken),
            self._whole,
            self._others_of,
        )

    def remember(self, new: Distinctions) -> None:
        """Note what was asked about; what is asked again and again is common from then on.

        What few destinations ask about is not: everybody would be told apart by it for all others.
        """
        for part, items in enumerate(new):
            for item in items:
                self._asked[part, item] += 1
        again = new.only(lambda part, item: self._is_common(self._asked[part, item]))
        if again != Distinctions():
            self.common = self.common.join(again)

    def _is_common(self, count: int) -> bool:
        return count > 1 and count * _SHARE > self._rounds

    def _others_of(self, addresses: frozenset[int]) -> frozenset[int]:
        """Return addresses without the node's own; a set of a machine is asked for many times."""
        found = self._others.get(addresses)
        if found is None:
            found = self._others[addresses] = addresses - self._own
        return found
