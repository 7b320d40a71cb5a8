"""What a mode is: a value that says how a graph is written, put on a machine, and kept there.

Heavy parts are imported by the methods that use them: a mode costs nothing until it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from attrs import evolve, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import IPFamily
from svcnet.modes.options import LAYOUT_NAME, Option, OptionValues, complete, own_values
from svcnet.modes.pace import Pace
from svcnet.modes.settings import ModeSettings

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import FragmentName, GraphDiff, Origin, Packet, RuleGraph
    from svcnet.meaning.explanation.account import Account
    from svcnet.models import KubeProxyConfiguration, RuleSettings
    from svcnet.modes.executor import Executor, Part

Artifact = TypeVar("Artifact")
Delta = TypeVar("Delta")


@frozen
class Omission:
    """Something of a graph that a mode, or a form, does not carry; ``text`` names the Service."""

    text: str
    check: Check = checks.UNSUPPORTED_PORT

    def __str__(self) -> str:
        return self.check.line(f"unsupported: {self.text}")

    def to_dict(self) -> dict[str, str]:
        """Return it for JSON: ``text``, and ``check`` as its code and name."""
        return {"text": self.text, "check": str(self.check)}


@frozen
class ArtifactText:
    """An artifact as text, and what of the graph the text does not have."""

    text: str
    findings: tuple[Omission, ...] = ()


@frozen
class Form(Generic[Artifact, Delta]):
    """A way in which ``svcnet render -o`` prints what a mode makes.

    ``full`` writes an artifact and ``step`` a delta, given the values of the mode's options;
    without ``step`` the form is a whole state. Both are pure: equal values give equal bytes.
    ``takes`` are names of those options that change the form. Options that say so
    (:class:`Option`) are refused with a form that does not take them.
    """

    full: Callable[[Artifact, OptionValues], ArtifactText]
    step: Callable[[Delta, OptionValues], ArtifactText] | None = None
    takes: frozenset[str] = frozenset()


class ModeArtifact(Protocol):
    """What a mode makes of a graph: it says by its name which mode."""

    @property
    def mode(self) -> str:
        """The name of the mode."""


class Mode(ABC, Generic[Artifact, Delta]):
    """A way to do on a machine what a rule graph says.

    Its values hold nothing that changes. An artifact says by its attribute ``mode`` which mode made
    it. What a mode writes and does depends on the graph alone, never on graphs
    before it.
    """

    name: ClassVar[str]
    forms: ClassVar[Mapping[str, Form[Any, Any]]]
    """What ``-o`` can print; ``text`` is among them, and the default."""

    options: ClassVar[Sequence[Option]] = ()
    configured_as: ClassVar[str] = "iptables"
    """The mode of kube-proxy whose fields of a configuration have an effect."""

    serves: ClassVar[bool] = False
    """Whether processes serve, so that ``svcnet run`` alone can, and move flows themselves."""

    has_addresses: ClassVar[bool] = False
    """Whether the node itself has the addresses of Services."""

    def __repr__(self) -> str:
        return f"<mode {self.name}>"

    def settings(
        self,
        config: KubeProxyConfiguration | None = None,
        given: OptionValues | None = None,
    ) -> ModeSettings:
        """Return what a configuration and the given options come to; raise UsageError."""
        from svcnet.models import KubeProxyConfiguration

        config = config or KubeProxyConfiguration()
        values = complete(self.options, given or {})
        return ModeSettings(values, self.rules(config), self.pace(config))

    def settle(self, settings: ModeSettings, machine: Machine) -> ModeSettings:
        """Return settings for a machine, with all decided that they leave to it."""
        return settings

    def rules(self, config: KubeProxyConfiguration) -> RuleSettings:
        """Return what rules take of a configuration: the mark, and addresses of node ports."""
        return config.rule_settings

    def pace(self, config: KubeProxyConfiguration) -> Pace:
        """Return how often things are done, by a configuration."""
        return Pace(config.iptables.min_sync_period, config.iptables.sync_period)

    @abstractmethod
    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Artifact:
        """Return all that a node has for a graph. Pure."""

    def layouts(self, settings: ModeSettings | None = None) -> Iterator[ModeSettings]:
        """Yield the settings for the other layout, which means the same, if there is one."""
        own = settings or self.settings()
        if LAYOUT_NAME in own.given:
            other = "kube-proxy" if own.given[LAYOUT_NAME] == "flat" else "flat"
            yield evolve(own, given={**own.given, LAYOUT_NAME: other})

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
    ) -> Iterator[Omission]:
        """Yield what of a graph the mode cannot carry. Pure."""
        return iter(())

    def account(
        self,
        artifact: Artifact,
        graph: RuleGraph,
        packet: Packet,
    ) -> Account:
        """Return what becomes of a packet by `artifact`, which is of `graph`. Pure.

        It has the lines that do it. A mode that does not say more does what the graph says.
        """
        from svcnet.meaning.explanation.account import plain_account

        return plain_account(graph, packet)

    def origin_of_line(
        self,
        artifact: Artifact,
        line: str,
    ) -> Origin | None:
        """Return what caused a line of what the mode writes, as it is written or printed back.

        None for a line that no Service caused, and where a mode does not say.
        """
        return None

    def service_port_of_line(
        self,
        artifact: Artifact,
        line: str,
    ) -> FragmentName | None:
        """Return the service port that such a line is for, None where a mode does not say."""
        return None

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> Executor[Artifact]:
        """Return what puts artifacts on a machine, and takes them away.

        Without `machine` it is this one, and without `settings` they are those of an empty
        configuration.
        """
        from svcnet.modes.executor import Executor

        return Executor(self, machine, settings)


def cleanup_parts(
    modes: Iterable[Mode[Any, Any]],
    family: IPFamily,
    given: OptionValues,
    machine: Machine | None = None,
    *,
    dry_run: bool = False,
) -> Iterator[Part]:
    """Yield what removes all that `modes` have on a machine, the last mode first.

    `given` are values of options, each for those modes that have it; without `machine` it is this
    one. With `dry_run` the parts say what there is to remove, and change nothing.
    """
    for mode in reversed(list(modes)):
        settings = mode.settings(given=own_values(mode.options, given))
        executor = mode.executor(machine, settings)
        yield from executor.remains(family) if dry_run else executor.cleanup(family)
