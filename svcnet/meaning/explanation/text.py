"""An explanation for people: the verdict first, then the way to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import takewhile

from svcnet.errors import one_line
from svcnet.graph import Deliver, Pass, Refuse
from svcnet.graph.evaluate import Verdict
from svcnet.meaning.explanation.explanation import End, Explanation, Remedy, SourcePlace, WayStep
from svcnet.meaning.explanation.sentences import endpoint_text

MOST_NAMES = 8
"""So many endpoints are named in the verdict."""

MOST_ENDS = 24
"""So many ends are told one by one; all are in the JSON form."""


def text(found: Explanation, lookup: Sequence[str] = ()) -> str:
    """Return the explanation as lines; `lookup` are those of a look-up that came before."""
    return "".join(f"{one_line(line)}\n" for line in _lines(found, lookup))


def verdict_text(ends: Iterable[tuple[Verdict, Fraction]]) -> str:
    """Return the ends of a packet in one line, those that are alike together."""
    groups: dict[tuple[str, Fraction], list[str]] = {}
    for verdict, chance in ends:
        where, how = _said(verdict)
        groups.setdefault((how, chance), []).append(where)
    return "; ".join(_group(where, how, chance) for (how, chance), where in groups.items())


def _said(verdict: Verdict) -> tuple[str, str]:
    match verdict:
        case Deliver(address, port, masquerade):
            how = "the source becomes the node's" if masquerade else "source kept"
            return endpoint_text(address, port), how
        case Refuse("reject", reason):
            return "", f"refused: {reason}"
        case Refuse(_, reason):
            return "", f"dropped: {reason}"
        case Pass():
            return "", "no Service's: left alone"


def _group(where: list[str], how: str, chance: Fraction) -> str:
    share = "" if chance == 1 else f"{chance} " if len(where) == 1 else f"{chance} each "
    if not where[0]:
        return f"{share}{how}"
    return f"{share}to {_named(where)}, {how}"


def _named(where: Sequence[str]) -> str:
    shown = ", ".join(where[:MOST_NAMES])
    more = len(where) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _lines(found: Explanation, lookup: Sequence[str]) -> Iterator[str]:
    packet = found.packet
    yield verdict_text((end.verdict, end.probability) for end in found.outcomes)
    interface = f" by {packet.interface}" if packet.interface else ""
    where = endpoint_text(packet.destination, packet.port)
    node = f" on node {found.node}" if found.node else ""
    yield (
        f"  from {packet.source}{interface} to {where}/{packet.protocol}{node}, mode {found.mode}"
    )
    if found.choice:
        yield f"  {found.choice}"
    for remark in found.remarks:
        named = f" ({remark.name})" if remark.name else ""
        yield f"  this mode: {remark.text}{named}"
    if lookup:
        yield ""
        yield "0. the name is looked up"
        yield from (f"     {line}" for line in lookup)
    shared = _shared(found.outcomes)
    for number, step in enumerate(found.outcomes[0].steps[:shared], 1):
        yield from _step(step, f"{number}. ")
    if len(found.outcomes) > 1:
        for end in found.outcomes[:MOST_ENDS]:
            yield ""
            yield f"{_chance(end)} {verdict_text([(end.verdict, Fraction(1))])}"
            for number, step in enumerate(end.steps[shared:], shared + 1):
                yield from _step(step, f"{number}. ")
        if len(found.outcomes) > MOST_ENDS:
            yield ""
            yield f"and {len(found.outcomes) - MOST_ENDS} more ends: --output json has all"
    yield from _changes(found.changes)


def _shared(ends: Sequence[End]) -> int:
    """Return how many steps all ends have in common, told by what they decide and with what."""
    first = ends[0].steps
    rows = zip(*(end.steps for end in ends), strict=False)
    count = len(list(takewhile(lambda row: all(step == row[0] for step in row), rows)))
    return len(first) if len(ends) == 1 else count


def _chance(end: End) -> str:
    if end.kernel == float(end.probability):
        return str(end.probability)
    return f"{end.probability} (in the kernel {end.kernel:.11f})"


def _step(step: WayStep, head: str) -> Iterator[str]:
    yield ""
    yield f"{head}{step.decision}"
    if step.origin is not None:
        yield f"     {step.origin}{_at(step.place)}"
    width = max((len(line.tool) for line in step.lines), default=0)
    for line in step.lines:
        yield f"     {line.tool.ljust(width)}  {line.text}"


def _at(place: SourcePlace | None) -> str:
    if place is None:
        return ""
    return f"  ({place.file}:{place.line})" if place.line else f"  ({place.file})"


def _changes(changes: Sequence[Remedy]) -> Iterator[str]:
    if not changes:
        return
    yield ""
    yield "It would get through, each tried:"
    for change in changes:
        yield f"  - {change.text}"
        if change.origin is not None:
            yield f"      {change.origin}{_at(change.place)}"
        yield f"      then {verdict_text(change.ends)}"
