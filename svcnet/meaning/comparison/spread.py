"""Whether the packets of many senders end as they should, with exact chances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple, TypeAlias

from svcnet.meaning.comparison.intent import Ending, Intent, Ratio
from svcnet.meaning.flow import Leaf
from svcnet.meaning.outcomes import ending

Spread: TypeAlias = dict[Ending, dict[Ratio, int]]
"""For each end and chance, the senders whose packets end so as likely."""

_MOST_DOUBTS = 8


class Comparison(NamedTuple):
    """The senders for whom something differs, and those of whom nobody can say."""

    different: int
    unknown: int


def compare(intents: Iterable[Intent], leaves: Sequence[Leaf]) -> Comparison:
    """Compare how packets should end with how they do."""
    wanted = spread(intents_spread(intents))
    found, unknown = spread_of(leaves)
    return Comparison(differing(wanted, found) & ~unknown, unknown)


def intents_spread(intents: Iterable[Intent]) -> Iterable[tuple[Ending, int, Ratio]]:
    """Return intents as their ends, senders and chances."""
    return ((each.ending, each.mask, each.chance) for each in intents)


def spread(ends: Iterable[tuple[Ending, int, Ratio]]) -> Spread:
    """Add up the chances of what ends alike."""
    found: Spread = {}
    for end, senders, chance in ends:
        chances = found.setdefault(end, {})
        left = senders
        for other, there in list(chances.items()):
            both = there & left
            if both:
                # Nobody is left of most: what stays would be gone through with each further flow.
                del chances[other]
                if there != both:
                    chances[other] = there & ~both
                left &= ~both
                more = (Fraction(*other) + Fraction(*chance)).as_integer_ratio()
                chances[more] = chances.get(more, 0) | both
        if left:
            chances[chance] = chances.get(chance, 0) | left
    return found


def spread_of(leaves: Sequence[Leaf]) -> tuple[Spread, int]:
    """Return the spread of flows, and of whom it is not to be told for doubts that matter."""
    unknown = 0
    asked: dict[object, None] = {}
    for leaf in leaves:
        if leaf.kind == "unknown":
            unknown |= leaf.flow.mask
        for doubt in leaf.flow.doubts:
            asked[doubt[0]] = None
    if not asked:
        return _spread(leaves), unknown
    if len(asked) > _MOST_DOUBTS:
        for leaf in leaves:
            if leaf.flow.doubts:
                unknown |= leaf.flow.mask
        return _spread(leaf for leaf in leaves if not leaf.flow.doubts), unknown
    first: Spread | None = None
    for answers in product((False, True), repeat=len(asked)):
        world = dict(zip(asked, answers, strict=True))
        found = _spread(leaf for leaf in leaves if _is_of(leaf, world))
        if first is None:
            first = found
        else:
            unknown |= differing(first, found)
    assert first is not None
    return first, unknown


def _is_of(leaf: Leaf, world: Mapping[object, bool]) -> bool:
    return all(world[doubt[0]] == doubt[1] for doubt in leaf.flow.doubts)


def _spread(leaves: Iterable[Leaf]) -> Spread:
    return spread((ending(leaf), leaf.flow.mask, leaf.flow.luck.ratio) for leaf in leaves)


def alike(found: Spread, bit: int) -> int:
    """Return the senders whose packets end as one's do, as likely."""
    mask = -1
    for chances in found.values():
        for senders in chances.values():
            mask &= senders if senders >> bit & 1 else ~senders
    return mask


def differing(one: Spread, other: Spread) -> int:
    """Return the senders for whom two spreads are not the same."""
    if one == other:
        return 0
    found = 0
    for end in {**one, **other}:
        mine, its = one.get(end, {}), other.get(end, {})
        for chance in {**mine, **its}:
            found |= mine.get(chance, 0) ^ its.get(chance, 0)
    return found
