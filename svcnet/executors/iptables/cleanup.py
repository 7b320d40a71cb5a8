"""Removing what svcnet put on this machine, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.iptables import loopback
from svcnet.executors.iptables.commands import (
    Commands,
    RestoreError,
    Variant,
    find_commands,
)
from svcnet.executors.iptables.counting import remove_counters
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.iptables.proof import Proof
from svcnet.executors.iptables.refusal import check_of
from svcnet.executors.iptables.writer import ReferencedChain, Writer, tell
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter import BUILT_IN, SavedTables, target
from svcnet.netfilter.restore import declare, delete, remove, table_of, write
from svcnet.netfilter.rules import leading_to
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables import JUMPS
from svcnet.renderers.iptables.names import FIREWALL
from svcnet.words import count_noun


def cleanup(
    family: IPFamily, variant: Variant | None = None, *, machine: Machine = THIS_MACHINE
) -> tuple[str, ...]:
    """Remove the rules and chains of `family` in one variant, or in every installed one.

    Returns a line for each table that had any, for counters that nothing counts in any more, and
    for what stays: chains that foreign rules lead to, and KUBE-FIREWALL as long as it keeps
    neighbours off the host's loopback. Chains are told by their names, which are kube-proxy's too:
    do not run this beside one. Raises ApplyError when the machine refuses,
    :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    with machine.lock(family):
        lines = [
            f"{commands.name}: {line}"
            for commands in find_commands(family, variant, machine=machine)
            for line in _cleanup(commands, family)
        ]
        return (*lines, *remove_counters(machine=machine))


def remains(
    family: IPFamily, variant: Variant | None = None, *, machine: Machine = THIS_MACHINE
) -> tuple[str, ...]:
    """Return a line for each table of which :func:`cleanup` would remove something."""
    return tuple(
        f"{commands.name}: {line}"
        for commands in find_commands(family, variant, machine=machine)
        for observed in (commands.observe(),)
        for line in removable(observed, _own_and_kept(commands, family, observed)[0])
    )


def _cleanup(commands: Commands, family: IPFamily) -> Iterator[str]:
    observed = commands.observe()
    own, stays = _own_and_kept(commands, family, observed)
    yield from remove_chains(commands, own, observed)
    if stays:
        yield loopback.STAYS


def _own_and_kept(
    commands: Commands, family: IPFamily, observed: SavedTables
) -> tuple[Ownership, bool]:
    """Return what is to go, and whether KUBE-FIREWALL stays for the host's sake."""
    if FIREWALL not in observed.chains("filter"):
        return ownership(family), False
    is_kubelets, is_routed = (
        loopback.is_kubelets(observed, family),
        loopback.is_routed(commands.machine),
    )
    kept = (FIREWALL_RULES,) if is_kubelets or is_routed else ()
    return without([ownership(family)], kept), is_routed and not is_kubelets


@frozen
class Ownership:
    """How what belongs to a mode is known in what iptables-save prints.

    ``chain`` tells by table and name whose a chain is, ``jump`` whether a rule of a built-in chain
    is one that leads there. Jumps in any other chain belong to whoever made that chain.
    """

    chain: Callable[[str, str], bool]
    jump: Callable[[str], bool]


FIREWALL_RULES = Ownership(
    lambda table, chain: (table, chain) == ("filter", FIREWALL), loopback.leads_there
)
"""KUBE-FIREWALL and the jumps to it."""


def ownership(family: IPFamily) -> Ownership:
    """Return how iptables mode's chains and jumps are known."""
    jumps = {save_rule(jump.rule, family) for jump in JUMPS}
    return Ownership(is_ours, jumps.__contains__)


def without(known: Iterable[Ownership], kept: Iterable[Ownership]) -> Ownership:
    """Return what belongs to any of `known` and to none of `kept`."""
    known, kept = tuple(known), tuple(kept)
    return Ownership(
        lambda table, chain: (
            any(each.chain(table, chain) for each in known)
            and not any(each.chain(table, chain) for each in kept)
        ),
        lambda rule: (
            any(each.jump(rule) for each in known) and not any(each.jump(rule) for each in kept)
        ),
    )


def remove_chains(
    commands: Commands, own: Ownership, observed: SavedTables | None = None
) -> Iterator[str]:
    """Do what :func:`removal` says; yield a line for each table, and for what is left.

    With None, what is there is observed now. Raises ApplyError.
    """
    observed = observed or commands.observe()
    writer = Writer(commands)
    for text in removal(observed, own):
        proof, done = Proof(commands, [text]), len(writer.written)
        try:
            writer.write(text)
            proof.check(writer.written[done:])
        except RestoreError as error:
            now = commands.observe()
            if text in removal(now, own):
                raise ApplyError(str(error), check_of(error)) from None
            # Others have changed it since it was observed.
            yield from remove_chains(commands, own, now)
            return
        table = table_of(text)
        left = sum(table == other for other, _ in writer.left)
        if removed := _describe_removal(text, left):
            yield f"{removed} of table {table} removed"
    yield from (*tell(find_references(observed, own)), *writer.warnings())


def removable(observed: SavedTables, own: Ownership) -> Iterator[str]:
    """Yield a line for each table of which :func:`remove_chains` would remove something."""
    for text in removal(observed, own):
        if there := _describe_removal(text, 0):
            yield f"{there} of table {table_of(text)}"


def _describe_removal(text: str, left: int) -> str:
    """Say what a text removes; where no chain goes, it is jumps to one that stays."""
    chains, jumps = text.count("\n-X ") - left, text.count("\n-D ")
    if not chains and not jumps:
        return ""
    return count_noun(chains, "chain") if chains else count_noun(jumps, "jump")


def removal(observed: SavedTables, own: Ownership) -> Iterator[str]:
    """Yield, for each table that has chains or jumps of ours, the text that removes them.

    A chain that a foreign rule leads to cannot go; it is left, empty, and the rule too.
    """
    for table in ("filter", "nat"):
        chains = observed.chains(table)
        mine = [chain for chain in sorted(chains) if own.chain(table, chain)]
        jumps = [
            remove(chain, filter(own.jump, chains.get(chain, ()))) for chain in BUILT_IN[table]
        ]
        stay = {each.chain for each in find_references(observed, own) if each.table == table}
        gone = tuple(chain for chain in mine if chain not in stay)
        emptied = [chain for chain in mine if chains[chain]]
        yield from write(table, declare(emptied), *jumps, delete(gone))


def find_references(observed: SavedTables, own: Ownership) -> Iterator[ReferencedChain]:
    """Yield the chains of ours that foreign rules lead to."""
    for table in ("filter", "nat"):
        chains = observed.chains(table)
        outside = {
            chain: [rule for rule in rules if chain not in BUILT_IN[table] or not own.jump(rule)]
            for chain, rules in chains.items()
            if not own.chain(table, chain)
        }
        targets = {target(rule) for rules in outside.values() for rule in rules}
        for chain in targets & chains.keys():
            if own.chain(table, chain):
                yield ReferencedChain(table, chain, leading_to(outside, chain))
