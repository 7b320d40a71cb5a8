"""What the loop keeps true: one IP family of a machine."""

from __future__ import annotations

from typing import Protocol

from svcnet.family import IPFamily
from svcnet.graph import FragmentName, RuleGraph
from svcnet.modes.adapter import Inspection, SyncResult


class Target(Protocol):
    """What the loop keeps true. Every method raises ApplyError when the machine refuses.

    They are called from threads, never two at once. ``stage`` is what metrics call a refusal.
    """

    family: IPFamily
    mode: str
    stage: str

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Bring the machine to `graph`, whatever is there."""

    def step(self, graph: RuleGraph, names: frozenset[FragmentName] | None) -> SyncResult:
        """Take the machine to `graph` from the graph that it was given before.

        `names` are the fragments that may differ, None for all.
        """

    def look(self, graph: RuleGraph) -> SyncResult:
        """Find what somebody else did to the rules of `graph`, cheaply, and put it right."""

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin a look at the rules of `graph` that goes on beside steps, where there is one."""

    def repair(self, inspection: Inspection) -> SyncResult | None:
        """Put right what an inspection found; None if all has to be looked at without any step."""

    def is_disturbed(self) -> bool:
        """Return whether somebody else surely wrote where all was right, if that costs little."""
        ...
