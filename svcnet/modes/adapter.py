"""What the loop needs of a mode for one IP family: it knows how, and the loop when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from svcnet.family import IPFamily

if TYPE_CHECKING:
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.modes.settings import ModeSettings

MOST_NAMES = 5
"""How many names a message has at most."""
MOST_LINES = 200
"""How many are looked through for them."""


@frozen
class Rules:
    """How many iptables rules there are, and how many of them were written, by table."""

    total: Mapping[str, int]
    written: Mapping[str, int]


@frozen
class SyncResult:
    """What became of one try.

    ``kind`` is how it was done and ``text`` says it in a few words; ``warnings`` are what an
    operator must see. ``stages`` are the durations of its parts in seconds. ``differed`` counts
    what a look found changed, by kind of thing, and ``services`` are the first few whose that was.
    ``rules`` is None in a mode or a case that does not count them. ``found`` is what the mode found
    before it wrote, for itself alone; it may be large, and is not for keeping.
    """

    kind: Literal["none", "delta", "full"]
    text: str
    warnings: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict)
    differed: Mapping[str, int] = field(factory=dict)
    services: tuple[str, ...] = ()
    rules: Rules | None = None
    found: object = field(default=None, repr=False, eq=False)
    failed: str = ""


@frozen
class Inspection:
    """A look that goes on beside changes: what takes long touches nothing.

    ``read`` lists what is there and compares it, in a thread of its own. ``repair`` puts right what
    differs, in the thread in which changes are made; it returns None where changes have overtaken
    what was found, and it has to be looked at without any. Both raise ApplyError.

    What was read is out of date when it is used, so an adapter remembers what it writes meanwhile.
    """

    read: Callable[[], None]
    repair: Callable[[], SyncResult | None]


class Adapter(ABC):
    """Puts graphs of one IP family on the machine, in one mode.

    Methods are called from threads, never two at once, and raise ApplyError when the machine
    refuses: after :class:`svcnet.errors.Incomplete` the graph is taken for what is there, and after
    another one for unknown.
    """

    def __init__(self, family: IPFamily, mode: str) -> None:
        self.family = family
        self.mode = mode

    @property
    def stage(self) -> str:
        """What metrics call the part that the machine refuses."""
        return self.mode

    @abstractmethod
    def whole(self, graph: RuleGraph) -> SyncResult:
        """Bring the machine to `graph`, whatever is there."""

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Take the machine to `graph` by `change`, which is from the graph given before.

        None asks for the whole.
        """
        return None

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin to look for what somebody else did to `graph`, the one given before, at no cost.

        None in a mode, or a case, in which that can be found out only while nothing is changed.
        """
        return None

    def look(self, graph: RuleGraph) -> SyncResult:
        """Find what somebody else did to `graph`, and put it right, while nothing is changed."""
        inspection = self.inspection(graph)
        if inspection is None:
            return self.whole(graph)
        inspection.read()
        return inspection.repair() or self.whole(graph)

    def is_disturbed(self) -> bool:
        """Return whether somebody else surely wrote where all was right, if that costs little."""
        return False

    def configure(self, settings: ModeSettings) -> None:  # noqa: B027  (few need it)
        """Take other settings from now on; in whichever thread."""

    def is_due(self) -> bool:
        """Return whether all has to be made anew, since settings are other ones now."""
        return False

    def warnings(self) -> tuple[str, ...]:
        """Return what an operator must see as long as nothing changes."""
        return ()

    def idle(self, what: str) -> SyncResult:
        """Return that nothing was done, and why."""
        return SyncResult("none", f"{self.family}, {self.mode}: {what}", self.warnings())


def few(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first few different names, and ``…`` if there are more.

    Where there is much to go through, not all of it is.
    """
    found = tuple(dict.fromkeys(islice(names, MOST_LINES)))
    return (*found[:MOST_NAMES], "…") if len(found) > MOST_NAMES else found
