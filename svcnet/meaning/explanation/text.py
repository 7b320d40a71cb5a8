"""An explanation for people: the verdict first, then the way to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import takewhile

from svcnet.errors import one_line
from svcnet.graph import Deliver, Pass, Refuse
from svcnet.meaning.explanation.explanation import (
    End,
    Explanation,
    Remedy,
    RuleCase,
    SourcePlace,
    WayStep,
)
from svcnet.meaning.explanation.sentences import endpoint_text, source_text
from svcnet.meaning.outcome import FoundVerdict, Redirect, Rewrite, Unknown
from svcnet.meaning.userspace.ruleset import TABLE as PROXY
from svcnet.words import count_noun, cut_line, list_some

MOST_NAMES = 8
"""So many endpoints are named in the verdict."""

MOST_ENDS = 24
"""So many ends are told one by one; all are in the JSON form."""


def text(found: Explanation, lookup: Sequence[str] = ()) -> str:
    """Return the explanation as lines; `lookup` are those of a look-up that came before."""
    return "".join(f"{one_line(cut_line(line))}\n" for line in _lines(found, lookup))


def merge_ends(
    ends: Iterable[tuple[FoundVerdict, Fraction]],
) -> tuple[tuple[FoundVerdict, Fraction], ...]:
    """Return ends that are alike once, with their chances together."""
    found: dict[FoundVerdict, Fraction] = {}
    for verdict, chance in ends:
        found[verdict] = found.get(verdict, Fraction(0)) + chance
    return tuple(found.items())


LEFT_ALONE = "no Service's: left alone"
"""What is told of a packet for which a mode has no rules."""

GOES_ON = "goes on as it is"
"""What is told of a packet to which rules of a machine do nothing."""


def verdict_text(ends: Iterable[tuple[FoundVerdict, Fraction]], untouched: str = LEFT_ALONE) -> str:
    """Return the ends of a packet in one line, those that are alike together.

    `untouched` is what is told of one to which nothing is done.
    """
    groups: dict[tuple[str, Fraction], list[str]] = {}
    for verdict, chance in merge_ends(ends):
        where, how = _describe(verdict, untouched)
        groups.setdefault((how, chance), []).append(where)
    return "; ".join(_group(where, how, chance) for (how, chance), where in groups.items())


def passage_text(found: Explanation) -> str:
    """Return what is told of a packet to which nothing is done."""
    return GOES_ON if found.files else LEFT_ALONE


def _describe(verdict: FoundVerdict, untouched: str) -> tuple[str, str]:
    match verdict:
        case Deliver(address, port, masquerade):
            how = "the source becomes the node's" if masquerade else "source kept"
            return endpoint_text(address, port), how
        case Refuse("reject", reason):
            return "", f"refused: {reason}"
        case Refuse(_, reason):
            return "", f"dropped: {reason}"
        case Pass():
            return "", untouched
        case Rewrite(source, address, port):
            how = f"the source becomes {source_text(source)}"
            return (endpoint_text(address, port), how) if address else ("", f"goes on, {how}")
        case Redirect(port, source):
            given = "source kept" if not source else f"the source becomes {source_text(source)}"
            return f"port {port} of the machine itself", given
        case Unknown(rules):
            why = "is not understood" if rules else "nobody said"
            if any(rule.table == PROXY for rule in rules):
                why = "a proxy serves, which nobody said"
            return "", f"unknown: it depends on what {why}"


def _group(where: list[str], how: str, chance: Fraction) -> str:
    share = "" if chance == 1 else f"{chance} " if len(where) == 1 else f"{chance} each "
    if not where[0]:
        return f"{share}{how}"
    return f"{share}to {list_some(where, MOST_NAMES)}, {how}"


def _lines(found: Explanation, lookup: Sequence[str]) -> Iterator[str]:
    packet = found.packet
    untouched = passage_text(found)
    yield verdict_text(((end.verdict, end.probability) for end in found.outcomes), untouched)
    interface = f" by {packet.interface}" if packet.interface else ""
    where = endpoint_text(packet.destination, packet.port)
    node = f" on node {found.node}" if found.node else ""
    rules = f", by the rules in {', '.join(found.files)}" if found.files else ""
    yield (
        f"  from {packet.source}{interface} to {where}/{packet.protocol}{node}, "
        f"mode {found.mode}{rules}"
    )
    if found.wanted:
        yield f"  the objects say otherwise: {verdict_text(found.wanted)}"
    if found.choice:
        yield f"  {found.choice}"
    for remark in found.remarks:
        named = f" ({remark.name})" if remark.name else ""
        yield f"  this mode: {remark.text}{named}"
    if lookup:
        yield ""
        yield "0. the name is looked up"
        yield from (f"     {line}" for line in lookup)
    yield from _cases(found.cases)
    shared = _count_common_steps(found.outcomes)
    for number, step in enumerate(found.outcomes[0].steps[:shared], 1):
        yield from _step(step, f"{number}. ")
    if len(found.outcomes) > 1:
        for end in found.outcomes[:MOST_ENDS]:
            yield ""
            yield f"{_chance(end)} {verdict_text([(end.verdict, Fraction(1))], untouched)}"
            for number, step in enumerate(end.steps[shared:], shared + 1):
                yield from _step(step, f"{number}. ")
        if len(found.outcomes) > MOST_ENDS:
            yield ""
            yield f"and {count_noun(len(found.outcomes) - MOST_ENDS, 'more end')}: -o json has all"
    yield from _changes(found.changes)


def _count_common_steps(ends: Sequence[End]) -> int:
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
        place = f"  ({line.file}:{line.line})" if line.file and line.line else ""
        yield f"     {line.tool.ljust(width)}  {line.text}{place}"


def _at(place: SourcePlace | None) -> str:
    if place is None:
        return ""
    return f"  ({place.file}:{place.line})" if place.line else f"  ({place.file})"


def _cases(cases: Sequence[RuleCase]) -> Iterator[str]:
    if not cases:
        return
    yield ""
    for case in cases:
        yield f"  {case.assumption}:"
        yield f"    {verdict_text(case.ends, GOES_ON)}"


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
