"""What two dumps of one language say otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from svcnet.meaning.comparison.change import Rewriting
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.outcomes import MachineRules, RuleText

_MOST = 5
"""So many rules of a side are named."""


def rewriting(old: MachineRules, new: MachineRules) -> Rewriting | None:
    """Return in which rules two dumps differ, None if both say the same in the same order."""
    if old.mode != new.mode:
        return None
    texts = [each for each, _ in old.texts()], [each for each, _ in new.texts()]
    if texts[0] == texts[1]:
        return None
    counts = Counter(texts[0]), Counter(texts[1])
    gone, come = counts[0] - counts[1], counts[1] - counts[0]
    rules = [("old", each) for each in _lines(old, gone)]
    rules += [("new", each) for each in _lines(new, come)]
    return Rewriting(gone.total(), come.total(), tuple(rules))


def _lines(rules: MachineRules, wanted: Counter[RuleText]) -> Iterator[RuleLine]:
    """Yield where some of the rules of a dump are that another has not."""
    left = Counter(wanted)
    found = 0
    for text, rule in rules.texts():
        if found == _MOST:
            return
        if left[text]:
            left[text] -= 1
            found += 1
            yield rules.line_of(rule)
