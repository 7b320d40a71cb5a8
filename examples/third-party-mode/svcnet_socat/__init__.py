"""Mode socat: one socat process for each frontend of a Service, to its first endpoint.

It is an example of a mode in a package of its own, and not a good proxy: it balances nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.graph import GraphDiff, RuleGraph
from svcnet.modes import (
    ArtifactText,
    Form,
    Mode,
    ModeSettings,
    Number,
    Omission,
    Option,
    OptionValues,
)
from svcnet_socat.commands import Commands, Step, between, commands, refusals

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet_socat.processes import SocatExecutor

UDP_TIMEOUT = Option(
    "socat-udp-timeout",
    ("render", "run"),
    Number(1, 86400),
    "How many seconds a client of a UDP service may be silent.",
    "starts no socat",
    default=60.0,
    metavar="SECONDS",
)


def _text(artifact: Commands, _: OptionValues) -> ArtifactText:
    findings = tuple(Omission(text) for text in artifact.unsupported)
    return ArtifactText("".join(f"{line}\n" for line in artifact.lines), findings)


def _step_text(step: Step, _: OptionValues) -> ArtifactText:
    gone = "".join(f"- {line}\n" for line in step.gone)
    come = "".join(f"+ {line}\n" for line in step.come)
    return ArtifactText(gone + come, tuple(Omission(text) for text in step.unsupported))


class SocatMode(Mode[Commands, Step]):
    """Processes of socat, which go when ``svcnet run`` does."""

    name = "socat"
    serves = True
    forms: ClassVar[dict[str, Form[Any, Any]]] = {"text": Form(_text, _step_text)}
    options = (UDP_TIMEOUT,)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Commands:
        """Return the commands for a graph."""
        given = (settings or self.settings()).given
        return commands(graph, given[UDP_TIMEOUT.name])

    def advance(self, artifact: Commands, diff: GraphDiff) -> tuple[Commands, Step]:
        """Return the commands after a step, and which come and go."""
        after = artifact.advance(diff)
        return after, between(artifact, after, diff.names)

    def lacks(self, graph: RuleGraph) -> Iterator[Omission]:
        """Yield what socat cannot do."""
        return map(Omission, refusals(graph))

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> SocatExecutor:
        """Return what starts the processes and keeps them."""
        from svcnet_socat.processes import SocatExecutor

        return SocatExecutor(self, machine, settings)


SOCAT = SocatMode()
