"""Observe, plan, write."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from attrs import evolve, field, frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import Commands, RestoreError, Variant
from svcnet.executors.iptables.counting import make_counters
from svcnet.executors.iptables.loopback import ROUTE_LOCALNET
from svcnet.executors.iptables.plan import RestorePlan, most_chains, plan
from svcnet.executors.iptables.proof import Proof
from svcnet.executors.iptables.refusal import check_of, explain
from svcnet.executors.iptables.undo import undo
from svcnet.executors.iptables.variants import Choice, choose_variant
from svcnet.executors.iptables.writer import Writer, tell
from svcnet.executors.machine import Machine
from svcnet.executors.stages import Stages
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.restore import load
from svcnet.nogc import without_gc
from svcnet.renderers.iptables import RestoreText
from svcnet.words import count_noun


@frozen
class RestoreReport:
    """What an apply did, or with a dry run would do.

    ``found`` is what was there before. ``sysctls`` are the kernel's settings that were changed,
    ``stages`` how many seconds each part took, and ``written`` the texts that the kernel took.
    """

    found: Choice = field(repr=False)
    plan: RestorePlan
    warnings: tuple[str, ...]
    sysctls: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict, eq=False)
    written: tuple[str, ...] = field(default=(), repr=False)

    @property
    def variant(self) -> Variant:
        """The variant of iptables that was used."""
        return self.found.commands.variant

    @property
    def changes(self) -> Mapping[str, int]:
        """How many things were changed, by kind: chains of each table, and sysctls."""
        found = {f"iptables {table}": len(c) for table, c in self.plan.chains.items()}
        return {**found, "sysctls": len(self.sysctls)} if self.sysctls else found

    def __str__(self) -> str:
        ports = count_noun(self.plan.service_ports, "service port")
        what = {
            "none": "nothing to change",
            "full": f"all {ports} written",
            "delta": f"{ports} written",
        }[self.plan.kind]
        lines = self.plan.text.count("\n")
        if lines:
            count = count_noun(len(self.plan.transactions), "transaction")
            what += f", {count_noun(lines, 'line')} in {count}"
        return f"{self.found.commands.family}, iptables-{self.variant}: {what}"


@without_gc()
def apply(
    artifact: RestoreText,
    *,
    variant: Variant | None = None,
    dry_run: bool = False,
    machine: Machine = THIS_MACHINE,
) -> RestoreReport:
    """Bring the tables of a machine to what `artifact` says.

    Only what differs is written; with `dry_run` nothing is. Rules that are not ours are
    never touched. Raises ApplyError when something is refused, and then puts back what
    was there before; :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with nullcontext() if dry_run else machine.lock(artifact.family):
        return _apply(machine, artifact, variant, dry_run=dry_run)


def _apply(
    machine: Machine, artifact: RestoreText, variant: Variant | None, *, dry_run: bool
) -> RestoreReport:
    stages = Stages()
    with stages.stage("observe"):
        choice = choose_variant(artifact.family, variant, machine=machine)
    with stages.stage("plan"):
        planned = plan(artifact, choice.observed, most_chains(choice.commands.variant))
    if dry_run:
        warnings = (*choice.warnings, *tell(planned.held))
        return RestoreReport(choice, planned, warnings, stages=stages.seconds)
    return carry_out(artifact, planned, choice, stages)


def carry_out(
    artifact: RestoreText, planned: RestorePlan, choice: Choice, stages: Stages
) -> RestoreReport:
    """Do what was planned for `artifact` and the tables of `choice`, with the lock held.

    Raises as :func:`apply` does.
    """
    machine = choice.commands.machine
    writer = Writer(choice.commands)
    with stages.stage("write"):
        make_counters(artifact, machine=machine)
        planned = _write(artifact, planned, choice, writer)
        sysctls, more = serve_localhost(artifact, machine=machine)
    warnings = (*choice.warnings, *tell(planned.held), *writer.warnings(), *more)
    written = tuple(writer.written)
    return RestoreReport(
        choice, _restrict(planned, written), warnings, sysctls, stages.seconds, written
    )


def _restrict(planned: RestorePlan, written: tuple[str, ...]) -> RestorePlan:
    """Return what was planned as it was done."""
    if not written:
        # All that differs, if anything, are chains that cannot go, as is known only now.
        return RestorePlan("none", (), held=planned.held)
    return evolve(planned, kind="delta") if planned.kind == "none" else planned


class _RefusedTransaction(Exception):  # noqa: N818
    """A transaction could not be written."""

    def __init__(self, text: str, error: RestoreError | ApplyError) -> None:
        self.text = text
        self.error = error


def _write(
    artifact: RestoreText, planned: RestorePlan, choice: Choice, writer: Writer
) -> RestorePlan:
    """Write a plan; one that others have overtaken is made anew, once. Return the one written.

    Raises ApplyError when it is refused, and then takes back what it wrote.
    """
    commands, family = choice.commands, artifact.family
    try:
        _load(planned, commands, writer)
    except _RefusedTransaction as refused:
        try:
            now = commands.observe()
            if now == load(choice.observed, writer.written, family):
                raise
            planned = plan(artifact, now, most_chains(commands.variant))
            _load(planned, commands, writer)
        except (_RefusedTransaction, ApplyError) as error:
            last = error if isinstance(error, _RefusedTransaction) else refused
            told = explain(last.error, last.text, artifact.origin_of_line)
            told += _take_back(choice, writer, last)
            raise ApplyError(told, check_of(last.error)) from None
    return planned


def _load(planned: RestorePlan, commands: Commands, writer: Writer) -> None:
    proof, text, done = Proof(commands, planned.transactions), "", len(writer.written)
    try:
        for text in planned.transactions:
            writer.write(text)
        proof.check(writer.written[done:])
    except (RestoreError, ApplyError) as error:
        raise _RefusedTransaction(text, error) from None


def _take_back(choice: Choice, writer: Writer, refused: _RefusedTransaction) -> str:
    """Take back what was written, and nothing that others wrote meanwhile; say how that went."""
    commands, before = choice.commands, choice.observed
    family, written = commands.family, list(writer.written)
    try:
        now = commands.observe()
        # A command that was killed may have done its work, and else has done none of it.
        ours = min(
            (load(before, texts, family) for texts in (written, [*written, refused.text])),
            key=now.differences,
        )
        for text in undo(before, ours, now):
            writer.write(text)
    except (RestoreError, ApplyError) as error:
        return f"\n  and what was there before could not be put back: {error}"
    return "\n  what was there before is still there"


def serve_localhost(
    artifact: RestoreText, *, machine: Machine
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let packets for node ports on 127.0.0.1 be routed to endpoints, as kube-proxy does.

    Return the settings that were not so, and warnings. It is done last, because it is
    KUBE-FIREWALL that keeps neighbours off the host's loopback then.
    """
    if not artifact.settings.localhost_node_ports:
        return (), ()
    try:
        if machine.read(ROUTE_LOCALNET).strip() == "1":
            return (), ()
        machine.write(ROUTE_LOCALNET, "1")
    except OSError as error:
        problem = f"{ROUTE_LOCALNET}: {error.strerror}"
        told = checks.MACHINE_STATE.line(f"node ports do not answer on 127.0.0.1: {problem}")
        return (), (told,)
    return (ROUTE_LOCALNET.name,), ()
