"""Mode IPVS: virtual servers of the kernel, sets, addresses and a few rules of iptables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.errors import UsageError
from svcnet.modes.ipvs.options import DRAIN, FALLBACK, SECTION
from svcnet.modes.mode import ArtifactText, Form, Mode
from svcnet.modes.options import JUMPS, VARIANT, OptionValues
from svcnet.modes.pace import Pace
from svcnet.modes.settings import ModeSettings

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import GraphDiff, Origin, Packet, RuleGraph
    from svcnet.meaning.explanation.account import Account
    from svcnet.models import KubeProxyConfiguration
    from svcnet.modes.ipvs.executor import IPVSExecutor
    from svcnet.renderers.ipvs import IPVSDelta, IPVSTables


def _text(tables: IPVSTables, given: OptionValues) -> ArtifactText:
    from svcnet.renderers import ipvs

    section, jumps = given.get(SECTION.name), bool(given.get(JUMPS.name))
    if section is None:
        return ArtifactText(ipvs.text(tables, jumps=jumps))
    if jumps and section != "iptables":
        raise UsageError(JUMPS.form)
    return ArtifactText(ipvs.section(tables, section, jumps=jumps))


def _step_text(delta: IPVSDelta, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import ipvs

    return ArtifactText(ipvs.step_text(delta))


def _document(tables: IPVSTables, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import ipvs

    return ArtifactText(ipvs.document(tables))


def _messages(tables: IPVSTables, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import ipvs

    return ArtifactText(ipvs.listing(ipvs.program(tables)))


def _step_messages(delta: IPVSDelta, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import ipvs

    return ArtifactText(ipvs.listing([*ipvs.additions(delta), *ipvs.removals(delta)]))


class IPVSMode(Mode["IPVSTables", "IPVSDelta"]):
    """Virtual servers, sets, addresses and rules; they stay when svcnet ends."""

    name = "ipvs"
    configured_as = "ipvs"
    has_addresses = True
    forms: ClassVar[dict[str, Form[Any, Any]]] = {
        "text": Form(_text, _step_text, frozenset({SECTION.name, JUMPS.name})),
        "json": Form(_document),
        "messages": Form(_messages, _step_messages),
    }
    options = (SECTION, JUMPS, VARIANT, DRAIN, FALLBACK)

    def pace(self, config: KubeProxyConfiguration) -> Pace:
        """Return how often things are done, by the section ``ipvs``."""
        return Pace(config.ipvs.min_sync_period, config.ipvs.sync_period)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> IPVSTables:
        """Return virtual servers, sets, addresses and restore text, as values."""
        from svcnet.renderers.ipvs import full

        return full(graph)

    def advance(self, artifact: IPVSTables, diff: GraphDiff) -> tuple[IPVSTables, IPVSDelta]:
        """Return the tables after a step, and the step, at the cost of what differs."""
        from svcnet.renderers.ipvs import advance

        return advance(artifact, diff)

    def origin_of_line(self, artifact: IPVSTables, line: str) -> Origin | None:
        """Return what caused a line, None for lines that no Service caused."""
        return artifact.origin_of_line(line)

    def account(self, artifact: IPVSTables, graph: RuleGraph, packet: Packet) -> Account:
        """Return what becomes of a packet, and the lines that do it."""
        from svcnet.modes.ipvs.account import account

        return account(artifact, graph, packet)

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> IPVSExecutor:
        """Return what does it on a machine."""
        from svcnet.modes.ipvs.executor import IPVSExecutor

        return IPVSExecutor(self, machine, settings)


IPVS = IPVSMode()
