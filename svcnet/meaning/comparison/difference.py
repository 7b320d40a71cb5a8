"""What differs between what rules do and what they should: told by its cause, with one packet."""

from __future__ import annotations

from itertools import chain
from typing import Any, Protocol

from attrs import evolve, frozen

from svcnet.graph import Deliver, FragmentName, Origin, Outcome, Packet, Pass, Refuse
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, Redirect, Rewrite, RuleLine, Unknown

KINDS = {
    "missing": "the Service is not served",
    "no way in": "nothing leads packets to the rules for Services",
    "missing endpoint": "an endpoint gets nothing",
    "stale endpoint": "packets go to what is no endpoint",
    "wrong endpoint": "packets go to others than they should",
    "wrong weight": "the chances are not what they should be",
    "wrong scheduler": "the kernel chooses among the endpoints in another way than it should",
    "affinity": "a client is not kept at its endpoint as it should be",
    "source not kept": "the client's address is hidden and should be kept",
    "masquerade missing": "the client's address is kept and should be hidden",
    "wrong source": "the client's address is hidden by another one than it should be",
    "refused": "packets are refused and should not be",
    "not refused": "packets are not refused and should be",
    "wrong refusal": "packets are refused in another way than they should be",
    "stale": "there are rules for what is no Service's",
    "foreign rule": "a rule of somebody else decides",
}
"""Each kind of difference, and what it means."""


class FieldPlace(Protocol):
    """A place in a file."""

    def to_dict(self) -> dict[str, str | int]:
        """Return it for JSON."""


@frozen
class PacketDifference:
    """One cause for which packets do not end as they should.

    ``packet`` is one that shows it, and ``age`` for how many seconds an endpoint has been
    remembered for its sender. ``wanted`` and ``found`` are how it should end and how it does.
    ``service_port`` is whose packets they are, None for nobody's; ``field`` what in the objects
    says how they should end, and ``place`` where that is written. ``rules`` are those that do it.
    ``count`` is how many kinds of packets show it, and ``services`` of how many service ports.
    """

    kind: str
    packet: Packet
    age: int
    wanted: tuple[Outcome, ...]
    found: tuple[FoundOutcome, ...]
    service_port: FragmentName | None
    field: Origin | None
    rules: tuple[RuleLine, ...]
    place: FieldPlace | None = None
    count: int = 1
    services: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys."""
        return {
            "kind": self.kind,
            "packet": self.packet.to_dict(),
            "age": self.age,
            "wanted": [outcome.to_dict() for outcome in self.wanted],
            "found": [outcome.to_dict() for outcome in self.found],
            "servicePort": str(self.service_port) if self.service_port else "",
            "field": self.field.to_dict() if self.field else None,
            "place": self.place.to_dict() if self.place else None,
            "rules": [rule.to_dict() for rule in self.rules],
            "count": self.count,
            "services": self.services,
        }


@frozen
class Obscurity:
    """A rule that is not understood, and of how many kinds of packets nobody can say for it."""

    rule: RuleLine
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``rule`` and ``count``."""
        return {"rule": self.rule.to_dict(), "count": self.count}


@frozen
class ShadowedRule:
    """A rule of somebody else that would decide what becomes of a Service's packets and never does.

    ``packet`` is one that it would be for, of ``service_port``, and ``before`` the rule that
    decides instead, None if none does.
    """

    rule: RuleLine
    packet: Packet
    service_port: FragmentName
    before: RuleLine | None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys."""
        return {
            "rule": self.rule.to_dict(),
            "packet": self.packet.to_dict(),
            "servicePort": str(self.service_port),
            "before": None if self.before is None else self.before.to_dict(),
        }


@frozen
class Verdicts:
    """Whether the rules of a machine mean what objects say, for one IP family.

    ``cells`` is how many kinds of packets were looked at: for none but those that
    ``differences`` and ``unknown`` tell of is there any doubt. ``shadowed`` are rules of others
    that never matter to a Service's packets. They make no difference.
    """

    family: str
    mode: str
    cells: int
    differences: tuple[PacketDifference, ...]
    unknown: tuple[Obscurity, ...]
    shadowed: tuple[ShadowedRule, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys."""
        return {
            "family": self.family,
            "mode": self.mode,
            "cells": self.cells,
            "differences": [each.to_dict() for each in self.differences],
            "unknown": [each.to_dict() for each in self.unknown],
            "shadowed": [each.to_dict() for each in self.shadowed],
        }


def kind_of(
    wanted: tuple[Outcome, ...], found: tuple[FoundOutcome, ...], *, is_foreign: bool, age: int
) -> str:
    """Return in which way a packet does not end as it should."""
    if is_foreign:
        return "foreign rule"
    should = {each.verdict for each in wanted}
    does = {each.verdict for each in found}
    if all(isinstance(each, Pass) for each in should):
        return "stale"
    if any(isinstance(each, Refuse) for each in should):
        refuses = all(isinstance(each, Refuse) for each in does)
        return "wrong refusal" if refuses else "not refused"
    if any(isinstance(each, Refuse | Unknown) for each in does):
        return "refused"
    if any(
        isinstance(each, Pass) or (isinstance(each, Rewrite) and not each.address) for each in does
    ):
        return "missing"
    kind = _of_deliveries(
        {each for each in should if isinstance(each, Deliver)}, set(map(_delivery, does)), age
    )
    is_other = any(isinstance(each, Rewrite) for each in does)
    return "wrong source" if is_other and kind == "wrong weight" else kind


def _delivery(verdict: FoundVerdict) -> Deliver:
    """Return where packets go, and whether with their own source."""
    if isinstance(verdict, Rewrite):
        return Deliver(verdict.address, verdict.port, masquerade=True)
    if isinstance(verdict, Redirect):
        return Deliver("", verdict.port, bool(verdict.source))
    assert isinstance(verdict, Deliver)
    return verdict


def _of_deliveries(should: set[Deliver], does: set[Deliver], age: int) -> str:
    wanted = {(each.address, each.port) for each in should}
    found = {(each.address, each.port) for each in does}
    if wanted != found and age:
        return "affinity"
    if wanted < found:
        return "stale endpoint"
    if found < wanted:
        return "missing endpoint"
    if wanted != found:
        return "wrong endpoint"
    if should == does:
        return "wrong weight"
    hidden = {each for each in does if each.masquerade} - should
    return "source not kept" if hidden else "masquerade missing"


def together(differences: list[tuple[object, PacketDifference]]) -> list[PacketDifference]:
    """Return differences of one cause as one, with how many there are."""
    causes: dict[tuple[str, object], list[PacketDifference]] = {}
    for cause, each in differences:
        causes.setdefault((each.kind, cause), []).append(each)
    kinds: dict[str, list[list[PacketDifference]]] = {}
    for (kind, _), same in causes.items():
        kinds.setdefault(kind, []).append(same)
    return [
        _merge(same)
        for groups in kinds.values()
        for same in ([list(chain.from_iterable(groups))] if len(groups) > _MANY else groups)
    ]


_MANY = 20
"""So many differences of a kind have one cause, or nobody would read them one by one."""


def _plainness(each: PacketDifference) -> tuple[bool, bool, bool]:
    """Return what makes one packet a better example than another."""
    frontend = each.field is not None and "nodePort" in each.field.path
    return not each.packet.interface, bool(each.packet.remembered), frontend


def _merge(same: list[PacketDifference]) -> PacketDifference:
    return evolve(
        min(same, key=_plainness),
        count=sum(each.count for each in same),
        services=len({each.service_port for each in same}),
    )
