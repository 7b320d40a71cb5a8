"""Who a packet can be from: many senders at once, as one number with a bit for each.

A sender is an address, the interface that its packets come in by, and which endpoint session
affinity remembers for it. A question about it is answered for all at once, by the bits of those for
whom it is so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, Protocol

from svcnet.meaning.spans import Span, number

Endpoint = tuple[int, int]
"""An address as a number, and a port."""

PREFERRED: tuple[int, ...] = tuple(
    map(number, ("203.0.113.77", "198.51.100.77", "192.0.2.77", "2001:db8::77", "fd00:77::77"))
)
"""Addresses that stand for anybody, wherever they do: those of documents, and a private one."""


def endpoint_of(text: str) -> Endpoint:
    """Return the endpoint that a text, such as ``10.0.0.1:80`` or ``[fd00::1]:80``, stands for."""
    address, _, port = text.rpartition(":")
    return number(address.strip("[]")), int(port)


ALL = -1
"""The bits of everybody."""


class Memory(NamedTuple):
    """The endpoint that affinity remembers for a client, and since how many seconds."""

    endpoint: Endpoint | None = None
    age: int = 0


class Sender(NamedTuple):
    """One who packets are from; ``interface`` is empty for the node itself."""

    address: int
    interface: str
    memory: Memory


class Sources(Protocol):
    """Senders that rules can ask about. Each answer is the bits of those for whom it is so."""

    @property
    def everybody(self) -> int:
        """The bits of all senders."""

    def foresee(self, spans: Iterable[Span]) -> None:
        """Say that all of these ranges are going to be asked about."""

    def network(self, span: Span) -> int:
        """Return whose address is in a range."""

    def among(self, addresses: frozenset[int]) -> int:
        """Return whose address is one of these."""

    def local(self, is_local: Callable[[int], bool]) -> int:
        """Return whose address is the machine's own."""

    def interface(self, pattern: str) -> int:
        """Return whose packets come in by an interface; ``+`` at the end stands for anything."""

    def remembers(self, endpoints: frozenset[Endpoint], seconds: int | None) -> int:
        """Return for whom one of these is remembered, since no longer than that."""


class Distinctions(NamedTuple):
    """What senders are told apart by."""

    networks: frozenset[Span] = frozenset()
    interfaces: frozenset[str] = frozenset()
    endpoints: frozenset[Endpoint] = frozenset()
    ages: frozenset[int | None] = frozenset()
    sets: frozenset[frozenset[int]] = frozenset()

    def only(self, is_wanted: Callable[[int, object], bool]) -> Distinctions:
        """Return what `is_wanted` of these, given the number of the field and the value."""
        return Distinctions(
            frozenset(each for each in self.networks if is_wanted(0, each)),
            frozenset(each for each in self.interfaces if is_wanted(1, each)),
            frozenset(each for each in self.endpoints if is_wanted(2, each)),
            frozenset(each for each in self.ages if is_wanted(3, each)),
            frozenset(each for each in self.sets if is_wanted(4, each)),
        )

    def join(self, other: Distinctions) -> Distinctions:
        """Return what either of them tells apart by."""
        return Distinctions(
            self.networks | other.networks,
            self.interfaces | other.interfaces,
            self.endpoints | other.endpoints,
            self.ages | other.ages,
            self.sets | other.sets,
        )


class Questions:
    """Questions about senders who are still one and would have to be told apart for an answer.

    Whoever is asked says that it is true of nobody, and notes the question here. What comes of such
    answers is nothing; but on the way most of what will be asked is.
    """

    def __init__(self) -> None:
        self._found: tuple[set[Any], ...] = tuple(set[Any]() for _ in Distinctions._fields)

    def __bool__(self) -> bool:
        return any(self._found)

    def note(self, **new: Iterable[object]) -> int:
        """Note what to tell senders apart by, by fields of Distinctions; the answer is nobody."""
        for name, found in zip(Distinctions._fields, self._found, strict=True):
            found.update(new.get(name, ()))
        return 0

    def distinctions(self) -> Distinctions:
        """Return what to tell senders apart by."""
        return Distinctions(*map(frozenset, self._found))


def is_like(interface: str, pattern: str) -> bool:
    """Return whether an interface has this name, or with ``+`` at its end one that begins so."""
    if pattern.endswith("+"):
        return interface.startswith(pattern[:-1])
    return interface == pattern


