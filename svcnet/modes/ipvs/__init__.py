"""Mode IPVS: virtual servers of the kernel, sets, addresses and a few rules of iptables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from svcnet.errors import UsageError
from svcnet.modes.mode import Form, Mode, ModeSettings, Part, Written
from svcnet.modes.options import JUMPS, VARIANT, Given, Number, Option, Words
from svcnet.modes.pace import Pace

if TYPE_CHECKING:
    from svcnet.executors.iptables import Choice, Variant
    from svcnet.executors.iptables.cleanup import Owned
    from svcnet.executors.ipvs import Report
    from svcnet.graph import GraphDiff, RuleGraph
    from svcnet.models import IPFamily, KubeProxyConfiguration
    from svcnet.modes.ipvs.adapter import IPVSAdapter
    from svcnet.renderers.ipvs import IPVSDelta, IPVSTables

TOOLS = ("sysctl", "ipset", "iptables", "ipvsadm", "ip")

SECTION = Option(
    "section",
    ("render",),
    Words(TOOLS),
    "Only one tool's text.",
    "has one text for one tool",
    form="--section is one of --output text",
    step="--section cuts a full text; the sections of a step take turns",
)
DRAIN_SECONDS = 900
DRAIN = Option(
    "drain",
    ("apply", "run"),
    Number(0, 86400),
    "How many seconds a removed TCP endpoint keeps its connections.",
    "has no endpoint that keeps connections",
    default=DRAIN_SECONDS,
    metavar="SECONDS",
)
FALLBACK = Option(
    "fallback",
    ("apply", "run"),
    Words(("iptables",)),
    "The mode to use when the kernel lacks modules that this one needs.",
    "needs no module of IPVS",
)


def _text(tables: IPVSTables, given: Given) -> Written:
    from svcnet.renderers import ipvs

    section, jumps = given.get(SECTION.name), bool(given.get(JUMPS.name))
    if section is None:
        return Written(ipvs.text(tables, jumps=jumps))
    if jumps and section != "iptables":
        raise UsageError(JUMPS.form)
    return Written(ipvs.section(tables, section, jumps=jumps))


def _step_text(delta: IPVSDelta, _: Given) -> Written:
    from svcnet.renderers import ipvs

    return Written(ipvs.step_text(delta))


def _document(tables: IPVSTables, _: Given) -> Written:
    from svcnet.renderers import ipvs

    return Written(ipvs.document(tables))


def _messages(tables: IPVSTables, _: Given) -> Written:
    from svcnet.renderers import ipvs

    return Written(ipvs.listing(ipvs.program(tables)))


def _step_messages(delta: IPVSDelta, _: Given) -> Written:
    from svcnet.renderers import ipvs

    return Written(ipvs.listing([*ipvs.additions(delta), *ipvs.removals(delta)]))


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

    def apply(
        self, artifact: IPVSTables, settings: ModeSettings | None = None, *, dry_run: bool = False
    ) -> Report:
        """Do what differs; see :func:`svcnet.executors.ipvs.apply`."""
        from svcnet.executors.ipvs import apply

        given = self.settings().given if settings is None else settings.given
        variant, drain = given[VARIANT.name], int(given[DRAIN.name])
        return apply(artifact, variant=variant, drain=drain, dry_run=dry_run)

    def adapters(self, families: Collection[IPFamily], settings: ModeSettings) -> list[IPVSAdapter]:
        """Return what keeps each family; they share what tells who wrote."""
        from svcnet.executors.iptables import Commits
        from svcnet.modes.ipvs.adapter import IPVSAdapter

        given, commits = settings.given, Commits()
        return [
            IPVSAdapter(family, given[VARIANT.name], commits, int(given[DRAIN.name]))
            for family in families
        ]

    def cleanup(self, family: str, variant: Variant | None) -> Iterator[Part]:
        """Yield the removal of all: the sets tell which rules are to go, of either variant."""
        from svcnet.executors.ipvs import cleanup

        yield partial(cleanup, family)

    def owned(self, family: str) -> Owned:
        """Return how the chains are known that this mode makes."""
        from svcnet.executors.ipvs.rules import owned

        return owned(family)

    def is_there(self, family: str) -> bool:
        """Return whether its sets, or its virtual servers, are there."""
        from svcnet.executors.ipvs import is_there

        return is_there(family)

    def sweep(self, family: str) -> Iterable[str]:
        """Remove virtual servers, addresses and sets."""
        from svcnet.executors.ipvs import cleanup

        return cleanup(family, with_rules=False)

    def variant_in_use(self, family: str, variant: Variant | None) -> Choice:
        """Return the variant that holds this mode's rules, or other rules."""
        from svcnet.executors.iptables import choose_variant

        return choose_variant(family, variant)


IPVS = IPVSMode()
