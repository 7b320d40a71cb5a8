"""A rule of iptables as a value: questions about a packet, and what is done if all are true."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from svcnet.meaning.chance import Chance
from svcnet.meaning.flow import PacketHead
from svcnet.meaning.sources import ALL, Sources
from svcnet.meaning.spans import Span


class Packets(Protocol):
    """What questions are about: packets of some senders, to one destination at first."""

    sources: Sources
    protocol: str
    start: PacketHead

    def comes_by(self, header: PacketHead, pattern: str) -> int:
        """Return whose packets come in by an interface."""

    def states(self, header: PacketHead) -> frozenset[str]:
        """Return what connection tracking says of a packet."""

    def type_of(self, address: int) -> str:
        """Return the type of an address to the kernel's routes."""

    def local_senders(self) -> int:
        """Return who sends from an address of the machine's own."""

    def remembers(self, name: str, seconds: int | None) -> int:
        """Return who is on a list of ``recent``, since no longer than that."""

    def in_set(self, name: str, directions: tuple[str, ...], header: PacketHead) -> int:
        """Return who is, with this destination, in a set of ipset."""


class Test(Protocol):
    """A question about packets."""

    def mask(self, header: PacketHead, packets: Packets) -> int:
        """Return the bits of the senders for whom it is true."""


class ToNetwork:
    """``-d``, and ``--dst-range``."""

    __slots__ = ("first", "is_negated", "last")

    def __init__(self, span: Span, is_negated: bool) -> None:
        self.first, self.last = span
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        return 0 if (self.first <= header.address <= self.last) == self.is_negated else ALL


class FromNetwork:
    """``-s``, and ``--src-range``."""

    __slots__ = ("is_negated", "span")

    def __init__(self, span: Span, is_negated: bool) -> None:
        self.span = span
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        found = packets.sources.network(self.span)
        return ~found if self.is_negated else found


class OfProtocol:
    """``-p``."""

    __slots__ = ("is_negated", "name")

    def __init__(self, name: str, is_negated: bool) -> None:
        self.name = name
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        return 0 if (packets.protocol == self.name) == self.is_negated else ALL


class ToPort:
    """``--dport`` and ``--dports``."""

    __slots__ = ("is_negated", "spans")

    def __init__(self, spans: tuple[Span, ...], is_negated: bool) -> None:
        self.spans = spans
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        port = header.port
        found = any(low <= port <= high for low, high in self.spans)
        return 0 if found == self.is_negated else ALL


class InBy:
    """``-i``."""

    __slots__ = ("is_negated", "pattern")

    def __init__(self, pattern: str, is_negated: bool) -> None:
        self.pattern = pattern
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        found = packets.comes_by(header, self.pattern)
        return ~found if self.is_negated else found


class HasMark:
    """``--mark`` of ``mark`` and of ``connmark``."""

    __slots__ = ("bits", "is_connection", "is_negated", "value")

    def __init__(self, value: int, bits: int, is_negated: bool, is_connection: bool) -> None:
        self.value = value
        self.bits = bits
        self.is_negated = is_negated
        self.is_connection = is_connection

    def mask(self, header: PacketHead, packets: Packets) -> int:
        mark = header.connmark if self.is_connection else header.mark
        return 0 if (mark & self.bits == self.value) == self.is_negated else ALL


class InState:
    """``--ctstate`` and ``--state``."""

    __slots__ = ("is_negated", "names")

    def __init__(self, names: frozenset[str], is_negated: bool) -> None:
        self.names = names
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        return 0 if bool(self.names & packets.states(header)) == self.is_negated else ALL


class OriginallyTo:
    """``--ctorigdst`` and ``--ctorigdstport``."""

    __slots__ = ("is_negated", "is_port", "spans")

    def __init__(self, spans: tuple[Span, ...], is_port: bool, is_negated: bool) -> None:
        self.spans = spans
        self.is_port = is_port
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        number = packets.start.port if self.is_port else packets.start.address
        found = any(low <= number <= high for low, high in self.spans)
        return 0 if found == self.is_negated else ALL


