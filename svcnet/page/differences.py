"""In what rules of a machine are not what objects say, for a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from svcnet.graph import FragmentName
from svcnet.meaning.comparison.difference import KINDS, PacketDifference, Verdicts
from svcnet.meaning.comparison.report import packet_text
from svcnet.meaning.explanation.text import GOES_ON, LEFT_ALONE, verdict_text
from svcnet.models import NamespacedName
from svcnet.page.problems import ERROR, WARNING, problem
from svcnet.words import count_noun

DifferencesByPort: TypeAlias = Mapping[tuple[str, FragmentName], Sequence[PacketDifference]]
"""Differences by IP family and service port."""


def by_port(verdicts: Iterable[Verdicts]) -> DifferencesByPort:
    """Return the differences that are some service port's."""
    found: dict[tuple[str, FragmentName], list[PacketDifference]] = {}
    for each in verdicts:
        for difference in each.differences:
            if difference.service_port is not None:
                found.setdefault((each.family, difference.service_port), []).append(difference)
    return found


def of_verdicts(
    verdicts: Iterable[Verdicts],
) -> Iterator[tuple[NamespacedName | None, dict[str, Any]]]:
    """Yield what a comparison found, each with the Service whose packets they are, if any's."""
    for each in verdicts:
        for difference in each.differences:
            name = difference.service_port
            yield None if name is None else NamespacedName(*name[:2]), _to_fields(difference)
        for unknown in each.unknown:
            text = f"{unknown.rule}: what becomes of {_kinds(unknown.count)} depends on it"
            yield None, problem(WARNING, "A rule that is not understood", text)


def _to_fields(each: PacketDifference) -> dict[str, Any]:
    should = verdict_text(((end.verdict, end.probability) for end in each.wanted), LEFT_ALONE)
    does = verdict_text(((end.verdict, end.probability) for end in each.found), GOES_ON)
    more = ""
    if each.count > 1:
        ports = f" of {count_noun(each.services, 'service port')}" if each.services > 1 else ""
        more = f" So it is with {_kinds(each.count)}{ports}."
    text = (
        f"{packet_text(each.packet, each.age)} should end so: {should}. It ends so: {does}.{more}"
    )
    rules = "; ".join(map(str, each.rules[:_MOST_RULES]))
    return problem(
        ERROR, f"The machine differs, {each.kind}: {KINDS[each.kind]}", text, place=rules
    )


_MOST_RULES = 3


def _kinds(count: int) -> str:
    return count_noun(count, "kind of packet", "kinds of packets")
