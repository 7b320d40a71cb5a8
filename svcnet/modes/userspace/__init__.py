"""Mode userspace: a proxy of svcnet's own, and rules of iptables that lead to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import field, frozen

from svcnet.errors import UsageError
from svcnet.modes.mode import Finding, Form, Mode, ModeSettings, Written
from svcnet.modes.options import (
    JUMPS,
    VARIANT,
    File,
    Flag,
    Given,
    Number,
    Option,
    Text,
)

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import KubeProxyConfiguration
    from svcnet.modes.userspace.executor import UserspaceExecutor
    from svcnet.renderers.userspace import PortChoice, ProxyDelta, ProxyTable, UnsupportedPort

PORT_RANGE = Option(
    "proxy-port-range",
    ("render", "run"),
    Text(),
    "Where proxy ports are taken from; the configuration's portRange, else 32768-60999.",
    "has no proxy ports",
    metavar="A-B",
)
PORT_SEED = Option(
    "proxy-port-seed",
    ("render", "run"),
    Text(),
    "Chooses other ports of that range.",
    "has no proxy ports",
    metavar="TEXT",
)
NO_REDIRECT = Option(
    "no-redirect",
    ("run",),
    Flag(),
    "Listen on loopback only and make no rules: needs no privilege.",
    "has no proxy",
    default=False,
)
UDP_TIMEOUT = Option(
    "udp-timeout",
    ("run",),
    Number(0.001, 86400),
    "How long a client of a UDP service may be silent and keep its endpoint.",
    "has no proxy",
    default=0.25,
    metavar="SECONDS",
)
WORKERS = Option(
    "workers",
    ("run",),
    Number(1, 64, whole=True),
    "Processes that share the connections.",
    "has no proxy",
    default=1,
)
DRAIN = Option(
    "drain",
    ("run",),
    Number(0, 86400),
    "How many seconds connections may go on once svcnet is told to end.",
    "has no proxy",
    default=30.0,
    metavar="SECONDS",
)
STATS = Option(
    "stats",
    ("run",),
    File(),
    "A unix socket that gives whoever connects the counts as JSON.",
    "has no proxy",
    metavar="SOCKET",
)


@frozen
class ProxySettings(ModeSettings):
    """ModeSettings with how proxy ports are chosen."""

    choice: PortChoice = field(kw_only=True)


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


def _findings(ports: Iterable[UnsupportedPort]) -> tuple[Finding, ...]:
    return tuple(Finding(str(port)) for port in ports)


def _text(table: ProxyTable, given: Given) -> Written:
    from svcnet.renderers import userspace

    text = userspace.text(table, jumps=bool(given.get(JUMPS.name)))
    return Written(text, _findings(table.unsupported))


def _step_text(delta: ProxyDelta, _: Given) -> Written:
    from svcnet.renderers import userspace

    return Written(userspace.step_text(delta), _findings(delta.new.unsupported))


def _document(table: ProxyTable, _: Given) -> Written:
    from svcnet.renderers import userspace

    return Written(userspace.document(table), _findings(table.unsupported))


def _haproxy(table: ProxyTable, _: Given) -> Written:
    from svcnet.renderers import userspace

    text, unsupported = userspace.haproxy_config(table)
    return Written(text, _findings(unsupported))


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
        self, config: KubeProxyConfiguration | None = None, given: Given | None = None
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

    def lacks(self, graph: RuleGraph) -> Iterator[Finding]:
        """Yield the service ports that it cannot carry."""
        from svcnet.renderers.userspace import why_not

        found = map(why_not, graph.fragments.values())
        return iter(_findings(port for port in found if port is not None))

    def executor(
        self, machine: Machine | None = None, settings: ModeSettings | None = None
    ) -> UserspaceExecutor:
        """Return what starts the proxy, and knows its rules."""
        from svcnet.modes.userspace.executor import UserspaceExecutor

        return UserspaceExecutor(self, machine, settings)


USERSPACE = UserspaceMode()
