"""Sets of ipset, as ``ipset save`` prints them: whose packets are in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from svcnet.errors import UsageError
from svcnet.meaning import spans
from svcnet.meaning.facts import SetMembers
from svcnet.meaning.spans import Span

_PARTS = ("ip", "net", "port")
_PORTS: Span = (0, 0xFFFF)
_NUMBERS = ("tcp", "udp", "sctp")


Part: TypeAlias = tuple[str | None, Span]
"""A range of addresses, or of ports with the protocol that they are of."""


class MemberList:
    """The members of one set, part by part."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.entries: list[tuple[Part, ...]] = []

    def members(self, port: int | None, protocol: str) -> Iterable[tuple[Span | None, ...]]:
        """Yield the members for a port and protocol, or all: a range for each part, None for ports.

        A part that is a port is compared with the packet's destination port.
        """
        for entry in self.entries:
            if port is None or all(
                _is_for(each, port, protocol)
                for each, part in zip(entry, self.parts, strict=True)
                if part == "port"
            ):
                yield tuple(
                    None if part == "port" else each[1]
                    for each, part in zip(entry, self.parts, strict=True)
                )


def _is_for(entry: Part, port: int, protocol: str) -> bool:
    name, (first, last) = entry
    return first <= port <= last and name in (None, protocol)


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
                found[words[1]] = MemberList(parts)
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
