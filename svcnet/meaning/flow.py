"""Packets of many senders on one way through rules."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from svcnet.meaning.chance import Luck


class Balancer(NamedTuple):
    """The virtual server that has sent a packet on, and how it chose where to.

    ``choice`` is empty if chances say all of that.
    """

    address: int
    protocol: str
    port: int
    choice: str = ""


class PacketHead(NamedTuple):
    """What rules may have changed of a packet, and what the kernel notes beside it.

    ``address`` and ``port`` are where it is headed now. ``source`` is what it was given in place
    of its own: empty for that, ``node`` for an address of the node's, else an address.
    ``way`` is the interface it leaves by, as far as that was assumed. ``balancer`` is the virtual
    server that has sent it on, if one has. It ``is_redirected`` if it was sent to the machine
    itself, whatever its address.
    """

    address: int
    port: int
    mark: int = 0
    connmark: int = 0
    is_translated: bool = False
    source: str = ""
    is_tracked: bool = True
    is_looped: bool = False
    way: str = ""
    balancer: Balancer | None = None
    is_redirected: bool = False

    def with_destination(self, address: int, port: int) -> PacketHead:
        """Return the same, translated; by which way it leaves then is open again."""
        return self._replace(address=address, port=port, is_translated=True, way="")

    def with_own_port(self, address: int, port: int) -> PacketHead:
        """Return the same, sent to a port of the machine's own."""
        return self.with_destination(address, port)._replace(is_redirected=True)

    def with_marks(self, mark: int, connmark: int) -> PacketHead:
        """Return the same with other marks."""
        return self._replace(mark=mark, connmark=connmark)

    def with_source(self, source: str) -> PacketHead:
        """Return the same with another source."""
        return self._replace(source=source)

    def sent_by(self, balancer: Balancer, address: int, port: int) -> PacketHead:
        """Return the same, translated and sent on by a virtual server."""
        return self._replace(
            address=address, port=port, is_translated=True, way="", balancer=balancer
        )


class Branch:
    """Some senders' packets that had the same luck and are treated alike so far.

    ``doubts`` are what was assumed of rules that are not understood: which, and whether they
    match. ``path`` are the rules that matched, if somebody wants to know.
    """

    __slots__ = ("doubts", "header", "luck", "mask", "path")

    def __init__(
        self,
        mask: int,
        luck: Luck,
        header: PacketHead,
        doubts: tuple[Doubt, ...] = (),
        path: tuple[object, ...] = (),
    ) -> None:
        self.mask = mask
        self.luck = luck
        self.header = header
        self.doubts = doubts
        self.path = path

    def of(self, mask: int) -> Branch:
        """Return what is of some of the senders."""
        return Branch(mask, self.luck, self.header, self.doubts, self.path)

    def by(self, luck: Luck) -> Branch:
        """Return what had some luck."""
        return Branch(self.mask, luck, self.header, self.doubts, self.path)

    def with_header(self, header: PacketHead) -> Branch:
        """Return the same with another header."""
        return Branch(self.mask, self.luck, header, self.doubts, self.path)

    def assuming(self, doubt: Doubt) -> Branch:
        """Return the same, if what is assumed is so."""
        return Branch(self.mask, self.luck, self.header, (*self.doubts, doubt), self.path)

    def past(self, rule: object) -> Branch:
        """Return the same, once a rule has matched."""
        return Branch(self.mask, self.luck, self.header, self.doubts, (*self.path, rule))


Doubt = tuple[object, bool, object]
"""What is asked, what is assumed of it, and the rule that is not understood."""


class Meetings:
    """Notes which of some rules packets match."""

    __slots__ = ("met", "rules")

    def __init__(self, rules: Container[object], met: set[object]) -> None:
        self.rules = rules
        self.met = met

    def note(self, rule: object) -> None:
        """Note that packets match a rule."""
        if rule in self.rules:
            self.met.add(rule)


class Leaf:
    """How packets of some senders end: ``kind`` is deliver, drop, reject, pass or unknown.

    ``rule`` is the one that ended it, None for nothing but the policy.
    """

    __slots__ = ("flow", "kind", "rule")

    def __init__(self, kind: str, flow: Branch, rule: object = None) -> None:
        self.kind = kind
        self.flow = flow
        self.rule = rule
