"""Removing what svcnet put on this machine, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.counted import counted
from svcnet.executors.iptables.commands import (
    Commands,
    RestoreError,
    Variant,
    installed,
)
from svcnet.executors.iptables.observe import Observed, is_ours
from svcnet.executors.iptables.saved import saved
from svcnet.executors.lock import lock
from svcnet.netfilter import target
from svcnet.renderers.iptables import JUMPS
from svcnet.renderers.iptables.artifact import declare, delete


def cleanup(family: str, variant: Variant | None = None) -> tuple[str, ...]:
    """Remove the rules and chains of `family` in one variant, or in every installed one.

    Returns a line for each variant that had any. Chains are told by their names, which
    are kube-proxy's too: do not run this beside one. Raises ApplyError when the machine
    refuses, :class:`svcnet.executors.lock.Busy` when another svcnet is at work.
    """
    own = owned(family)
    with lock(family):
        return tuple(
            f"{commands.name}: {line}"
            for commands in installed(family, variant)
            for line in remove_chains(commands, own)
        )


@frozen
class Owned:
    """How what belongs to a mode is known in what iptables-save prints.

    ``chain`` tells by table and name whose a chain is, ``jump`` whether a rule of another chain
    is one that leads there.
    """

    chain: Callable[[str, str], bool]
    jump: Callable[[str], bool]


def owned(family: str) -> Owned:
    """Return how iptables mode's chains and jumps are known."""
    jumps = {saved(jump.rule, family) for jump in JUMPS}
    return Owned(is_ours, jumps.__contains__)


def remove_chains(
    commands: Commands, own: Owned, observed: Observed | None = None
) -> Iterator[str]:
    """Do what :func:`removal` says; yield a line for each table. Raises ApplyError.

    With None, what is there is observed now.
    """
    for text in removal(observed or commands.observe(), own):
        try:
            commands.restore(text)
        except RestoreError as error:
            raise ApplyError(str(error)) from None
        yield f"{_removed(text)} of table {text[1 : text.index(chr(10))]} removed"


def _removed(text: str) -> str:
    """Say what a text removes; where no chain goes, it is jumps to one that stays."""
    chains, jumps = text.count("-X "), text.count("-D ")
    return counted(chains, "chain") if chains or not jumps else counted(jumps, "jump")


def removal(observed: Observed, own: Owned) -> Iterator[str]:
    """Yield, for each table that has chains or jumps of ours, the text that removes them.

    A chain that a foreign rule leads to cannot go; it is left, empty, and the rule too.
    """
    for table in ("filter", "nat"):
        chains = observed.chains(table)
        mine = tuple(sorted(chain for chain in chains if own.chain(table, chain)))
        outside = [
            (chain, rule) for chain, rules in chains.items() if chain not in mine for rule in rules
        ]
        jumps = [f"-D {chain} {rule}\n" for chain, rule in outside if own.jump(rule)]
        used = {target(rule) for _, rule in outside if not own.jump(rule)}
        gone = tuple(chain for chain in mine if chain not in used)
        if mine or jumps:
            yield f"*{table}\n{declare(mine)}{''.join(jumps)}{delete(gone)}COMMIT\n"
