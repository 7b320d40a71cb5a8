"""The few iptables rules of IPVS mode: how iptables-save prints them, and what to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from svcnet.executors.iptables.cleanup import Ownership, removal, remove_chains
from svcnet.executors.iptables.commands import installed
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables, read_listing
from svcnet.netfilter.jumps import ensure, of_table
from svcnet.netfilter.restore import append, declare, write
from svcnet.netfilter.save_form import saved
from svcnet.renderers.iptables import JUMPS as OTHER_JUMPS
from svcnet.renderers.iptables.names import FIREWALL
from svcnet.renderers.ipvs.rules import FILTER_CHAINS, JUMPS, NAT_CHAINS
from svcnet.renderers.userspace.portals import CHAINS as PORTAL_CHAINS

CHAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"nat": NAT_CHAINS, "filter": FILTER_CHAINS}
)


def changes(text: str, observed: SavedTables, family: IPFamily) -> Iterator[str]:
    """Yield the transactions, one of a table each, that make the rules be those of `text`.

    Chains that differ are written anew, and each jump from a built-in chain is there once.
    Chains that iptables mode has and this mode has not are removed. The filter table comes
    first: what it keeps out is kept out before the nat table leads packets this way.
    """
    for table, chains in sorted(read_listing(text).items()):
        there = observed.chains(table)
        changed = [
            chain
            for chain, rules in chains.items()
            if there.get(chain) != [saved(rule, family) for rule in rules]
        ]
        written = [append(chain, chains[chain]) for chain in changed]
        jumps = ensure(of_table(JUMPS, table), there, family)
        yield from write(table, declare(changed), *written, *jumps)
    yield from _leftovers(observed, family)


def remove(machine: Machine, family: IPFamily) -> Iterator[str]:
    """Remove this mode's chains and jumps, in both variants; yield a line for each table."""
    for commands in installed(family, machine=machine):
        yield from remove_chains(commands, owned(family))


def owned(family: IPFamily) -> Ownership:
    """Return how this mode's chains and jumps are known."""
    jumps = {saved(jump.rule, family) for jump in JUMPS}
    return Ownership(lambda table, chain: chain in CHAINS.get(table, ()), jumps.__contains__)


def has_other_mode(observed: SavedTables) -> bool:
    """Return whether chains are there that only iptables mode or userspace mode has."""
    return any(
        chain in PORTAL_CHAINS[table] or (_is_leftover(table, chain) and chain not in CHAINS[table])
        for table in CHAINS
        for chain in observed.chains(table)
    )


def _leftovers(observed: SavedTables, family: IPFamily) -> Iterator[str]:
    """Yield what removes the chains of iptables mode, as they are once ours are written."""
    kept = {
        table: {chain: rules for chain, rules in chains.items() if chain not in CHAINS[table]}
        for table, chains in observed.tables.items()
        if table in CHAINS
    }
    jumps = {saved(jump.rule, family) for jump in OTHER_JUMPS if jump.target != FIREWALL}
    jumps -= {saved(jump.rule, family) for jump in JUMPS}
    yield from removal(SavedTables(kept), Ownership(_is_leftover, jumps.__contains__))


def _is_leftover(table: str, chain: str) -> bool:
    """Return whether a chain is one of iptables mode that has no use any more.

    KUBE-FIREWALL has: it keeps neighbours off the host's loopback where that is routed,
    which iptables mode has asked for. And it may be the kubelet's.
    """
    return is_ours(table, chain) and chain != FIREWALL
