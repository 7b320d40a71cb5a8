"""Mode iptables: rules of iptables, through its restore commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.modes.iptables.options import LAYOUT, layout
from svcnet.modes.mode import ArtifactText, Form, Mode
from svcnet.modes.options import JUMPS, VARIANT, OptionValues
from svcnet.modes.settings import ModeSettings

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import FragmentName, GraphDiff, Origin, Packet, RuleGraph
    from svcnet.meaning.explanation.account import Account
    from svcnet.modes.iptables.executor import IptablesExecutor
    from svcnet.renderers.iptables import Delta, RestoreText


def _text(artifact: RestoreText, given: OptionValues) -> ArtifactText:
    return ArtifactText(artifact.text_with_jumps if given.get(JUMPS.name) else artifact.text)


def _step(delta: Delta, _: OptionValues) -> ArtifactText:
    return ArtifactText(delta.text)


class IptablesMode(Mode["RestoreText", "Delta"]):
    """Rules of iptables; they stay when svcnet ends."""

    name = "iptables"
    configured_as = "iptables"
    forms: ClassVar[dict[str, Form[Any, Any]]] = {
        "text": Form(_text, _step, frozenset({JUMPS.name}))
    }
    options = (JUMPS, VARIANT, LAYOUT)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> RestoreText:
        """Return the text for ``iptables-restore --noflush``."""
        from svcnet.renderers.iptables import full

        return full(graph, layout=layout((settings or self.settings()).given))

    def advance(self, artifact: RestoreText, diff: GraphDiff) -> tuple[RestoreText, Delta]:
        """Return the text after a step, most of it the same, and the step."""
        from svcnet.renderers.iptables import advance

        return advance(artifact, diff)

    def delta(self, diff: GraphDiff, settings: ModeSettings | None = None) -> Delta:
        """Return the step; in kube-proxy's layout at the cost of what differs."""
        from svcnet.renderers.iptables import delta

        return delta(diff, layout=layout((settings or self.settings()).given))

    def origin_of_line(self, artifact: RestoreText, line: str) -> Origin | None:
        """Return what caused a line, None for lines that no Service caused."""
        return artifact.origin_of_line(line)

    def service_port_of_line(self, artifact: RestoreText, line: str) -> FragmentName | None:
        """Return the service port that a line is for, None for lines that are for none or all."""
        return artifact.service_port_of_line(line)

    def account(self, artifact: RestoreText, graph: RuleGraph, packet: Packet) -> Account:
        """Return what becomes of a packet, and the lines that do it."""
        from svcnet.modes.iptables.account import account

        return account(artifact, graph, packet)

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> IptablesExecutor:
        """Return what writes rules."""
        from svcnet.modes.iptables.executor import IptablesExecutor

        return IptablesExecutor(self, machine, settings)


IPTABLES = IptablesMode()
