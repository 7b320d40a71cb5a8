"""What becomes otherwise of packets from one meaning to another, by frontend and kind of source."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Protocol

from attrs import field, frozen

from svcnet.graph import FragmentName, Origin, Packet
from svcnet.meaning.outcome import FoundVerdict, RuleLine


class ChangePlace(Protocol):
    """A place in a file; ``line`` is 0 where there is no text."""

    @property
    def file(self) -> str:
        """The name of the file."""

    @property
    def line(self) -> int:
        """The line, from 1."""


@frozen
class EndChange:
    """One end that packets have, and its chance before and after.

    ``field`` is what in the objects leads there, ``place`` where that is written, ``side`` on which
    side, ``old`` or ``new``. ``choice`` is by what a virtual server chooses. ``rule`` is the line
    that does it, where rules are compared.
    """

    verdict: FoundVerdict
    before: Fraction
    after: Fraction
    field: Origin | None = None
    place: ChangePlace | None = None
    side: str = ""
    choice: str = ""
    rule: RuleLine | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; chances are text such as ``1/3``."""
        return {
            "verdict": self.verdict.to_dict(),
            "before": str(self.before),
            "after": str(self.after),
            "field": None if self.field is None else self.field.to_dict(),
            "source": place_dict(self.place),
            "side": self.side or None,
            "choice": self.choice or None,
            "rule": None if self.rule is None else self.rule.to_dict(),
        }


@frozen
class SenderKind:
    """A kind of senders, one of ``svcnet.meaning.SENDER_KINDS``.

    ``networks`` are those that it is about, if it is not about all, and so is ``interface``.
    """

    kind: str
    networks: tuple[str, ...] = ()
    interface: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``kind``, ``networks`` and ``interface``."""
        return {"kind": self.kind, "networks": [*self.networks], "interface": self.interface}


@frozen
class SenderChange:
    """What becomes otherwise of the packets of some kinds of senders.

    ``packet`` is one of them, ``age`` for how many seconds an endpoint has been remembered for its
    sender, and ``count`` how many kinds of packets end alike. ``alike`` is how many more endpoints
    are in the place of the packet's own, each with such a change. ``addresses`` are those of the
    node, for a port of it.
    """

    senders: tuple[SenderKind, ...]
    packet: Packet
    ends: tuple[EndChange, ...]
    age: int = 0
    count: int = 1
    alike: int = 0
    addresses: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys, and ``from`` for the senders."""
        return {
            "from": [each.to_dict() for each in self.senders],
            "packet": self.packet.to_dict(),
            "age": self.age,
            "ends": [each.to_dict() for each in self.ends],
            "count": self.count,
            "alike": self.alike,
            "addresses": [*self.addresses],
        }


@frozen
class FrontendChange:
    """A frontend whose packets do not end as they did.

    ``change`` is ``came``, ``went`` or ``changed``. ``frontend`` is its kind. That is empty of a
    destination that rules name: they do not say which kind it is. ``other-ports`` are those of an
    address that nobody names, ``others`` other addresses that are like this one, and
    ``unknown-connections`` packets that connection tracking does not know. ``address`` is empty of
    a node port; of other ports, and of others whatever their port, ``port`` is 0 and ``protocol``
    empty. ``old`` and
    ``new`` are the service ports that have it. ``field`` is what says so in the objects, and
    ``place`` where that is written.
    """

    change: str
    frontend: str
    address: str
    port: int
    protocol: str
    old: FragmentName | None
    new: FragmentName | None
    senders: tuple[SenderChange, ...]
    field: Origin | None = None
    place: ChangePlace | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys, and ``source`` for the place."""
        return {
            "change": self.change,
            "frontend": self.frontend,
            "address": self.address,
            "port": self.port,
            "protocol": self.protocol,
            "old": str(self.old) if self.old else None,
            "new": str(self.new) if self.new else None,
            "field": None if self.field is None else self.field.to_dict(),
            "source": place_dict(self.place),
            "senders": [each.to_dict() for each in self.senders],
        }


@frozen
class HealthCheckChange:
    """A health-check node port that came, went, or is another Service's now.

    The node itself answers there, so no rule sends its packets elsewhere.
    """

    port: int
    old: FragmentName | None
    new: FragmentName | None

    @property
    def change(self) -> str:
        """``came``, ``went`` or ``changed``."""
        return "came" if self.old is None else "went" if self.new is None else "changed"

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``change``, ``port``, ``old`` and ``new``."""
        return {
            "change": self.change,
            "port": self.port,
            "old": str(self.old) if self.old else None,
            "new": str(self.new) if self.new else None,
        }


