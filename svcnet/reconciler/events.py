"""What a loop tells: one value for everything that an operator or a program may want to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from attrs import field, frozen

from svcnet.family import IPFamily
from svcnet.graph import FragmentName, GraphDiff, RuleGraph
from svcnet.modes.adapter import SyncResult
from svcnet.reconciler.change import Change

Trigger: TypeAlias = Literal["start", "change", "check", "retry"]
"""Why something was done: the first state, a later one, a look after a while, or a refusal."""


@frozen
class QueueEvent:
    """There is something to follow in these families; no change if that was told before."""

    change: Change
    families: tuple[str, ...] = ()


@frozen
class BeginEvent:
    """A sync begins, with all that was queued."""


@frozen
class SyncEvent:
    """The machine has the rules of `graph`, in one IP family.

    ``change`` leads there from the graph that was followed before, and is None if there was
    none, or if it is the same. ``services`` are the names of the service ports that differ.
    ``stages`` are the parts of ``seconds``, by name. ``lag`` is the time in seconds since the
    oldest change in it was heard of, and ``happened`` are the times, in seconds since 1970,
    when changes of endpoints happened, if they say so. ``deleted_flows`` is how many entries of
    connection tracking were deleted, None if its table was not looked through.
    """

    family: IPFamily
    mode: str
    trigger: Trigger
    done: SyncResult
    graph: RuleGraph
    change: GraphDiff | None
    seconds: float
    stages: Mapping[str, float] = field(factory=dict)
    lag: float = 0.0
    happened: tuple[float, ...] = ()
    deleted_flows: int | None = None

    @property
    def services(self) -> tuple[FragmentName, ...]:
        """The service ports that differ, sorted."""
        return () if self.change is None else self.change.names


@frozen
class RefusalEvent:
    """The machine refused the rules of `graph`; it is tried again in ``retry_in`` seconds.

    ``stage`` is what metrics call what was refused.

    After a step that was refused (``full`` is false) that is at once, and as a whole.
    """

    family: IPFamily
    mode: str
    error: str
    graph: RuleGraph
    full: bool
    services: tuple[FragmentName, ...] = ()
    retry_in: float = 0.0
    stage: str = ""


@frozen
class WarningEvent:
    """Something that an operator must see; told once until it is over."""

    family: IPFamily
    text: str


@frozen
class AllClearEvent:
    """Something that an operator was warned of is over."""

    family: IPFamily
    text: str


@frozen
class SweepEvent:
    """What other modes had left is gone: a line for each kind of thing."""

    family: IPFamily
    removed: tuple[str, ...]


@frozen
class InSyncEvent:
    """Every family is as wanted."""


Event: TypeAlias = (
    QueueEvent
    | BeginEvent
    | SyncEvent
    | RefusalEvent
    | WarningEvent
    | AllClearEvent
    | SweepEvent
    | InSyncEvent
)
"""Whatever the loop tells of itself."""
