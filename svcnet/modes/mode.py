"""What a mode is: a value that says how a graph is written, put on a machine, and kept there.

Heavy parts are imported by the methods that use them: a mode costs nothing until it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from attrs import frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.errors import UsageError
from svcnet.modes.options import Given, Option, complete
from svcnet.modes.pace import Pace

if TYPE_CHECKING:
    import svcnet.executors.iptables
    from svcnet.executors.iptables import Variant
    from svcnet.executors.iptables.cleanup import Owned
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import IPFamily, KubeProxyConfiguration, RuleSettings
    from svcnet.modes.adapter import Adapter
    from svcnet.modes.proxy import Proxy

Artifact = TypeVar("Artifact")
Delta = TypeVar("Delta")
Part: TypeAlias = Callable[[], Iterable[str]]
"""Something that is done to a machine, which returns a line for each thing that it did."""


@frozen
class Finding:
    """Something of a graph that a mode, or a form, does not carry; ``text`` names the Service."""

    text: str
    check: Check = checks.UNSUPPORTED_PORT

    def __str__(self) -> str:
        return self.check.told(f"unsupported: {self.text}")


@frozen
class Written:
    """An artifact as text, and what of the graph the text does not have."""

    text: str
    findings: tuple[Finding, ...] = ()


@frozen
class Form(Generic[Artifact, Delta]):
    """A way in which ``svcnet render --output`` prints what a mode makes.

    ``full`` writes an artifact and ``step`` a delta, given the values of the mode's options;
    without ``step`` the form is a whole state. Both are pure: equal values give equal bytes.
    ``takes`` are names of those options that change the form. Options that say so
    (:class:`Option`) are refused with a form that does not take them.
    """

    full: Callable[[Artifact, Given], Written]
    step: Callable[[Delta, Given], Written] | None = None
    takes: frozenset[str] = frozenset()


@frozen
class ModeSettings:
    """What the configuration and the options come to in a mode.

    ``given`` has a value for each option of the mode, ``rules`` are what is decided before rules
    are written, and ``pace`` says how often things are done.
    """

    given: Given
    rules: RuleSettings
    pace: Pace

    @property
    def fallback(self) -> str | None:
        """The mode to use where the machine lacks what this one needs, if an option names one."""
        name: str | None = self.given.get("fallback")
        return name


class Made(Protocol):
    """What a mode makes of a graph: it says by its name which mode."""

    @property
    def mode(self) -> str:
        """The name of the mode."""


class Report(Protocol):
    """What an apply did, or would do; as text it is a line."""

    @property
    def plan(self) -> Plan:
        """What was to be done."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator must see."""


class Plan(Protocol):
    """What an apply does."""

    @property
    def text(self) -> str:
        """The plan for people, as ``--dry-run`` prints it."""


class Mode(ABC, Generic[Artifact, Delta]):
    """A way to do on a machine what a rule graph says.

    Its values hold nothing that changes. An artifact says by its attribute ``mode`` which mode made
    it. What a mode writes and does depends on the graph alone, never on graphs
    before it.
    """

    name: ClassVar[str]
    forms: ClassVar[Mapping[str, Form[Any, Any]]]
    """What ``--output`` can print; ``text`` is among them, and the default."""

    options: ClassVar[Sequence[Option]] = ()
    configured_as: ClassVar[str] = "iptables"
    """The mode of kube-proxy whose fields of a configuration have an effect."""

    serves: ClassVar[bool] = False
    """Whether processes serve, so that ``svcnet run`` alone can, and move flows themselves."""

    has_addresses: ClassVar[bool] = False
    """Whether the node itself has the addresses of Services."""

    def settings(
        self,
        config: KubeProxyConfiguration | None = None,
        given: Given | None = None,
    ) -> ModeSettings:
        """Return what a configuration and the given options come to; raise UsageError."""
        from svcnet.models import KubeProxyConfiguration

        config = config or KubeProxyConfiguration()
        values = complete(self.options, given or {})
        return ModeSettings(values, self.rules(config), self.pace(config))

    def rules(self, config: KubeProxyConfiguration) -> RuleSettings:
        """Return what rules take of a configuration: the mark, and addresses of node ports."""
        return config.rule_settings

    def pace(self, config: KubeProxyConfiguration) -> Pace:
        """Return how often things are done, by a configuration."""
        return Pace(config.iptables.min_sync_period, config.iptables.sync_period)

    @abstractmethod
    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Artifact:
        """Return all that a node has for a graph. Pure."""

    @abstractmethod
    def advance(self, artifact: Artifact, diff: GraphDiff) -> tuple[Artifact, Delta]:
        """Return what `artifact`, which is of ``diff.old``, becomes, and the step there. Pure.

        The artifact is the one that :meth:`full` makes of ``diff.new``.
        """

    def delta(self, diff: GraphDiff, settings: ModeSettings | None = None) -> Delta:
        """Return the step from one graph to another. Pure."""
        return self.advance(self.full(diff.old, settings), diff)[1]

    def lacks(
        self,
        graph: RuleGraph,
    ) -> Iterator[Finding]:
        """Yield what of a graph the mode cannot carry. Pure."""
        return iter(())

    def apply(
        self,
        artifact: Artifact,
        settings: ModeSettings | None = None,
        *,
        dry_run: bool = False,
    ) -> Report:
        """Bring this machine to an artifact, once.

        Raises UsageError in a mode that serves, ApplyError where the machine refuses;
        :class:`svcnet.errors.Lacking`, with nothing done, where it lacks what the mode needs, and
        :class:`svcnet.errors.Incomplete` after all is done that it does not refuse.
        """
        if self.serves:
            raise UsageError(
                f"mode {self.name} is a proxy that has to go on running: "
                f"svcnet run --mode {self.name}"
            )
        raise UsageError(f"mode {self.name} can be rendered only, and not applied")

    def adapters(self, families: Collection[IPFamily], settings: ModeSettings) -> Sequence[Adapter]:
        """Return what the loop puts graphs on this machine with, one a family.

        In a mode that serves :meth:`svcnet.modes.Proxy.begin` does.
        """
        raise UsageError(f"mode {self.name} can be rendered only, and not kept")

    def proxy(
        self, settings: ModeSettings, families: Collection[IPFamily], stack: ExitStack
    ) -> Proxy:
        """Return what serves in this process, of a mode that does; `stack` is closed at the end."""
        raise UsageError(f"mode {self.name} can be rendered only, and not served")

    def cleanup(
        self,
        family: str,
        variant: Variant | None,
    ) -> Iterator[Part]:
        """Yield what removes all that the mode has put on this machine, part by part.

        `variant` is that of iptables, None for both. Parts do not wait for others to succeed; each
        returns lines, and raises ApplyError.
        """
        return iter(())

    def owned(
        self,
        family: str,
    ) -> Owned | None:
        """Return how the mode's chains of iptables, and jumps to them, are known, if it has any."""
        return None

    def is_there(
        self,
        family: str,
    ) -> bool:
        """Return whether the mode may have left something here."""
        return True

    def sweep(
        self,
        family: str,
    ) -> Iterable[str]:
        """Remove what the mode left beside chains of iptables; return lines. Raises ApplyError."""
        return ()

    def variant_in_use(
        self,
        family: str,
        variant: Variant | None,
    ) -> svcnet.executors.iptables.Choice | None:
        """Return the variant of iptables that has the mode's rules, `variant` if that is given.

        None in a mode without such rules.
        """
        return None