class ToType:
    """``--dst-type``."""

    __slots__ = ("is_negated", "types")

    def __init__(self, types: frozenset[str], is_negated: bool) -> None:
        self.types = types
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        return 0 if (packets.type_of(header.address) in self.types) == self.is_negated else ALL


class FromLocal:
    """``--src-type`` of LOCAL or UNICAST."""

    __slots__ = ("is_negated", "types")

    def __init__(self, types: frozenset[str], is_negated: bool) -> None:
        self.types = types
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        local = packets.local_senders()
        found = (local if "LOCAL" in self.types else 0) | (~local if "UNICAST" in self.types else 0)
        return ~found if self.is_negated else found


class Remembers:
    """``--rcheck`` and ``--update`` of ``recent``."""

    __slots__ = ("is_negated", "name", "seconds")

    def __init__(self, name: str, seconds: int | None, is_negated: bool) -> None:
        self.name = name
        self.seconds = seconds
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        found = packets.remembers(self.name, self.seconds)
        return ~found if self.is_negated else found


class InSet:
    """``--match-set`` of a set that is known."""

    __slots__ = ("directions", "is_negated", "name")

    def __init__(self, name: str, directions: tuple[str, ...], is_negated: bool) -> None:
        self.name = name
        self.directions = directions
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        found = packets.in_set(self.name, self.directions, header)
        return ~found if self.is_negated else found


class SentBy:
    """``--vaddr``, ``--vproto`` and ``--vport`` of ``ipvs``: which virtual server sent it on.

    What is None does not matter; with nothing else it is any virtual server.
    """

    __slots__ = ("address", "is_negated", "port", "protocol")

    def __init__(
        self,
        address: Span | None = None,
        protocol: str | None = None,
        port: int | None = None,
        *,
        is_negated: bool,
    ) -> None:
        self.address = address
        self.protocol = protocol
        self.port = port
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        server = header.balancer
        if server is None:
            only = self.address is None and self.protocol is None and self.port is None
            return ALL if only and self.is_negated else 0
        found = (
            (self.address is None or self.address[0] <= server.address <= self.address[1])
            and self.protocol in (None, server.protocol)
            and self.port in (None, server.port)
        )
        return 0 if found == self.is_negated else ALL


class Never:
    """What is never true of a packet that begins a connection and has ports."""

    __slots__ = ("is_negated",)

    def __init__(self, is_negated: bool) -> None:
        self.is_negated = is_negated

    def mask(self, header: PacketHead, packets: Packets) -> int:
        return ALL if self.is_negated else 0


Action: TypeAlias = Literal[
    "nothing",
    "accept",
    "drop",
    "reject",
    "return",
    "jump",
    "goto",
    "mark",
    "connmark",
    "save-mark",
    "restore-mark",
    "dnat",
    "snat",
    "redirect",
    "untrack",
    "unknown",
]
"""What a rule does."""


Key = tuple[int, str, int]
"""The one address, protocol and port that a rule is for."""


class XTRule:
    """One rule.

    ``tests`` are what it asks; ``rest`` what is left of that for who knows its ``key``;
    ``portal`` is the protocol and port of one that is for any address.

    ``chance`` is with what luck it matches, ``doubt`` what of it is not understood; ``way`` is the
    interface of ``-o``, with whether it is negated. What the action needs is in ``chain``,
    ``change`` (of a mark: what is cleared, and what is then turned over), ``endpoint`` and
    ``source``.
    """

    __slots__ = (
        *("action", "chain", "chance", "change", "doubt", "endpoint", "home", "key", "place"),
        *("portal", "rest", "source", "table", "tests", "text", "way"),
    )

    def __init__(self, table: str, home: str, place: int, text: str) -> None:
        self.table = table
        self.home = home
        self.place = place
        self.text = text
        self.tests: tuple[Test, ...] = ()
        self.rest: tuple[Test, ...] = ()
        self.key: Key | None = None
        self.portal: tuple[str, int] | None = None
        self.chance: Chance | None = None
        self.doubt = ""
        self.way: tuple[str, bool] | None = None
        self.action: Action = "nothing"
        self.chain = ""
        self.change = (0, 0)
        self.endpoint: tuple[int | None, int | None] = (None, None)
        self.source = ""

    def __repr__(self) -> str:
        return f"-A {self.home} {self.text}"
