"""The proxy of one IP family and the rules that lead to it, kept true."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from threading import Lock
from typing import Literal

from attrs import define, field

from svcnet import checks
from svcnet.errors import ApplyError, Unsupported
from svcnet.executors import userspace as executor
from svcnet.executors.commits import Commits
from svcnet.executors.iptables import Commands, Marks, Ownership, Variant
from svcnet.executors.stages import Stages
from svcnet.executors.userspace import RulesReport, TablePlan, install, services_of
from svcnet.graph import FragmentName, GraphDiff, Origin, RuleGraph
from svcnet.modes.adapter import Adapter, Inspection, SyncResult, few
from svcnet.modes.settings import ModeSettings
from svcnet.modes.userspace.settings import ProxySettings
from svcnet.netfilter import Rule
from svcnet.netfilter.restore import are_apart, assume
from svcnet.renderers.userspace import (
    PortalRules,
    PortChoice,
    ProxyTable,
    advance,
    full,
    portal_rules,
    service_rules,
)
from svcnet.servers.userspace import Proxy
from svcnet.words import count_noun


@define
class _Look:
    """A look at the rules that goes on: a listing, compared with what is wanted by then.

    ``seal`` is their mark of when they were right, ``before`` that of before they are listed and
    ``after`` that of behind it, where steps change it. ``steps`` were written meanwhile; so many as
    are ``known`` are in what was ``found``: the rules that were wanted, and what leads to them.
    """

    commands: Commands
    seal: Hashable | None
    before: Hashable | None = None
    after: Hashable | None = None
    stages: Stages = field(factory=Stages)
    steps: list[str] = field(factory=list)
    known: int = 0
    found: tuple[PortalRules, tuple[TablePlan, ...]] | None = None


class UserspaceAdapter(Adapter):
    """The proxy of one family, which serves in another thread, and its portal rules.

    New listeners serve before a rule leads to them, and old ones until none does. Without
    `redirect` there are no rules. `choice` says where proxy ports come from, and `others` what
    belongs to other modes.
    `commits` are those of the machine, shared by the adapters of several families; by
    them and a mark of the rules a look tells whether anybody else has written.
    """

    def __init__(
        self,
        proxy: Proxy,
        choice: PortChoice,
        *,
        redirect: bool = True,
        variant: Variant | None = None,
        others: Sequence[Ownership] = (),
        commits: Commits,
    ) -> None:
        super().__init__(proxy.table.family, "userspace")
        self._proxy = proxy
        self._choice = choice
        self._redirect = redirect
        self._variant = variant
        self._others = others
        self._commits = commits
        self._commands: Commands | None = None
        self._seal: Hashable | None = None
        self._rule_warnings: tuple[str, ...] = ()
        self._look: _Look | None = None
        self._writing = Lock()

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Have all of `graph` served, and make the rules from whatever is there."""
        count = count_noun(len(graph.fragments), "service port")
        return self._follow(
            "full",
            f"{count} served",
            lambda _: full(graph, self._choice),
            lambda _, after: self._install(after),
        )

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult:
        """Have what differs served, and change the rules of that, without a look at the others."""
        touched = change.names
        count = count_noun(len(touched), "service port")
        return self._follow(
            "delta",
            f"{count} changed",
            lambda before: advance(before, change),
            lambda before, after: self._change(before, after, touched),
            touched,
        )

    def inspection(self, graph: RuleGraph) -> Inspection:
        """Begin to repair the rules that somebody changed; the proxy is nobody else's.

        They are listed only if their mark is not what it was when they were right. That of the
        nft variant is asked for at once, between two steps: they move what it is made of.
        """
        if self._commands is None:
            return Inspection(lambda: None, partial(self.idle, "no rules"))
        look = self._look = _Look(self._commands, self._seal)
        if self._marks(look.commands).outlive_writes:
            with look.stages.stage("observe"):
                look.before = self._mark(look.commands)
        return Inspection(partial(self._read, look), partial(self._repair, look))

    def is_disturbed(self) -> bool:
        """Return whether anybody else wrote rules of nf_tables since they were right."""
        if self._seal is None or self._commands is None:
            return False
        is_cheap = self._marks(self._commands).outlive_writes
        return is_cheap and self._mark(self._commands) != self._seal

    def _read(self, look: _Look) -> None:
        """List the rules, if their mark tells to, and find what differs."""
        outlives = self._marks(look.commands).outlive_writes
        with look.stages.stage("observe"):
            if not outlives:
                look.before = self._mark(look.commands)
            if look.before is not None and look.before == look.seal:
                return
        with look.stages.stage("rules"):
            observed = look.commands.observe()
            look.after = None if outlives else self._mark(look.commands)
            with self._writing:
                # Between two steps, so that what is wanted and what was written go together.
                rules, look.known = portal_rules(self._proxy.table), len(look.steps)
            observed = assume(observed, look.steps[: look.known], self.family)
            look.found = rules, executor.find(rules, observed)

    def _repair(self, look: _Look) -> SyncResult | None:
        """Write what was found to differ, unless steps have been there meanwhile."""
        if look is not self._look:
            return self.idle("put right meanwhile")
        self._look = None
        if look.found is None:
            return self.idle("nothing has changed")
        rules, planned = look.found
        if not are_apart([each.text for each in planned], look.steps[look.known :]):
            return None
        stages, self._seal = look.stages, None
        with stages.stage("rules"), self._writing:
            report = executor.repair(rules, look.commands, planned)
        marks = self._marks(look.commands)
        marks.wrote(report.transactions)
        is_sure = not (look.steps or report.transactions) and look.after == look.before
        self._seal = look.before if marks.outlive_writes or is_sure else None
        kind: Literal["delta", "none"] = "delta" if report.transactions else "none"
        return SyncResult(
            kind,
            self._text(str(report)),
            self.warnings(),
            stages.seconds,
            report.differed,
            few(services_of(rules, report.transactions)),
        )

    def _follow(
        self,
        kind: Literal["delta", "full"],
        what: str,
        render: Callable[[ProxyTable], ProxyTable],
        lead: Callable[[ProxyTable, ProxyTable], RulesReport],
        names: Sequence[FragmentName] | None = None,
    ) -> SyncResult:
        """Have the table served that `render` makes of the one before, and `lead` traffic there.

        `names` are the service ports that may differ, None for all.
        """
        with self._writing:
            return self._write_and_lead(kind, what, render, lead, names)

    def _write_and_lead(
        self,
        kind: Literal["delta", "full"],
        what: str,
        render: Callable[[ProxyTable], ProxyTable],
        lead: Callable[[ProxyTable, ProxyTable], RulesReport],
        names: Sequence[FragmentName] | None,
    ) -> SyncResult:
        stages = Stages()
        before = self._proxy.table
        with stages.stage("render"):
            table = _render(render, before)
        with stages.stage("proxy"):
            after = self._proxy.update(table, names, hold=self._redirect)
        report = None
        if self._redirect:
            with stages.stage("rules"):
                report = lead(before, after)
                self._proxy.let_go()
        if _same(before, after, names) and not (report and report.transactions):
            return self.idle("nothing to change")
        told = f"{what}, {report}" if report else what
        return SyncResult(kind, self._text(told), self.warnings(), stages.seconds)

    def _install(self, table: ProxyTable) -> RulesReport:
        self._seal = self._look = None
        # The mark is of a time before the rules are observed. Until the variant is known it is that
        # of nft, whose marks outlive writes.
        before = self._mark(self._commands)
        self._commits.deaf()
        report = install(
            portal_rules(table),
            self._others,
            variant=self._variant,
            machine=self._commits.machine,
        )
        self._commits.attend()
        self._commands, self._rule_warnings = report.commands, report.warnings
        marks = self._marks(report.commands)
        marks.wrote(report.transactions)
        self._seal = before if marks.outlive_writes else None
        return report

    def _change(
        self, before: ProxyTable, after: ProxyTable, names: Sequence[FragmentName]
    ) -> RulesReport:
        assert self._commands is not None
        marks, seal, self._seal = self._marks(self._commands), self._seal, None
        rules = _rules(before, names), _rules(after, names)
        report = executor.change(*rules, self._commands, partial(_origin, before, after))
        marks.wrote(report.transactions)
        if marks.outlive_writes or not report.transactions:
            self._seal = seal
        if self._look is not None:
            self._look.steps += report.transactions
        return report

    def _marks(self, commands: Commands | None) -> Marks:
        return Marks(self.family, "nft" if commands is None else commands.variant, self._commits)

    def _mark(self, commands: Commands | None) -> Hashable | None:
        """Return the mark of the rules; what is warned of may end by whatever others do."""
        return self._marks(commands).now(anywhere=bool(self._rule_warnings))

    def _text(self, what: str) -> str:
        return f"{self.family}, userspace: {what}"

    def configure(self, settings: ModeSettings) -> None:
        """Take new proxy ports from where the settings say."""
        assert isinstance(settings, ProxySettings)
        self._choice = settings.choice

    def is_due(self) -> bool:
        """Return whether proxy ports are to be taken from elsewhere."""
        return self._proxy.table.choice != self._choice

    def warnings(self) -> tuple[str, ...]:
        """Return what the table cannot carry, and what was to be told of the rules."""
        check = checks.UNSUPPORTED_PORT
        unsupported = [f"unsupported: {each} [{check}]" for each in self._proxy.table.unsupported]
        return (*unsupported, *self._rule_warnings)


def _render(render: Callable[[ProxyTable], ProxyTable], before: ProxyTable) -> ProxyTable:
    """Return the new table. Too few ports are an error of the input, but not while it serves."""
    try:
        return render(before)
    except Unsupported as error:
        if before.services:
            raise ApplyError(str(error)) from None
        raise


def _same(before: ProxyTable, after: ProxyTable, names: Sequence[FragmentName] | None) -> bool:
    """Return whether two tables are equal, if only service ports of `names` may differ."""
    if names is None:
        return before == after
    same = all(before.services.get(name) == after.services.get(name) for name in names)
    return same and before.unsupported == after.unsupported


def _origin(before: ProxyTable, after: ProxyTable, line: str) -> Origin | None:
    """Return what caused a line of a step: what it takes away is of what was there before."""
    table = before if line.startswith("-D ") else after
    return portal_rules(table).origin_of_line(line)


def _rules(table: ProxyTable, names: Sequence[FragmentName]) -> list[Rule]:
    return [
        rule
        for name in names
        if name in table.services
        for rule in service_rules(table.services[name], table.ports, table.settings)
    ]
