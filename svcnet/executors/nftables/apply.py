"""Look what there is, plan, and have nft do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial

from attrs import evolve, field, frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.children import Overdue
from svcnet.executors.commits import Commits
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import reason
from svcnet.executors.nftables.commands import NFT, NFTError, load_each
from svcnet.executors.nftables.dump import TableObservation, all_handles, dump, with_elements
from svcnet.executors.nftables.plan import NFTablesPlan, plan
from svcnet.executors.nftables.probe import deletes_late, require
from svcnet.executors.nftables.tables import family_of
from svcnet.executors.nftables.writer import NFTWriter
from svcnet.executors.notices import RulesetPart
from svcnet.executors.stages import Stages
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter.nft import NFTChain, NFTTable
from svcnet.nogc import without_gc
from svcnet.renderers.nftables import (
    TABLE,
    Ruleset,
    buckets_ahead,
    frame,
    replacement,
)
from svcnet.words import count_noun

LOOKS = 5
"""How often all is looked at again while others write to the table."""


@frozen
class NFTablesReport:
    """What an apply did, or with a dry run would do.

    ``commits`` are how many transactions the kernel took. ``left`` are chains and sets that
    nothing leads to any more and that the kernel did not let go yet. ``found_table`` is whether a
    table of that name was there when svcnet came.
    """

    ruleset: Ruleset = field(repr=False)
    plan: NFTablesPlan
    warnings: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(factory=dict, eq=False)
    commits: int = 0
    left: tuple[str, ...] = ()
    found_table: bool = False

    @property
    def _maker(self) -> str:
        """Who may have made the table that was there: nothing in it tells one from the other."""
        is_theirs = self.ruleset.table.name == TABLE
        return "kube-proxy or an earlier svcnet" if is_theirs else "an earlier svcnet"

    def __str__(self) -> str:
        planned = self.plan
        if planned.kind == "none":
            what = "nothing to change"
        else:
            lines, count = planned.text.count("\n"), len(planned.transactions)
            what = f"{count_noun(lines, 'line')} in {count_noun(count, 'transaction')}"
        if planned.by_netlink:
            what += f" and {count_noun(planned.by_netlink, 'element')} by netlink"
        if planned.kind == "full":
            what = f"all {count_noun(len(self.ruleset.blocks), 'service port')} written, {what}"
        if self.found_table and planned.kind != "none":
            where = "over" if planned.is_over else "in"
            what += f", {where} the table {self.ruleset.table} that {self._maker} left"
        return f"{self.ruleset.family}, nftables: {what}"


@without_gc()
def apply(
    ruleset: Ruleset,
    *,
    dry_run: bool = False,
    machine: Machine = THIS_MACHINE,
    writer: NFTWriter | None = None,
) -> NFTablesReport:
    """Bring the table of a machine to what `ruleset` says; with `dry_run` nothing is changed.

    Only what differs is loaded. A table of this name is taken over, whoever made it, and no other
    table is touched. What is served goes on being served. Where others write at the same time it is
    looked again, until all is as wanted. Raises :class:`svcnet.errors.Lacking` where the machine
    lacks what that takes, with nothing changed; ApplyError when something is refused, or others do
    not stop, and :class:`svcnet.executors.lock.Busy` when another svcnet is at work.

    A caller that goes on writing gives its `writer` for that machine, and looks again by itself.
    """
    nft = NFT(machine)
    with nullcontext() if dry_run else machine.lock(ruleset.family):
        if dry_run or writer is not None:
            return _apply(nft, ruleset, writer or NFTWriter(machine), dry_run=dry_run)
        return _apply_alone(nft, ruleset, NFTWriter(machine))


def _apply_alone(nft: NFT, ruleset: Ruleset, writer: NFTWriter) -> NFTablesReport:
    """Apply, and again if others have written meanwhile, in what may be our table.

    The report is the one of the first time, with the commits and what is left of all.
    """
    before = nft.generation()
    first = _apply(nft, ruleset, writer)
    if nft.generation() == before + first.commits:
        return first
    commits, total = Commits(nft.machine, partial(_is_in, ruleset.table)), first.commits
    try:
        for _ in range(LOOKS):
            mark = commits.of_others()
            again = _apply(nft, ruleset, writer)
            commits.count_own(again.commits)
            total += again.commits
            if again.plan.kind == "none" or commits.of_others() == mark:
                return evolve(first, commits=total, left=again.left)
    except OSError as error:
        raise ApplyError(f"nf_tables: {reason(error)}") from None
    raise ApplyError(f"nf_tables: others write table {ruleset.table} as fast as svcnet does")


def _is_in(table: NFTTable, place: RulesetPart) -> bool:
    return (place.family, place.table) == table


def _apply(
    nft: NFT, ruleset: Ruleset, writer: NFTWriter, *, dry_run: bool = False
) -> NFTablesReport:
    stages = Stages()
    with stages.stage("observe"):
        require(ruleset, nft)
        seen = observe(ruleset, machine=nft.machine, by_netlink=writer.takes(ruleset))
    if seen.state is None and not dry_run and writer.takes(ruleset):
        try:
            return _load_new(nft, ruleset, writer, stages)
        except ApplyError:
            # Others have come between, or nft says so too.
            seen = observe(ruleset, machine=nft.machine, by_netlink=writer.takes(ruleset))
    is_found = seen.state is not None
    with stages.stage("plan"):
        planned = plan(ruleset, seen)
    if dry_run:
        return NFTablesReport(ruleset, planned, (), stages.seconds, found_table=is_found)
    done = carry_out(ruleset, planned, stages, machine=nft.machine, writer=writer)
    return evolve(done, found_table=is_found)


def _load_new(nft: NFT, ruleset: Ruleset, writer: NFTWriter, stages: Stages) -> NFTablesReport:
    """Load a table that is not there: its frame by nft, and the rest by netlink.

    It has chains ahead for other numbers of endpoints, which are cheap now and never again. Raises
    as :func:`_make`.
    """
    with stages.stage("plan"):
        ruleset = ruleset.keep(buckets_ahead(ruleset.buckets))
        texts, count = tuple(frame(ruleset)), sum(ruleset.counts.values())
        planned = NFTablesPlan("full", texts, is_new=True, by_netlink=count)
    with stages.stage("write"):
        commits = _make(nft, ruleset, writer.load(ruleset, texts))
    return NFTablesReport(ruleset, planned, (), stages.seconds, commits)


def _make(nft: NFT, ruleset: Ruleset, parts: Iterable[int]) -> int:
    """Make a table that is not there, in `parts` which are so many commits each; return their sum.

    Raises ApplyError. Then nothing of it stays, unless others have written meanwhile: the table may
    be theirs.
    """
    before, commits = nft.generation(), 0
    try:
        for part in parts:
            commits += part
    except ApplyError:
        if commits and nft.generation() == before + commits:
            _remove(nft, f"delete table {ruleset.table}\n", ())
        raise
    return commits


def observe(
    ruleset: Ruleset, *, machine: Machine, is_written: bool = False, by_netlink: bool = False
) -> TableObservation:
    """Return the table of a ruleset as it is, and what is right of it.

    Where others never let nft list it, the kernel tells it. Then no rule is known to be right, but
    where `is_written`: all was written just now, so what has as many rules as it should is right.
    With `by_netlink` the kernel tells the elements, of which nft lists large sets slowly. Raises
    ApplyError.
    """
    try:
        there = NFT(machine).table(ruleset.table, is_terse=by_netlink)
        if there is None or not by_netlink:
            return TableObservation(there)
        return with_elements(ruleset, there, machine=machine)
    except Overdue:
        known = all_handles(ruleset, machine=machine) if is_written else {}
        return dump(ruleset, known, machine=machine)


def carry_out(
    ruleset: Ruleset,
    planned: NFTablesPlan,
    stages: Stages,
    *,
    machine: Machine,
    writer: NFTWriter | None = None,
) -> NFTablesReport:
    """Load a plan that brings the table of a machine to `ruleset`. Raises as :func:`apply`.

    What the report says is there has also the chains that the plan keeps.
    """
    nft, ruleset = NFT(machine), ruleset.keep(planned.kept)
    with machine.lock(ruleset.family), stages.stage("write"):
        if writer is not None and planned.delta is not None and writer.is_able():
            try:
                done = writer.carry_out(planned.delta, ruleset, ruleset.origin_of_line)
                return NFTablesReport(ruleset, planned, (), stages.seconds, *done)
            except ApplyError:
                # Others have overtaken it, or nft says so too.
                by_netlink = writer.takes(ruleset)
                planned = plan(ruleset, observe(ruleset, machine=machine, by_netlink=by_netlink))
        planned, commits, left = _carry_out(nft, ruleset, planned)
        if planned.is_over:
            # What that table had beside what is wanted shows now.
            rest = plan(ruleset, observe(ruleset, machine=machine, is_written=True), is_rest=True)
            _, more, left = _carry_out(nft, ruleset, rest)
            commits += more
    return NFTablesReport(ruleset, planned, (), stages.seconds, commits, left)


def _carry_out(
    nft: NFT, ruleset: Ruleset, planned: NFTablesPlan
) -> tuple[NFTablesPlan, int, tuple[str, ...]]:
    """Load a plan; return the one that was loaded, the number of commits, and what is left.

    What others have overtaken is planned anew, once; what is in the way then goes with the table,
    which is made anew in one transaction.
    """
    try:
        return planned, *_load(nft, ruleset, planned)
    except ApplyError as error:
        if error.check != checks.REFUSED_RULE:
            raise
        again = plan(ruleset, observe(ruleset, machine=nft.machine))
        if planned.is_new and again.is_new:
            raise
    if again.transactions != planned.transactions:
        try:
            return again, *_load(nft, ruleset, again)
        except ApplyError as error:
            if again.is_new or error.check != checks.REFUSED_RULE:
                raise
    anew = evolve(again, kind="full", transactions=(replacement(ruleset),), cleanup="", stale=())
    return anew, *_load(nft, ruleset, anew)


def _load(nft: NFT, ruleset: Ruleset, planned: NFTablesPlan) -> tuple[int, tuple[str, ...]]:
    """Load a plan; return how many commits that were, and what could not be deleted yet."""
    texts, cleanup = planned.transactions, planned.cleanup
    if cleanup and not deletes_late(nft.machine):
        texts, cleanup = (*texts[:-1], "".join(texts[-1:]) + cleanup), ""
    parts = load_each(nft, texts, ruleset.origin_of_line)
    commits = _make(nft, ruleset, parts) if planned.is_new else sum(parts)
    left = _remove(nft, cleanup, planned.stale)
    return commits + bool(cleanup and not left), left


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
