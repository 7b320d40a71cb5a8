"""From how flows end to verdicts with chances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from svcnet.family import IPFamily
from svcnet.graph import Deliver, Pass, Refuse
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, Rewrite, RuleLine, Unknown
from svcnet.meaning.spans import text_of

_MOST_WORLDS = 10


def outcomes(
    leaves: Sequence[Leaf], family: IPFamily, line_of: Callable[[object], RuleLine]
) -> tuple[FoundOutcome, ...]:
    """Return the outcomes of one sender's packet.

    If it matters what a rule does that is not understood, that is the only one: unknown.
    """
    doubtful = unsure(leaves)
    if doubtful:
        rules = tuple(dict.fromkeys(map(line_of, doubtful)))
        first = leaves[0].flow.luck
        whole = first.exact * 0 + 1
        return (FoundOutcome(Unknown(rules), whole, whole, ()),)
    return tuple(
        FoundOutcome(
            verdict_of(leaf, family, line_of),
            leaf.flow.luck.exact,
            leaf.flow.luck.kernel,
            tuple(map(line_of, leaf.flow.path)),
        )
        for leaf in of_one_world(leaves)
    )


def verdict_of(leaf: Leaf, family: IPFamily, line_of: Callable[[object], RuleLine]) -> FoundVerdict:
    """Return the verdict that a flow ended with."""
    header = leaf.flow.header
    match leaf.kind:
        case "deliver" if header.source in ("", "node"):
            address = text_of(header.address, family)
            return Deliver(address, header.port, bool(header.source))
        case "drop" | "reject":
            reason = str(line_of(leaf.rule)) if leaf.rule is not None else ""
            return Refuse(leaf.kind, reason)
        case "pass" if not header.source:
            return Pass()
        case "unknown":
            return Unknown((line_of(leaf.rule),))
    return Rewrite(header.source)


def ending(leaf: Leaf) -> tuple[object, ...]:
    """Return what is compared of how a flow ended."""
    header = leaf.flow.header
    if leaf.kind == "deliver":
        return "deliver", header.address, header.port, header.source
    if leaf.kind == "pass":
        return "pass", header.source
    if leaf.kind == "unknown":
        return "unknown", leaf.rule
    return (leaf.kind,)


def unsure(leaves: Iterable[Leaf]) -> list[object]:
    """Return the rules that are not understood and that matter, for one sender's packet."""
    found = list(leaves)
    unknown = [leaf.rule for leaf in found if leaf.kind == "unknown"]
    asked = {doubt[0]: doubt[2] for leaf in found for doubt in leaf.flow.doubts}
    if not asked:
        return unknown
    if unknown or len(asked) > _MOST_WORLDS:
        return [*unknown, *asked.values()]
    worlds = list(_worlds(found, list(asked)))
    if all(each == worlds[0] for each in worlds):
        return []
    return list(dict.fromkeys(asked.values()))


def of_one_world(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return the flows that there are if no rule matches that is not understood."""
    return [leaf for leaf in leaves if not any(doubt[1] for doubt in leaf.flow.doubts)]


def _worlds(leaves: list[Leaf], asked: list[object]) -> Iterable[dict[object, object]]:
    """Yield how likely each end is, for each way in which doubts may be true."""
    for answers in product((False, True), repeat=len(asked)):
        world = dict(zip(asked, answers, strict=True))
        found: dict[object, object] = {}
        for leaf in leaves:
            if all(world[doubt[0]] == doubt[1] for doubt in leaf.flow.doubts):
                end = ending(leaf)
                found[end] = found.get(end, 0) + leaf.flow.luck.exact  # type: ignore[operator]
        if found:
            yield found
