"""The few iptables rules of IPVS mode: how iptables-save prints them, and what to write."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from svcnet.executors.iptables.cleanup import (
    FIREWALL_RULES,
    Ownership,
    removable,
    removal,
    remove_chains,
    without,
)
from svcnet.executors.iptables.commands import find_commands
from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter import BUILT_IN, SavedTables, read_listing
from svcnet.netfilter.jumps import ensure, of_table
from svcnet.netfilter.restore import append, declare, write
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.ipvs.rules import FILTER_CHAINS, JUMPS, NAT_CHAINS

CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"nat": NAT_CHAINS, "filter": FILTER_CHAINS}
)


def changes(
    text: str, observed: SavedTables, family: IPFamily, others: Collection[Ownership] = ()
) -> Iterator[str]:
    """Yield the transactions, one of a table each, that make the rules be those of `text`.

    Chains that differ are written anew, and each jump from a built-in chain is there once.
    Chains of `others` that this mode has not are removed; see :func:`of_others`. The filter table
    comes first: what it keeps out is kept out before the nat table leads packets this way.
    """
    for table, chains in sorted(read_listing(text).items()):
        there = observed.chains(table)
        changed = [
            chain
            for chain, rules in chains.items()
            if there.get(chain) != [save_rule(rule, family) for rule in rules]
        ]
        written = [append(chain, chains[chain]) for chain in changed]
        jumps = ensure(of_table(JUMPS, table), there, family)
        yield from write(table, declare(changed), *written, *jumps)
    # Chains of both are this mode's by then.
    yield from removal(observed.without(ownership(family).chain), of_others(others, family))


def remove(machine: Machine, family: IPFamily) -> Iterator[str]:
    """Remove this mode's chains and jumps, in both variants; yield a line for each table."""
    for commands in find_commands(family, machine=machine):
        yield from remove_chains(commands, ownership(family))


def remains(machine: Machine, family: IPFamily) -> Iterator[str]:
    """Yield a line for each table of which :func:`remove` would remove something."""
    for commands in find_commands(family, machine=machine):
        yield from removable(commands.observe(), ownership(family))


def ownership(family: IPFamily) -> Ownership:
    """Return how this mode's chains and jumps are known."""
    jumps = {save_rule(jump.rule, family) for jump in JUMPS}
    return Ownership(lambda table, chain: chain in CHAINS.get(table, ()), jumps.__contains__)


def has_foreign(observed: SavedTables, family: IPFamily) -> bool:
    """Return whether any chain is there that is neither the kernel's nor this mode's."""
    own = ownership(family)
    return observed.has(
        lambda table, chain: (
            table in CHAINS and chain not in BUILT_IN[table] and not own.chain(table, chain)
        )
    )


def of_others(others: Collection[Ownership], family: IPFamily) -> Ownership:
    """Return what belongs to other modes, and has no use any more once this one serves.

    KUBE-FIREWALL has: it keeps neighbours off the host's loopback where that is routed,
    which iptables mode has asked for. And it may be the kubelet's.
    """
    return without(others, (ownership(family), FIREWALL_RULES))