@frozen
class KnownDifference:
    """A way in which two modes differ on purpose, told once.

    ``name`` is that of a section of the document on a mode's differences, empty where it has none,
    and ``mode`` whose. ``packet`` is one that shows it, ``ends`` what becomes of that in both
    modes. ``count`` is how many kinds of packets show it.
    """

    name: str
    text: str
    mode: str
    packet: Packet
    ends: tuple[EndChange, ...]
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys."""
        return {
            "name": self.name or None,
            "text": self.text,
            "mode": self.mode,
            "packet": self.packet.to_dict(),
            "ends": [each.to_dict() for each in self.ends],
            "count": self.count,
        }


@frozen
class ObscureRule:
    """A rule that is not understood, and of how many kinds of packets nobody can say for it.

    ``side`` is ``old`` or ``new``.
    """

    rule: RuleLine
    side: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``rule``, ``side`` and ``count``."""
        return {"rule": self.rule.to_dict(), "side": self.side, "count": self.count}


@frozen
class Rewriting:
    """Rules that are written otherwise and mean the same to every packet.

    ``old`` and ``new`` are how many only one side has; none does if they are in another order.
    ``rules`` are some of them, each with its side.
    """

    old: int
    new: int
    rules: tuple[tuple[str, RuleLine], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``old``, ``new`` and ``rules``, each with ``side`` and ``rule``."""
        rules = [{"side": side, "rule": rule.to_dict()} for side, rule in self.rules]
        return {"old": self.old, "new": self.new, "rules": rules}


@frozen
class MeaningDiff:
    """What becomes otherwise of packets from one meaning to another, for one IP family.

    ``mode`` and ``to_mode`` are whose rules are meant on either side. ``frontends`` came, went or
    changed, and ``health_checks`` too. ``known`` are differences of the two modes that have a name.
    ``same`` are service ports whose rules are written otherwise and mean the same; ``text`` says
    that rules differ which no Service has to itself. ``rewritten`` is what two dumps say otherwise
    that mean the same. ``unknown`` are rules that are not understood. ``cells`` is
    how many kinds of packets were looked at: all others are as one of them, or were not touched.
    """

    family: str
    mode: str
    to_mode: str
    cells: int
    frontends: tuple[FrontendChange, ...] = ()
    health_checks: tuple[HealthCheckChange, ...] = ()
    known: tuple[KnownDifference, ...] = ()
    same: tuple[FragmentName, ...] = ()
    text: bool = False
    unknown: tuple[ObscureRule, ...] = field(default=())
    rewritten: Rewriting | None = None

    def __bool__(self) -> bool:
        """Return whether anything becomes otherwise."""
        return bool(self.frontends or self.health_checks or self.known)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys, in camel case."""
        return {
            "family": self.family,
            "mode": self.mode,
            "toMode": self.to_mode,
            "cells": self.cells,
            "frontends": [each.to_dict() for each in self.frontends],
            "healthChecks": [each.to_dict() for each in self.health_checks],
            "known": [each.to_dict() for each in self.known],
            "same": [str(each) for each in self.same],
            "text": self.text,
            "unknown": [each.to_dict() for each in self.unknown],
            "rewritten": None if self.rewritten is None else self.rewritten.to_dict(),
        }


def place_dict(place: ChangePlace | None) -> dict[str, Any] | None:
    """Return for JSON where something is written: ``file``, and ``line``, null where none."""
    return None if place is None else {"file": place.file, "line": place.line or None}
