"""Sets of ipset, as ``ipset save`` prints them: whose packets are in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from svcnet.errors import UsageError
from svcnet.family import IPFamily
from svcnet.meaning import spans
from svcnet.meaning.facts import SetMembers, SetPlace, SetSenders
from svcnet.meaning.spans import Span

_PARTS = ("ip", "net", "port")
_PORTS: Span = (0, 0xFFFF)
_NUMBERS = ("tcp", "udp", "sctp")


Part: TypeAlias = tuple[str | None, Span]
"""A range of addresses, or of ports with the protocol that they are of."""

SenderRanges: TypeAlias = tuple[Span, ...]
"""The ranges that a sender is to be in."""


class MemberList:
    """The members of one set, part by part.

    A part that is a port is compared with the packet's destination port.
    """

    def __init__(self, parts: tuple[str, ...], family: IPFamily | None) -> None:
        self.parts = parts
        self.family = family
        self.entries: list[tuple[Part, ...]] = []
        self._indexes: dict[tuple[str, ...], _Index] = {}

    def senders(
        self, directions: tuple[str, ...], address: int, protocol: str, port: int
    ) -> SetSenders:
        """Return who is in it of those that send to a destination."""
        index = self._indexes.get(directions)
        if index is None:
            index = self._indexes[directions] = _Index(self._members(directions))
        return index.at(address, protocol, port)

    def destinations(self, directions: tuple[str, ...]) -> Iterator[SetPlace]:
        """Yield what each member says of the destination."""
        return (place for place, _ in self._members(directions))

    def _members(self, directions: tuple[str, ...]) -> Iterator[tuple[SetPlace, SenderRanges]]:
        """Yield what each member says of the destination, and what it asks of the sender."""
        for entry in self.entries:
            addresses: Span | None = None
            protocol: str | None = None
            ports: Span | None = None
            asked: list[Span] = []
            for (name, span), part, way in zip(entry, self.parts, directions, strict=False):
                if part == "port":
                    protocol, ports = name, span
                elif way == "src":
                    asked.append(span)
                else:
                    both = addresses or span
                    addresses = max(both[0], span[0]), min(both[1], span[1])
            if addresses is None or addresses[0] <= addresses[1]:
                yield SetPlace(addresses, protocol, ports), tuple(asked)


class _Index:
    """Members by the one destination that they are for, and those that are for several."""

    def __init__(self, members: Iterable[tuple[SetPlace, SenderRanges]]) -> None:
        self._exact: dict[object, list[SenderRanges]] = {}
        self._others: list[tuple[SetPlace, SenderRanges]] = []
        self._known: dict[object, SetSenders] = {}
        for place, asked in members:
            addresses, protocol, ports = place
            if (addresses and addresses[0] != addresses[1]) or (ports and ports[0] != ports[1]):
                self._others.append((place, asked))
                continue
            key = (addresses and addresses[0], protocol, ports and ports[0])
            self._exact.setdefault(key, []).append(asked)

    def at(self, address: int, protocol: str, port: int) -> SetSenders:
        """Return who is in the set of those that send to a destination."""
        keys = [
            key
            for key in (
                *((address, protocol, port), (address, None, port), (address, None, None)),
                *((None, protocol, port), (None, None, port), (None, None, None)),
            )
            if key in self._exact
        ]
        others = [
            number
            for number, ((addresses, name, ports), _) in enumerate(self._others)
            if (addresses is None or addresses[0] <= address <= addresses[1])
            and (name is None or name == protocol)
            and (ports is None or ports[0] <= port <= ports[1])
        ]
        if not keys and not others:
            return _NOBODY
        # The same members ask the same thing of the senders to many a destination.
        there = (*keys, *others)
        found = self._known.get(there)
        if found is None:
            members = [asked for key in keys for asked in self._exact[key]]
            members += [self._others[number][1] for number in others]
            found = self._known[there] = _senders(members)
        return found


_NOBODY = SetSenders(False, frozenset(), ())


_FEW = 8
"""With fewer addresses than this each is asked about by itself."""


def _senders(members: list[SenderRanges]) -> SetSenders:
    if len(members) < _FEW:
        return SetSenders(not all(members), frozenset(), tuple(members))
    singles = [each[0][0] for each in members if len(each) == 1 and each[0][0] == each[0][1]]
    ranges = [each for each in members if not (len(each) == 1 and each[0][0] == each[0][1])]
    return SetSenders(not all(members), frozenset(singles), tuple(ranges))


def read_sets(file: str, text: str) -> Mapping[str, SetMembers]:
    """Return the sets whose members are addresses, networks and ports.

    Sets of another type, and those with members that are exceptions, are left out: rules that ask
    for them are not understood. Raises :class:`svcnet.errors.UsageError` for what is no such line.
    """
    found: dict[str, MemberList] = {}
    unknown: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#") or words == ["COMMIT"]:
            continue
        if words[0] == "create" and len(words) >= 3:
            parts = tuple(words[2].partition(":")[2].split(","))
            if set(parts) <= set(_PARTS):
                family: IPFamily = "IPv6" if "inet6" in words else "IPv4"
                found[words[1]] = MemberList(parts, None if parts == ("port",) else family)
            else:
                unknown.add(words[1])
        elif words[0] == "add" and len(words) >= 3 and words[1] in found:
            try:
                if "nomatch" in words:
                    raise ValueError(line)
                found[words[1]].entries.append(tuple(_entry(words[2], found[words[1]].parts)))
            except ValueError:
                found.pop(words[1])
                unknown.add(words[1])
        elif words[0] != "add" or len(words) < 3 or words[1] not in unknown:
            raise UsageError(f"{file}:{number}: it is no line of ipset save: {line!r}")
    return found


def _entry(text: str, parts: tuple[str, ...]) -> Iterator[Part]:
    """Yield the parts of a member. Raises ValueError for what is none."""
    for word, part in zip(text.split(","), parts, strict=True):
        if part == "port":
            protocol, colon, numbers = word.rpartition(":")
            if colon and protocol not in _NUMBERS:
                # ICMP has types there and no ports; nobody of ours sends it.
                yield protocol, _PORTS
            else:
                yield protocol or None, spans.ports(numbers.replace("-", ":"))
        elif "-" in word:
            yield None, spans.between(word)
        else:
            yield None, spans.network(word)
