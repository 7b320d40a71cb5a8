"""Look what there is, plan, and have nft do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext

from attrs import evolve, field, frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.machine import Machine
from svcnet.executors.nftables.commands import NFT, NFTError, line_at
from svcnet.executors.nftables.plan import NFTablesPlan, plan
from svcnet.executors.nftables.probe import deletes_late, require
from svcnet.executors.nftables.tables import family_of
from svcnet.executors.stages import Stages
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.nft import NFTChain, NFTTable
from svcnet.nogc import without_gc
from svcnet.renderers.nftables import NFTablesDelta, Ruleset, replacement

OriginOf = Callable[[str], object]
"""What in the input a line came from, None where nothing did."""


@frozen
class NFTablesReport:
    """What an apply did, or with a dry run would do.

    ``commits`` are how many transactions the kernel took. ``left`` are chains and sets that
    nothing leads to any more and that the kernel did not let go.
    """

    table: NFTTable
    plan: NFTablesPlan
    warnings: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict, eq=False)
    commits: int = 0
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = len(self.plan.transactions) + bool(self.plan.cleanup)
        lines = self.plan.text.count("\n")
        written = f"{lines} lines in {count} transaction{'s' if count > 1 else ''}"
        over = "" if self.plan.is_new else f", over the table {self.table} that was there"
        family = family_of(self.table)
        ports = self.plan.service_ports
        return f"{family}, nftables: all {ports} service ports written, {written}{over}"


@without_gc()
def apply(
    ruleset: Ruleset, *, dry_run: bool = False, machine: Machine = THIS_MACHINE
) -> NFTablesReport:
    """Bring the table of a machine to what `ruleset` says; with `dry_run` nothing is changed.

    A table of this name is taken over, whoever made it, and no other table is touched. What is
    served goes on being served. Raises :class:`svcnet.errors.Lacking` where the machine lacks what
    that takes, with nothing changed; ApplyError when something is refused, and
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with nullcontext() if dry_run else machine.lock(ruleset.family):
        return _apply(NFT(machine), ruleset, dry_run=dry_run)


def _apply(nft: NFT, ruleset: Ruleset, *, dry_run: bool) -> NFTablesReport:
    stages = Stages()
    with stages.stage("observe"):
        require(ruleset, nft)
        there = nft.names(ruleset.table)
    with stages.stage("plan"):
        planned = plan(ruleset, there)
    if dry_run:
        return NFTablesReport(ruleset.table, planned, (), stages.seconds)
    with stages.stage("write"):
        planned = _write(nft, ruleset, planned)
        left = _remove(nft, planned.cleanup, planned.stale)
    commits = len(planned.transactions) + bool(planned.cleanup and not left)
    return NFTablesReport(ruleset.table, planned, (), stages.seconds, commits, left)


def _write(nft: NFT, ruleset: Ruleset, planned: NFTablesPlan) -> NFTablesPlan:
    """Load a plan; where what was there is in the way, replace the table, in one transaction."""
    try:
        load_all(nft, planned.transactions, ruleset.origin_of_line)
    except ApplyError as error:
        if planned.is_new:
            _remove(nft, f"delete table {ruleset.table}\n", ())
        if planned.is_new or error.check != checks.REFUSED_RULE:
            raise
        text = replacement(ruleset)
        load_all(nft, (text,), ruleset.origin_of_line)
        planned = evolve(planned, transactions=(text,), cleanup="", stale=())
    return planned


def apply_step(delta: NFTablesDelta, origin_of: OriginOf, *, machine: Machine) -> tuple[str, ...]:
    """Take the table of a machine through a step, from the state an apply left it in.

    Nothing is listed. Returns the chains that are to be deleted later, where the kernel would
    refuse that now. Raises ApplyError as :func:`apply` does; nothing is changed then.
    """
    is_late = deletes_late(machine)
    text = delta.sync if is_late else delta.text
    with machine.lock(delta.family):
        load_all(NFT(machine), (text,) if text else (), origin_of)
    return delta.stale if is_late else ()


def load_all(nft: NFT, texts: tuple[str, ...], origin_of: OriginOf) -> None:
    """Load transactions; raise ApplyError that names the refused line, and what it came from."""
    for text in texts:
        try:
            nft.load(text)
        except NFTError as error:
            raise refusal(error, text, origin_of) from None


def refusal(error: NFTError, text: str, origin_of: OriginOf) -> ApplyError:
    """Return the error that says which line was refused, and what in the input it came from."""
    line = line_at(text, error.line)
    if not line:
        return ApplyError(str(error))
    origin = origin_of(line)
    cause = f" (from {origin})" if origin else ""
    return ApplyError(f"{error}\n  refused: {line}{cause}", checks.REFUSED_RULE)


def remove(table: NFTTable, chains: tuple[str, ...], *, machine: Machine) -> tuple[str, ...]:
    """Delete chains that nothing leads to; return these if the kernel refuses it."""
    text = "".join([NFTChain(name).delete(str(table)) for name in chains])
    with machine.lock(family_of(table)):
        return _remove(NFT(machine), text, chains)


def _remove(nft: NFT, text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Load what deletes chains and sets of `names`; return these if the kernel refuses it."""
    if not text:
        return ()
    try:
        nft.load(text)
    except NFTError:
        return names
    return ()
