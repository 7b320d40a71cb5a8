"""A packet as people ask of it: who sends it, and where it goes to, by name."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from svcnet.errors import UsageError
from svcnet.family import IPFamily
from svcnet.graph import Packet
from svcnet.meaning.explanation.destinations import (
    Destination,
    PacketTarget,
    destination,
    family_of_target,
)
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.senders import family_of_sender, sender


@frozen
class AskedPacket:
    """Who sends a packet, where it goes to, and how it comes, as these are said.

    ``interface`` is None where it follows from who sends.
    """

    who: str
    target: PacketTarget
    interface: str | None = None
    affinity: Iterable[str] = ()

    def family(self, given: IPFamily | None) -> IPFamily | None:
        """Return the IP family that addresses decide, or else `given`. Raises UsageError."""
        found = family_of_target(self.target) or family_of_sender(self.who)
        if found is None:
            return given
        if given is not None and given != found:
            raise UsageError(
                f"--family is {given.lower()}, and the packet's addresses are of {found}"
            )
        return found

    def packet(self, question: Question) -> tuple[Packet, Destination]:
        """Return the packet that is meant, and how its destination was found.

        Raises UsageError for what cannot be, and AbsentError for what the objects do not have.
        """
        namespace = self.who.split("/")[1] if self.who.startswith("pod/") else "default"
        where = destination(self.target, question.state, question.view, namespace)
        found = sender(self.who, question.state, question.view)
        through = found.interface if self.interface is None else self.interface
        return self.to(where, found.address, through), where

    def to(self, where: Destination, source: str, interface: str) -> Packet:
        """Return the packet from an address to where it goes."""
        address = where.address
        if self.who == "node" and (address.startswith("127.") or address == "::1"):
            source = address  # the kernel's choice of a source for it
        remembered = frozenset(self.affinity)
        return Packet(source, address, where.port, where.protocol, interface, remembered)
