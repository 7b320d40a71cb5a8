"""One IP family of a machine, in one mode: what puts graphs there and keeps them true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Literal, Protocol

from attrs import field, frozen

from svcnet.executors.iptables import Choice
from svcnet.graph import FragmentName, GraphDiff, RuleGraph, diff

STEP_SERVICE_PORTS = 1000
"""A change of more service ports is put right as a whole, which first asks what is there."""


@frozen
class Rules:
    """How many iptables rules there are, and how many of them were written, by table."""

    total: Mapping[str, int]
    written: Mapping[str, int]


@frozen
class Done:
    """What became of one try.

    ``kind`` is how it was done and ``text`` says it in a few words; ``warnings`` are what an
    operator must see. ``stages`` are the durations of its parts in seconds. ``differed`` is
    what a look found other than it had been left, by kind of thing, and ``services`` whose that
    was, the first few. ``rules`` is None in a mode or a case that does not count them. ``found``
    is what was in the tables of iptables before, if nothing but the mode's own rules has been
    written there since; it is large, and not for keeping.
    """

    kind: Literal["none", "delta", "full"]
    text: str
    warnings: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict)
    differed: Mapping[str, int] = field(factory=dict)
    services: tuple[str, ...] = ()
    rules: Rules | None = None
    found: Choice | None = field(default=None, repr=False, eq=False)


class Target(Protocol):
    """What the loop keeps true. Every method raises ApplyError when the machine refuses.

    They are called from threads, never two at once.
    """

    family: str
    mode: str

    def whole(self, graph: RuleGraph) -> Done:
        """Bring the machine to `graph`, whatever is there."""

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> Done:
        """Take the machine to `graph` from the graph that it was given before.

        `names` are the fragments that may differ, None for all.
        """

    def look(self, graph: RuleGraph) -> Done:
        """Find what somebody else did to the rules of `graph`, cheaply, and put it right."""


MOST_NAMES = 5
MOST_LINES = 200


def few(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first few different names, and ``…`` if there are more.

    Where there is much to go through, not all of it is.
    """
    found = tuple(dict.fromkeys(islice(names, MOST_LINES)))
    return (*found[:MOST_NAMES], "…") if len(found) > MOST_NAMES else found


def small_change(
    before: RuleGraph | None, after: RuleGraph, names: frozenset[FragmentName] | None
) -> GraphDiff | None:
    """Return the difference, or None if it is not known or too large for one step."""
    if before is None:
        return None
    change = diff(before, after, names)
    count = len(change.added) + len(change.removed) + len(change.changed)
    return None if change.settings_changed or count > STEP_SERVICE_PORTS else change
