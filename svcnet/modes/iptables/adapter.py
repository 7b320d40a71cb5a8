"""The iptables rules of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import partial
from threading import Lock

from attrs import asdict, define, evolve, field

from svcnet.errors import ApplyError
from svcnet.executors import iptables
from svcnet.executors.commits import Commits
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, Origin, RuleGraph
from svcnet.modes.adapter import Adapter, Inspection, Rules, SyncResult, few
from svcnet.modes.stages import IPTABLES_RESTORE
from svcnet.netfilter.restore import are_apart, assume
from svcnet.nogc import without_gc
from svcnet.renderers import iptables as rules
from svcnet.words import count_noun

MANY = 10
"""So many transactions are a large write, which is not to be told of."""


@define
class _Look:
    """A look at the tables that goes on: a listing, compared with what is wanted by then.

    ``seal`` is their mark of when they were right, ``before`` that of before they are listed and
    ``after`` that of behind it, where steps change it. ``steps`` were written meanwhile; so many as
    are ``known`` are in ``graph`` and in what was ``found``.
    """

    graph: RuleGraph
    text: rules.RestoreText
    seal: Hashable | None
    before: Hashable | None = None
    after: Hashable | None = None
    stages: Stages = field(factory=Stages)
    steps: list[str] = field(factory=list)
    known: int = 0
    found: tuple[iptables.Choice, iptables.RestorePlan] | None = None


class IptablesAdapter(Adapter):
    """The iptables rules of one family.

    It remembers a mark of the tables from when they were right. `commits` are those of the machine
    that it works on; adapters of several families share them, so that none takes what another
    writes for somebody else's work.
    """

    def __init__(
        self,
        family: IPFamily,
        variant: iptables.Variant | None,
        commits: Commits,
        layout: rules.Layout = rules.KUBE_PROXY,
    ) -> None:
        super().__init__(family, "iptables")
        self._layout = layout
        self._variant = variant
        self._commits = commits
        self._machine = commits.machine
        self._commands: iptables.Commands | None = None
        self._text: rules.RestoreText | None = None
        self._forest: rules.Forest | None = None
        self._seal: Hashable | None = None
        self._warnings: tuple[str, ...] = ()
        self._count = rules.RuleCount()
        self._look: _Look | None = None
        self._writing = Lock()

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Observe the tables and write what differs."""
        with self._writing:
            return self._whole(graph)

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Write the difference of two graphs, without a look at the tables."""
        if self._commands is None:
            return None
        with self._machine.lock(self.family), self._writing:
            return self._step(change)

    @property
    def stage(self) -> str:
        """What metrics call a refusal, with kube-proxy's counters of it."""
        return IPTABLES_RESTORE

    def warnings(self) -> tuple[str, ...]:
        """Return what was to be told of the tables when they were last observed."""
        return self._warnings

    def _step(self, change: GraphDiff) -> SyncResult:
        assert self._commands is not None
        stages, marks, seal = Stages(), self._marks(), self._seal
        with stages.stage("render"):
            limit = iptables.most_chains(self._commands.variant)
            delta = rules.delta(change, self._forest, self._layout)
            texts = tuple(delta.transactions(limit))
        self._seal = None
        writer = iptables.Writer(self._commands)
        if len(texts) > 1:
            self._commits.deaf()
        with stages.stage("write"):
            try:
                for text in texts:
                    writer.write(text)
            except RestoreError as error:
                told = iptables.explain(error, text, partial(self._origin, change))
                raise ApplyError(told, iptables.check_of(error)) from None
            left = writer.warnings()
        marks.wrote(writer.written)
        self._seal = seal if marks.outlive_writes else None
        if self._look is not None:
            self._look.graph = change.new
            self._look.steps += writer.written
        self._count += delta.growth
        self._forest = delta.forest
        lines = sum(text.count("\n") for text in texts)
        told = f"{self.family}, {self._commands.name}: {count_noun(lines, 'line')}"
        warnings = (*self._warnings, *left)
        return SyncResult("delta", told, warnings, stages.seconds, rules=self._rules(texts))

    def _rules(self, texts: Iterable[str]) -> Rules:
        """Return how many rules there are now that `texts` were written."""
        total = asdict(self._count)
        written = dict.fromkeys(total, 0)
        for text in texts:
            table = text[1 : text.index("\n")]
            written[table] += text.count("\n-A ") + text.count("\n-I ")
        return Rules(total, written)

    def inspection(self, graph: RuleGraph) -> Inspection | None:
        """Begin to repair what differs, if the tables' mark is not what it was when all was right.

        The mark of the nft variant is asked for at once, between two steps: they move what it is
        made of.
        """
        if self._text is None or self._commands is None:
            return None
        look = self._look = _Look(graph, self._text, self._seal)
        if self._marks().outlive_writes:
            with look.stages.stage("observe"):
                look.before = self._mark()
        return Inspection(partial(self._read, look), partial(self._repair, look))

    def is_disturbed(self) -> bool:
        """Return whether anybody else wrote rules of nf_tables since they were right."""
        if self._seal is None or self._commands is None:
            return False
        return self._marks().outlive_writes and self._mark() != self._seal

    def _read(self, look: _Look) -> None:
        """List the tables, if their mark tells to, and plan what makes them right."""
        assert self._commands is not None
        outlives = self._marks().outlive_writes
        with look.stages.stage("observe"):
            if not outlives:
                look.before = self._mark()
            if look.before is not None and look.before == look.seal:
                return
            choice = iptables.choose_variant(self.family, self._variant, machine=self._machine)
            look.after = None if outlives else self._mark()
        with self._writing:
            # Between two steps, so that what is wanted and what was written go together.
            graph, look.known = look.graph, len(look.steps)
        with look.stages.stage("plan"), without_gc():
            text = rules.full(graph, look.text, self._layout)
            observed = assume(choice.observed, look.steps[: look.known], self.family)
            planned = iptables.plan(text, observed, iptables.most_chains(choice.commands.variant))
        look.text, look.found = text, (evolve(choice, observed=observed), planned)

    def _repair(self, look: _Look) -> SyncResult | None:
        """Write what was planned, unless steps have been there meanwhile."""
        if look is not self._look:
            return self.idle("put right meanwhile")
        self._look = None
        if look.found is None:
            return self._settings(look.text, look.stages)
        choice, planned = look.found
        is_apart = are_apart(planned.transactions, look.steps[look.known :])
        if choice.commands != self._commands or not is_apart:
            return None
        stages, self._text, self._seal = look.stages, None, None
        if len(planned.transactions) > MANY:
            self._commits.deaf()
        with self._machine.lock(self.family), self._writing:
            report = iptables.carry_out(look.text, planned, choice, stages)
        marks = self._marks()
        marks.wrote(report.written)
        is_sure = not (look.steps or report.written) and look.after == look.before
        self._seal = look.before if marks.outlive_writes or is_sure else None
        done = self._finish(look.text, report, stages)
        if done.kind == "none":
            return done
        services = few(_services(look.text, report.plan.transactions))
        return evolve(done, differed=report.changes, services=services)

    def _settings(self, text: rules.RestoreText, stages: Stages) -> SyncResult:
        """Put the kernel's settings right, where the rules are."""
        with self._machine.lock(self.family), stages.stage("write"):
            changed, warnings = iptables.serve_localhost(text, machine=self._machine)
        if not changed:
            told = f"{self.family}, iptables: nothing has changed"
            return SyncResult("none", told, (*self._warnings, *warnings), stages.seconds)
        told = f"{self.family}: {', '.join(changed)} set"
        differed = {"sysctls": len(changed)}
        return SyncResult("delta", told, (*self._warnings, *warnings), stages.seconds, differed)

    def _whole(self, graph: RuleGraph) -> SyncResult:
        stages = Stages()
        with stages.stage("render"):
            text = rules.full(graph, self._text, self._layout)
        self._text = self._seal = self._look = None
        # The mark is of a time before the tables are observed: what somebody writes from
        # then on makes it another, whether or not it was seen.
        with stages.stage("observe"):
            before = self._mark()
        self._commits.deaf()
        report = iptables.apply(text, variant=self._variant, machine=self._machine)
        self._commits.attend()
        stages.merge(report.stages)
        self._commands = iptables.Commands(self.family, report.variant, self._machine)
        self._count, self._forest = text.rules, text.forest
        marks = self._marks()
        marks.wrote(report.written)
        if marks.outlive_writes:
            self._seal = before
        elif not report.written:
            with stages.stage("observe"):
                self._seal = before if self._mark() == before else None
        return self._finish(text, report, stages)

    def _finish(
        self, text: rules.RestoreText, report: iptables.RestoreReport, stages: Stages
    ) -> SyncResult:
        """Take that the tables are what `text` says, and return what was done for that."""
        self._warnings, self._text = report.warnings, text
        kind = "delta" if report.plan.kind == "none" and report.sysctls else report.plan.kind
        written = self._rules(report.plan.transactions)
        return SyncResult(
            kind=kind,
            text=str(report),
            warnings=report.warnings,
            stages=stages.seconds,
            rules=written,
            found=report.found,
        )

    def _origin(self, change: GraphDiff, line: str) -> Origin | None:
        """Return what caused a line of a step: what it takes away is of what was there before."""
        graphs = (change.old, change.new)
        for graph in graphs if line.startswith(("-D ", "-X ")) else reversed(graphs):
            if origin := rules.full(graph, layout=self._layout).origin_of_line(line):
                return origin
        return None

    def _mark(self) -> Hashable | None:
        """Return the mark of the tables; what is warned of may end by whatever others do."""
        return self._marks().now(anywhere=bool(self._warnings))

    def _marks(self) -> iptables.Marks:
        """Return what tells marks: those of nft, which outlive writes, until a variant is known."""
        variant = "nft" if self._commands is None else self._commands.variant
        return iptables.Marks(self.family, variant, self._commits)


def _services(text: rules.RestoreText, transactions: tuple[str, ...]) -> Iterator[str]:
    """Yield the Services that written lines are about, as often as they come."""
    for line in "".join(transactions).split("\n"):
        name = text.service_port_of_line(line) if line[:1] in (":", "-") else None
        if name is not None:
            yield f"{name.namespace}/{name.name}"
