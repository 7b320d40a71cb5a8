"""Mode nftables: a table with a few rules, and maps that lead each packet to its Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from attrs import evolve

from svcnet.modes.mode import ArtifactText, Form, Mode
from svcnet.modes.nftables.options import LAYOUT, TABLE, layout, table_name
from svcnet.modes.options import OptionValues
from svcnet.modes.pace import Pace
from svcnet.modes.settings import ModeSettings

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import FragmentName, GraphDiff, Origin, Packet, RuleGraph
    from svcnet.meaning.explanation.account import Account
    from svcnet.models import KubeProxyConfiguration, RuleSettings
    from svcnet.modes.nftables.executor import NFTablesExecutor
    from svcnet.renderers.nftables import NFTablesDelta, Ruleset


def _text(ruleset: Ruleset, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import nftables

    return ArtifactText(nftables.text(ruleset))


def _transaction(ruleset: Ruleset, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import nftables

    return ArtifactText(nftables.transaction(ruleset))


def _document(ruleset: Ruleset, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import nftables

    return ArtifactText(nftables.document(ruleset))


def _step(delta: NFTablesDelta, _: OptionValues) -> ArtifactText:
    return ArtifactText(delta.text)


class NFTablesMode(Mode["Ruleset", "NFTablesDelta"]):
    """A table of nftables in each family; it stays when svcnet ends."""

    name = "nftables"
    configured_as = "nftables"
    forms: ClassVar[dict[str, Form[Any, Any]]] = {
        "text": Form(_text, _step),
        "transaction": Form(_transaction, _step),
        "json": Form(_document),
    }
    options = (TABLE, LAYOUT)

    def settings(
        self, config: KubeProxyConfiguration | None = None, given: OptionValues | None = None
    ) -> ModeSettings:
        """Return what a configuration and the options come to; raise UsageError.

        That is also for a name of the table which nft cannot read.
        """
        found = super().settings(config, given)
        table_name(found.given)
        return found

    def settle(self, settings: ModeSettings, machine: Machine) -> ModeSettings:
        """Return settings for a machine: the layout ``auto`` is flat where the machine takes it."""
        if settings.given[LAYOUT.name] != "auto":
            return settings
        from svcnet.executors.nftables import takes_flat

        found = "flat" if takes_flat(machine) else "kube-proxy"
        return evolve(settings, given={**settings.given, LAYOUT.name: found})

    def rules(self, config: KubeProxyConfiguration) -> RuleSettings:
        """Return what rules take of the section ``nftables``.

        Node ports answer on the node's primary addresses, where the configuration is silent, and
        never on loopback.
        """
        from svcnet.models.config import PRIMARY

        return evolve(
            config.rule_settings,
            masquerade_bit=config.nftables.masquerade_bit,
            masquerade_all=config.nftables.masquerade_all,
            localhost_node_ports=False,
            node_port_addresses=config.node_port_addresses or (PRIMARY,),
            reads_service_cidrs=True,
        )

    def pace(self, config: KubeProxyConfiguration) -> Pace:
        """Return how often things are done, by the section ``nftables``."""
        return Pace(config.nftables.min_sync_period, config.nftables.sync_period)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Ruleset:
        """Return the table, as values."""
        from svcnet.renderers.nftables import full

        given = (settings or self.settings()).given
        return full(graph, given[TABLE.name], layout(given))

    def advance(self, artifact: Ruleset, diff: GraphDiff) -> tuple[Ruleset, NFTablesDelta]:
        """Return the table after a step, and the step, at the cost of what differs."""
        from svcnet.renderers.nftables import advance

        return advance(artifact, diff)

    def origin_of_line(self, artifact: Ruleset, line: str) -> Origin | None:
        """Return what caused a line, None for lines that no Service caused."""
        return artifact.origin_of_line(line)

    def service_port_of_line(self, artifact: Ruleset, line: str) -> FragmentName | None:
        """Return the service port that a line is for, None for lines that are for none or all."""
        return artifact.service_port_of_line(line)

    def account(self, artifact: Ruleset, graph: RuleGraph, packet: Packet) -> Account:
        """Return what becomes of a packet, and the lines that do it."""
        from svcnet.modes.nftables.account import account

        return account(artifact, graph, packet)

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> NFTablesExecutor:
        """Return what has nft load it on a machine."""
        from svcnet.modes.nftables.executor import NFTablesExecutor

        return NFTablesExecutor(self, machine, settings)


NFTABLES = NFTablesMode()
