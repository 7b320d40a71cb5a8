"""What the node itself sends: from one of the addresses that it has, however many those are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from svcnet.meaning.sources import (
    Distinctions,
    Endpoint,
    Memory,
    Questions,
    Sender,
    is_like,
    memories,
    plainest,
)
from svcnet.meaning.spans import Span


class OwnSenders:
    """All processes of the node whom given distinctions tell apart, each by one of its kind.

    `addresses` are those that they can send from, in their order. What the distinctions do not
    answer is true of nobody, and noted in ``missing``.
    """

    def __init__(self, distinctions: Distinctions, addresses: Sequence[int]) -> None:
        self.missing = Questions()
        self._known = distinctions
        self._own = frozenset(addresses)
        self._addresses = addresses
        self._memories = list(memories(distinctions.endpoints, distinctions.ages))
        bounds = sorted({at for low, high in distinctions.networks for at in (low, high + 1)})
        self._bounds = frozenset(bounds)
        kinds: dict[object, int] = {}
        for address in addresses:
            kind = (
                bisect_right(bounds, address),
                *(address in some for some in distinctions.sets),
            )
            kinds.setdefault(kind, address)
        self._kinds = list(kinds.values())
        self._width = len(self._kinds)
        self._repeat = sum(1 << (at * self._width) for at in range(len(self._memories)))
        self.everybody = ((1 << self._width) - 1) * self._repeat
        self._answers: dict[object, int] = {}

    def foresee(self, spans: Iterable[Span]) -> None:
        """Note all ranges that senders are not told apart by."""
        self.missing.note(networks=[span for span in spans if not self._is_known(span)])

    def _is_known(self, span: Span) -> bool:
        """Return whether a range has none of the addresses, or ends where others do."""
        if span in self._known.networks or not has_any(self._addresses, span):
            return True
        return all(
            at in self._bounds or not has_any(self._addresses, beyond)
            for at, beyond in (
                (span[0], (0, span[0] - 1)),
                (span[1] + 1, (span[1] + 1, 1 << 128)),
            )
        )

    def network(self, span: Span) -> int:
        """Return whose address is in a range."""
        found = self._answers.get(span)
        if found is None:
            if not self._is_known(span):
                return self.missing.note(networks=(span,))
            first, last = span
            found = self._answers[span] = self._of(lambda address: first <= address <= last)
        return found

    def among(self, addresses: frozenset[int]) -> int:
        """Return whose address is one of these."""
        found = self._answers.get(addresses)
        if found is None:
            if addresses not in self._known.sets and not addresses.isdisjoint(self._own):
                return self.missing.note(sets=(addresses,))
            found = self._answers[addresses] = self._of(addresses.__contains__)
        return found

    def _of(self, is_wanted: Callable[[int], bool]) -> int:
        return self._repeat * sum(
            1 << at for at, address in enumerate(self._kinds) if is_wanted(address)
        )

    def local(self, is_local: Callable[[int], bool]) -> int:
        """Return everybody: it is the node that sends."""
        return self.everybody

    def interface(self, pattern: str) -> int:
        """Return whose packets come in by an interface: nobody's do."""
        return self.everybody if is_like("", pattern) else 0

    def remembers(self, endpoints: frozenset[Endpoint], seconds: int | None) -> int:
        """Return for whom one of these is remembered, since no longer than that."""
        known = self._known
        if not endpoints:
            return 0
        if not endpoints <= known.endpoints or seconds not in known.ages:
            return self.missing.note(endpoints=endpoints, ages=(seconds,))
        one = (1 << self._width) - 1
        return sum(
            one << (at * self._width)
            for at, (endpoint, age) in enumerate(self._memories)
            if endpoint in endpoints and (seconds is None or age <= seconds)
        )

    def plainest(self, mask: int) -> int:
        """Return the number of one of some bits whose sender remembers nothing and is plain."""
        return plainest(mask, self.sender)

    def blocks(self, mask: int) -> Iterator[tuple[str, Memory, int]]:
        """Yield the senders of `mask` by memory, a bit for each kind of addresses.

        A kind's number is for :meth:`range_of`. The interface is empty.
        """
        for at, memory in enumerate(self._memories):
            found = mask >> (at * self._width) & ((1 << self._width) - 1)
            if found:
                yield "", memory, found

    def bits(self, interface: str, memory: Memory, ranges: int) -> int:
        """Return the senders of some kinds of addresses, of one memory."""
        return ranges << (self._memories.index(memory) * self._width)

    @property
    def is_long(self) -> bool:
        """Whether addresses are those of IPv6."""
        return self._kinds[-1] >= 1 << 32 or self._kinds == [1]

    def range_of(self, number: int) -> tuple[Span, int]:
        """Return an address that stands for a kind, as a range too."""
        address = self._kinds[number]
        return (address, address), address

    def sender(self, bit: int) -> Sender:
        """Return who stands for those of a bit's number."""
        memory, at = divmod(bit, self._width)
        return Sender(self._kinds[at], "", self._memories[memory])


class NodeSenders:
    """Remembers senders of the node: those of one destination are mostly those of the next."""

    def __init__(self, addresses: Iterable[int]) -> None:
        self._addresses = sorted(addresses)
        self._own = frozenset(self._addresses)
        self._made: dict[Distinctions, OwnSenders] = {}

    def of(self, distinctions: Distinctions) -> OwnSenders:
        """Return the senders that distinctions tell apart; those that tell none apart are left."""
        known = distinctions._replace(
            networks=frozenset(
                span for span in distinctions.networks if has_any(self._addresses, span)
            ),
            interfaces=frozenset(),
            sets=frozenset(some for some in distinctions.sets if not some.isdisjoint(self._own)),
        )
        found = self._made.get(known)
        if found is None or found.missing:
            found = self._made[known] = OwnSenders(known, self._addresses)
        return found


def has_any(addresses: Sequence[int], span: Span) -> bool:
    """Return whether a range has any of some addresses, which are in their order."""
    at = bisect_left(addresses, span[0])
    return at < len(addresses) and addresses[at] <= span[1]