class OneSender:
    """A single sender, of whom everything is known."""

    def __init__(self, sender: Sender, remembered: frozenset[Endpoint]) -> None:
        self.sender = sender
        self.remembered = remembered

    @property
    def everybody(self) -> int:
        """The one bit."""
        return 1

    def foresee(self, spans: Iterable[Span]) -> None:
        """There is one sender, and no question that cannot be answered."""

    def network(self, span: Span) -> int:
        """Return whether the address is in a range."""
        return int(span[0] <= self.sender.address <= span[1])

    def among(self, addresses: frozenset[int]) -> int:
        """Return whether the address is one of these."""
        return int(self.sender.address in addresses)

    def local(self, is_local: Callable[[int], bool]) -> int:
        """Return whether the address is the machine's own."""
        return int(is_local(self.sender.address))

    def interface(self, pattern: str) -> int:
        """Return whether packets come in by an interface."""
        return int(is_like(self.sender.interface, pattern))

    def remembers(self, endpoints: frozenset[Endpoint], seconds: int | None) -> int:
        """Return whether one of these is remembered."""
        fresh = seconds is None or self.sender.memory.age <= seconds
        return int(fresh and bool(endpoints & self.remembered))


class Senders:
    """Everybody elsewhere whom given distinctions tell apart, each by one who stands for them.

    `pick` chooses of a range of addresses one that can be a sender's, or None. `others` leaves out
    of some addresses those that are nobody's elsewhere.
    What the distinctions do not answer is true of nobody, and noted in ``missing``.
    """

    def __init__(
        self,
        distinctions: Distinctions,
        pick: _Pick,
        whole: Span,
        others: Callable[[frozenset[int]], frozenset[int]] = frozenset,
    ) -> None:
        self.missing = Questions()
        self._known = distinctions
        self._starts = _starts(distinctions.networks, whole)
        self._others = others
        self._interfaces = interfaces(distinctions.interfaces)
        self._memories = list(memories(distinctions.endpoints, distinctions.ages))
        self._width = len(self._starts)
        self._end = whole[1] + 1
        ends = [*self._starts[1:], self._end]
        self._addresses = [
            pick((first, end - 1)) for first, end in zip(self._starts, ends, strict=True)
        ]
        there = sum(1 << at for at, one in enumerate(self._addresses) if one is not None)
        self._blocks = len(self._interfaces) * len(self._memories)
        self._repeat = sum(1 << (at * self._width) for at in range(self._blocks))
        self.everybody = there * self._repeat
        self._networks: dict[Span, int] = {}
        self._answers: dict[object, int] = {}

    def foresee(self, spans: Iterable[Span]) -> None:
        """Note all ranges that senders are not told apart by."""
        self.missing.note(networks=[span for span in spans if not self._is_known(span)])

    def network(self, span: Span) -> int:
        """Return whose address is in a range."""
        found = self._networks.get(span)
        if found is None:
            found = self._networks[span] = self._in(span)
        return found

    def _in(self, span: Span) -> int:
        if not self._is_known(span):
            return self.missing.note(networks=(span,))
        begin, end = bisect_left(self._starts, span[0]), bisect_left(self._starts, span[1] + 1)
        return (((1 << (end - begin)) - 1) << begin) * self._repeat

    def among(self, addresses: frozenset[int]) -> int:
        """Return whose address is one of these; nobody has one of the node's."""
        found = 0
        others = self._others(addresses)
        self.foresee((each, each) for each in others)
        for each in others:
            found |= self.network((each, each))
        return found

    def local(self, is_local: Callable[[int], bool]) -> int:
        """Return nobody: these come in by an interface."""
        return 0

    def _is_known(self, span: Span) -> bool:
        """Return whether a range begins and ends where one of ours does."""
        return span in self._networks or all(
            number == self._end or self._starts[bisect_right(self._starts, number) - 1] == number
            for number in (span[0], span[1] + 1)
        )

    def interface(self, pattern: str) -> int:
        """Return whose packets come in by an interface."""
        if pattern not in self._known.interfaces:
            return self.missing.note(interfaces=(pattern,))
        found = self._answers.get(pattern)
        if found is None:
            count = len(self._memories)
            block = (1 << (self._width * count)) - 1
            found = self._answers[pattern] = sum(
                block << (at * count * self._width)
                for at, name in enumerate(self._interfaces)
                if is_like(name, pattern)
            )
        return found

    def remembers(self, endpoints: frozenset[Endpoint], seconds: int | None) -> int:
        """Return for whom one of these is remembered, since no longer than that."""
        known = self._known
        if not endpoints:
            return 0
        if not endpoints <= known.endpoints or seconds not in known.ages:
            return self.missing.note(endpoints=endpoints, ages=(seconds,))
        key = (endpoints, seconds)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._remember(endpoints, seconds)
        return found

    def _remember(self, endpoints: frozenset[Endpoint], seconds: int | None) -> int:
        one = (1 << self._width) - 1
        count = len(self._memories)
        found = 0
        for at, (endpoint, age) in enumerate(self._memories):
            if endpoint in endpoints and (seconds is None or age <= seconds):
                for interface in range(len(self._interfaces)):
                    found |= one << ((interface * count + at) * self._width)
        return found

    def plainest(self, mask: int) -> int:
        """Return the number of one of some bits whose sender remembers nothing and is plain."""
        return plainest(mask, self.sender)

    def blocks(self, mask: int) -> Iterator[tuple[str, Memory, int]]:
        """Yield the senders of `mask`, by interface and memory: a bit for each range of addresses.

        A range's number is for :meth:`range_of`.
        """
        for at, (interface, memory) in enumerate(product(self._interfaces, self._memories)):
            found = mask >> (at * self._width) & ((1 << self._width) - 1)
            if found:
                yield interface, memory, found

    def bits(self, interface: str, memory: Memory, ranges: int) -> int:
        """Return the senders of some ranges, of one interface and memory."""
        block = self._interfaces.index(interface) * len(self._memories)
        return ranges << ((block + self._memories.index(memory)) * self._width)

    @property
    def is_long(self) -> bool:
        """Whether addresses are those of IPv6."""
        return self._end > 1 << 32

    def range_of(self, number: int) -> tuple[Span, int]:
        """Return a range of addresses that is not told apart, and who stands for it."""
        follows = self._starts[number + 1] if number + 1 < self._width else self._end
        address = self._addresses[number]
        assert address is not None
        return (self._starts[number], follows - 1), address

    def sender(self, bit: int) -> Sender:
        """Return who stands for those of a bit's number."""
        block, at = divmod(bit, self._width)
        interface, memory = divmod(block, len(self._memories))
        address = self._addresses[at]
        assert address is not None
        return Sender(address, self._interfaces[interface], self._memories[memory])


