"""Mode userspace: a proxy of svcnet's own, and rules of iptables that lead to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.errors import UsageError
from svcnet.modes.mode import ArtifactText, Form, Mode, Omission
from svcnet.modes.options import JUMPS, VARIANT, OptionValues
from svcnet.modes.settings import ModeSettings
from svcnet.modes.userspace.options import (
    DRAIN,
    NO_REDIRECT,
    PORT_RANGE,
    PORT_SEED,
    STATS,
    UDP_TIMEOUT,
    WORKERS,
)
from svcnet.modes.userspace.settings import ProxySettings

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import FragmentName, GraphDiff, Origin, Packet, RuleGraph
    from svcnet.meaning.explanation.account import Account
    from svcnet.models import KubeProxyConfiguration
    from svcnet.modes.userspace.executor import UserspaceExecutor
    from svcnet.renderers.userspace import PortChoice, ProxyDelta, ProxyTable, UnsupportedPort


def _choice(
    config: KubeProxyConfiguration | None, text: str | None, seed: str | None
) -> PortChoice:
    from svcnet.models.port_range import parse_port_range
    from svcnet.renderers.userspace import PortChoice

    try:
        configured = None if config is None else config.port_range
        found = configured if text is None else parse_port_range(text)
    except ValueError as error:
        raise UsageError(f"--{PORT_RANGE.name}: {error}; not {text!r}") from None
    if found is None:
        return PortChoice(seed=seed or "")
    return PortChoice(*found, seed or "")


def _findings(ports: Iterable[UnsupportedPort]) -> tuple[Omission, ...]:
    return tuple(Omission(str(port)) for port in ports)


def _text(table: ProxyTable, given: OptionValues) -> ArtifactText:
    from svcnet.renderers import userspace

    text = userspace.text(table, jumps=bool(given.get(JUMPS.name)))
    return ArtifactText(text, _findings(table.unsupported))


def _step_text(delta: ProxyDelta, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import userspace

    return ArtifactText(userspace.step_text(delta), _findings(delta.new.unsupported))


def _document(table: ProxyTable, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import userspace

    return ArtifactText(userspace.document(table), _findings(table.unsupported))


def _haproxy(table: ProxyTable, _: OptionValues) -> ArtifactText:
    from svcnet.renderers import userspace

    text, unsupported = userspace.haproxy_config(table)
    return ArtifactText(text, _findings(unsupported))


class UserspaceMode(Mode["ProxyTable", "ProxyDelta"]):
    """A proxy that serves while ``svcnet run`` does, and rules that bring traffic to it."""

    name = "userspace"
    configured_as = "userspace"
    serves = True
    forms: ClassVar[dict[str, Form[Any, Any]]] = {
        "text": Form(_text, _step_text, frozenset({JUMPS.name})),
        "json": Form(_document),
        "haproxy": Form(_haproxy),
    }
    options = (
        *(JUMPS, VARIANT, NO_REDIRECT, PORT_RANGE, PORT_SEED),
        *(UDP_TIMEOUT, WORKERS, DRAIN, STATS),
    )

    def settings(
        self, config: KubeProxyConfiguration | None = None, given: OptionValues | None = None
    ) -> ProxySettings:
        """Return the settings, with proxy ports of where options, or else `config`, say."""
        usual = super().settings(config, given)
        values = usual.given
        if values[NO_REDIRECT.name] and values[VARIANT.name]:
            raise UsageError("--variant is for rules, and with --no-redirect there are none")
        choice = _choice(config, values[PORT_RANGE.name], values[PORT_SEED.name])
        return ProxySettings(values, usual.rules, usual.pace, choice=choice)

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> ProxyTable:
        """Return the proxy's table."""
        from svcnet.renderers.userspace import full

        if isinstance(settings, ProxySettings):
            return full(graph, settings.choice)
        return full(graph)

    def advance(self, artifact: ProxyTable, diff: GraphDiff) -> tuple[ProxyTable, ProxyDelta]:
        """Return the table after a step, and the step."""
        from svcnet.renderers.userspace import advance, between

        table = advance(artifact, diff)
        return table, between(artifact, table)

    def lacks(self, graph: RuleGraph) -> Iterator[Omission]:
        """Yield the service ports that it cannot carry."""
        from svcnet.renderers.userspace import why_not

        found = map(why_not, graph.fragments.values())
        return iter(_findings(port for port in found if port is not None))

    def origin_of_line(self, artifact: ProxyTable, line: str) -> Origin | None:
        """Return what caused a line of the portal rules, None for others."""
        from svcnet.renderers.userspace import portal_rules

        return portal_rules(artifact).origin_of_line(line)

    def service_port_of_line(self, artifact: ProxyTable, line: str) -> FragmentName | None:
        """Return the service port that a line of the portal rules is for, None for others."""
        from svcnet.renderers.userspace import portal_rules

        return portal_rules(artifact).service_port_of_line(line)

    def account(self, artifact: ProxyTable, graph: RuleGraph, packet: Packet) -> Account:
        """Return what becomes of a packet, and the lines that do it."""
        from svcnet.modes.userspace.account import account

        return account(artifact, graph, packet)

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> UserspaceExecutor:
        """Return what starts the proxy, and knows its rules."""
        from svcnet.modes.userspace.executor import UserspaceExecutor

        return UserspaceExecutor(self, machine, settings)


USERSPACE = UserspaceMode()
