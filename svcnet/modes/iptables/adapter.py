"""The iptables rules of one IP family, kept true."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import partial

from attrs import asdict, evolve

from svcnet.errors import ApplyError
from svcnet.executors import iptables
from svcnet.executors.commits import Commits
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.iptables.plan import most_chains
from svcnet.executors.stages import Stages
from svcnet.family import IPFamily
from svcnet.graph import GraphDiff, Origin, RuleGraph
from svcnet.modes.adapter import Adapter, Rules, SyncResult, few
from svcnet.renderers import iptables as rules
from svcnet.servers.monitoring import IPTABLES_RESTORE


class IptablesAdapter(Adapter):
    """The iptables rules of one family.

    It remembers a mark of the tables from when they were right. `commits` are those of the
    machine that it works on; adapters of several families share them, so that what one writes is
    not somebody else's work to the other.
    """

    def __init__(
        self,
        family: IPFamily,
        variant: iptables.Variant | None,
        commits: Commits,
    ) -> None:
        super().__init__(family, "iptables")
        self._variant = variant
        self._commits = commits
        self._machine = commits.machine
        self._commands: iptables.Commands | None = None
        self._text: rules.RestoreText | None = None
        self._seal: Hashable | None = None
        self._warnings: tuple[str, ...] = ()
        self._count = rules.RuleCount()

    def whole(self, graph: RuleGraph) -> SyncResult:
        """Observe the tables and write what differs."""
        self._commits.deaf()
        return self._whole(graph)[0]

    def step(self, graph: RuleGraph, change: GraphDiff) -> SyncResult | None:
        """Write the difference of two graphs, without a look at the tables."""
        if self._commands is None:
            return None
        with self._machine.lock(self.family):
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
            limit = most_chains(self._commands.variant)
            delta = rules.delta(change)
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
                told = iptables.explain(error, text, partial(_origin, change.old, change.new))
                raise ApplyError(told, iptables.check_of(error)) from None
            left = writer.warnings()
        marks.wrote(writer.written)
        self._seal = seal if marks.outlive_writes else None
        self._count += delta.growth
        lines = sum(text.count("\n") for text in texts)
        told = f"{self.family}, {self._commands.name}: {lines} lines"
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

    def look(self, graph: RuleGraph) -> SyncResult:
        """Repair what differs, if the tables' mark is not what it was when they were right."""
        stages = Stages()
        if self._text is not None and self._seal is not None:
            with stages.stage("observe"):
                is_right = self._mark() == self._seal
            if is_right:
                return self._settings(self._text, stages)
        done, report = self._whole(graph)
        if done.kind == "none":
            return done
        assert self._text is not None
        services = few(_services(self._text, report.plan.transactions))
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

    def _whole(self, graph: RuleGraph) -> tuple[SyncResult, iptables.RestoreReport]:
        stages = Stages()
        with stages.stage("render"):
            text = rules.full(graph, self._text)
        self._text = self._seal = None
        # The mark is of a time before the tables are observed: what somebody writes from
        # then on makes it another, whether or not it was seen.
        with stages.stage("observe"):
            before = self._mark() if self._commands is not None else None
        report = iptables.apply(text, variant=self._variant, machine=self._machine)
        self._warnings = report.warnings
        self._commands = iptables.Commands(self.family, report.variant, self._machine)
        self._text = text
        self._seal = self._sealed(before, report, stages)
        stages.merge(report.stages)
        kind = "delta" if report.plan.kind == "none" and report.sysctls else report.plan.kind
        self._count = text.rules
        told = str(report)
        rules_now = self._rules(report.plan.transactions)
        done = SyncResult(
            kind, told, report.warnings, stages.seconds, rules=rules_now, found=report.found
        )
        return done, report

    def _sealed(
        self, before: Hashable | None, report: iptables.RestoreReport, stages: Stages
    ) -> Hashable | None:
        """Return the mark that says the tables are as they were left; None if that is unsure."""
        marks = self._marks()
        marks.wrote(report.written)
        if report.written and not marks.outlive_writes:
            return None
        with stages.stage("observe"):
            return before if self._mark() == before else None

    def _mark(self) -> Hashable | None:
        """Return the mark of the tables; what is warned of may end by whatever others do."""
        return self._marks().now(anywhere=bool(self._warnings))

    def _marks(self) -> iptables.Marks:
        assert self._commands is not None
        return iptables.Marks(self.family, self._commands.variant, self._commits)


def _origin(before: RuleGraph, after: RuleGraph, line: str) -> Origin | None:
    """Return what caused a line of a step: what it takes away is of what was there before."""
    graphs = (before, after) if line.startswith(("-D ", "-X ")) else (after, before)
    for graph in filter(None, graphs):
        if origin := rules.full(graph).origin_of_line(line):
            return origin
    return None


def _services(text: rules.RestoreText, transactions: tuple[str, ...]) -> Iterator[str]:
    """Yield the Services that written lines are about, as often as they come."""
    for line in "".join(transactions).split("\n"):
        name = text.service_port_of_line(line) if line[:1] in (":", "-") else None
        if name is not None:
            yield f"{name.namespace}/{name.name}"