class _Pick(Protocol):
    def __call__(self, span: Span, /) -> int | None: ...


def _starts(networks: Iterable[Span], whole: Span) -> list[int]:
    """Return where ranges begin that no network cuts."""
    first, last = whole
    found = {first}
    for begin, end in networks:
        found.add(begin)
        found.add(end + 1)
    found.discard(last + 1)
    return sorted(found)


@lru_cache(1 << 10)
def interfaces(patterns: frozenset[str]) -> Sequence[str]:
    """Return an interface for each way in which patterns can be true of one."""
    exact = {each for each in patterns if not each.endswith("+")}
    begun = {_longer(each[:-1], exact) for each in patterns if each.endswith("+")}
    return sorted({_longer("eth0", exact, patterns), *exact, *begun} - {""})


def _longer(start: str, taken: Iterable[str], patterns: Iterable[str] = ()) -> str:
    """Return a name that begins so, and that is none of those taken and like none of `patterns`."""
    likes = [each for each in patterns if each != "+"]
    for name in (start, *(f"{start}{each}" for each in range(1000)), "ens192", "wan0", "uplink0"):
        if name and name not in taken and not any(is_like(name, each) for each in likes):
            return name
    return ""


def plainest(mask: int, sender: Callable[[int], Sender]) -> int:
    """Return the number of one of some bits whose sender remembers nothing and is plain."""

    def oddness(bit: int) -> tuple[bool, bool, int]:
        found = sender(bit)
        return found.memory.endpoint is not None, found.address not in PREFERRED, bit

    return min((at for at in range(mask.bit_length()) if mask >> at & 1), key=oddness)


def memories(endpoints: Iterable[Endpoint], ages: Iterable[int | None]) -> Iterable[Memory]:
    """Yield nothing remembered, and each endpoint for as long as makes a difference."""
    yield Memory()
    known = sorted(each for each in ages if each is not None)
    if None in ages or not known:
        known.append((known[-1] if known else 0) + 1)
    for endpoint in sorted(endpoints):
        for age in known:
            yield Memory(endpoint, age)
