"""What to write, given what is wanted and what is there. Pure.

The order of writing is what keeps packets whole: those of a service port's own chains that
differ are always written together in one transaction, before any rule leads to them and
after no rule leads to those that go; the jumps from the built-in chains come last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

from attrs import frozen

from svcnet.executors.iptables.commands import Variant
from svcnet.executors.iptables.observe import is_ours, is_own_chain
from svcnet.executors.iptables.writer import ReferencedChain
from svcnet.family import IPFamily
from svcnet.netfilter import Chains, SavedTables, is_made_of, target
from svcnet.netfilter.jumps import ensure, of_table
from svcnet.netfilter.restore import (
    append,
    chains_by_table,
    declare,
    delete,
    insert,
    remove,
    rules_by_chain,
    transaction,
    write,
)
from svcnet.netfilter.rules import leading_to
from svcnet.netfilter.save_form import save_rule
from svcnet.renderers.iptables import Block, Piece, RestoreText, names
from svcnet.renderers.iptables.artifact import portions

# iptables-restore of the nft variant takes a time that grows with the square of a
# transaction; at a hundred service ports of ten endpoints each the sum is smallest.
NFT_CHAINS = 1100


def most_chains(variant: Variant) -> int:
    """Return how many own chains of service ports a transaction is to write; 0 for no limit."""
    return NFT_CHAINS if variant == "nft" else 0


_SHARED_OPTIONS = frozenset(
    ("-d", "-p", "-m", "--comment", "--dst-type", "--dport", "-j", "--reject-with")
)
"""All that rules of shared chains are made of."""


@frozen
class RestorePlan:
    """Texts for iptables-restore, in order; each is one transaction of one table.

    ``kind`` is ``none`` when nothing differs, ``full`` when nothing of ours was there.
    ``service_ports`` counts those of whose own chains any is written. ``held`` are chains that
    have no use any more and stay, because other rules than svcnet's lead to them.
    """

    kind: Literal["none", "delta", "full"]
    transactions: tuple[str, ...]
    service_ports: int = 0
    held: tuple[ReferencedChain, ...] = ()

    @property
    def text(self) -> str:
        """All transactions, joined."""
        return "".join(self.transactions)

    @property
    def chains(self) -> Mapping[str, frozenset[str]]:
        """The chains of each table that are written, made or deleted, or get or lose a rule."""
        return chains_by_table(self.transactions)


def plan(wanted: RestoreText, observed: SavedTables, chains: int) -> RestorePlan:
    """Return what takes the `observed` tables to the `wanted` rules.

    A transaction writes at most so many own `chains` of several service ports; 0 means that
    one transaction may write all.
    """
    if not observed.has(is_ours):
        return RestorePlan("full", tuple(_full(wanted, observed, chains)), len(wanted.blocks))
    parts = (_difference(b, observed, wanted.family) for b in wanted.blocks.values())
    changed = [part for part in parts if part is not None]
    stale = {table: _stale(table, wanted, observed) for table in ("filter", "nat")}
    held = tuple(each for table in stale for each in _find_references(table, stale, observed))
    transactions = tuple(_delta(wanted, observed, changed, chains, stale, held))
    return RestorePlan("delta" if transactions else "none", transactions, len(changed), held)


def _full(wanted: RestoreText, observed: SavedTables, chains: int) -> Iterator[str]:
    yield from wanted.transactions(chains)
    yield from _jumps(wanted, observed)


def _difference(block: Block, observed: SavedTables, family: IPFamily) -> Piece | None:
    """Return those of a service port's own chains that are not as they should be."""
    rules = _compare(block.own_rules, observed.chains("nat"), family)
    return Piece.of(rules) if rules else None


def _compare(
    rules: Mapping[str, list[str]], there: Chains, family: IPFamily
) -> Mapping[str, list[str]]:
    """Return those chains, with the rules they should have, that are not there with just these."""
    return {
        chain: own
        for chain, own in rules.items()
        if there.get(chain) != [save_rule(rule, family) for rule in own]
    }


def _delta(
    wanted: RestoreText,
    observed: SavedTables,
    changed: list[Piece],
    most: int,
    stale: Mapping[str, tuple[str, ...]],
    held: tuple[ReferencedChain, ...],
) -> Iterator[str]:
    stay = {(each.table, each.chain) for each in held}
    for table in ("filter", "nat"):
        pieces = [*(changed if table == "nat" else ()), *_trees(table, wanted, observed)]
        fixed = _rewrite_fixed(table, wanted, observed)
        *parts, last = portions(pieces, most) or [[]]
        for part in parts:
            yield _transaction(table, fixed, part, "")
            fixed = ""
        gone = tuple(chain for chain in stale[table] if (table, chain) not in stay)
        # To declare a chain empties it, so that none that goes leads to another.
        emptied = [chain for chain in stale[table] if observed.chains(table)[chain]]
        after = _mend_shared(table, wanted, observed) + declare(emptied) + delete(gone)
        if fixed or last or after:
            yield _transaction(table, fixed, last, after)
    yield from _jumps(wanted, observed)


def _transaction(table: str, before: str, pieces: list[Piece], after: str) -> str:
    chains = "".join(piece.declarations for piece in pieces)
    return transaction(table, chains, before, *(piece.own for piece in pieces), after)


def _trees(table: str, wanted: RestoreText, observed: SavedTables) -> Iterator[Piece]:
    """Yield the chains of trees that are not as they should be, those first that are led to."""
    there = observed.chains(table)
    for piece in wanted.pieces(table):
        if _compare(rules_by_chain(piece.own), there, wanted.family):
            yield piece


def _stale(table: str, wanted: RestoreText, observed: SavedTables) -> tuple[str, ...]:
    """Return the chains of service ports and of trees that are there and not wanted."""
    kept = wanted.chains(table)
    there = observed.chains(table)
    return tuple(sorted(c for c in there if c not in kept and is_own_chain(table, c)))


def _find_references(
    table: str, stale: Mapping[str, tuple[str, ...]], observed: SavedTables
) -> Iterator[ReferencedChain]:
    """Yield those of `stale` to which rules lead that this sync does not put right."""
    if not stale[table]:
        return
    chains = observed.chains(table)
    others = {chain: rules for chain, rules in chains.items() if not is_ours(table, chain)}
    targets = {target(rule) for rules in others.values() for rule in rules}
    for chain in stale[table]:
        if chain in targets:
            yield ReferencedChain(table, chain, leading_to(others, chain))


def _rewrite_fixed(table: str, wanted: RestoreText, observed: SavedTables) -> str:
    """Rewrite the chains that no Service changes, where they are not as they should be."""
    part = wanted.filter if table == "filter" else wanted.nat
    rules = rules_by_chain(part.first + part.last)
    there, shared = observed.chains(table), names.SHARED_CHAINS[table]
    fixed = {chain: rules.get(chain, []) for chain in part.chains if chain not in shared}
    absent = declare(chain for chain in shared if chain not in there)
    return absent + Piece.of(_compare(fixed, there, wanted.family)).text


def _mend_shared(table: str, wanted: RestoreText, observed: SavedTables) -> str:
    """Return lines that put the chains right that many service ports share.

    They are single lines, and in a layout with trees, where these chains are short, all of a chain.
    """
    if wanted.layout.most:
        heads, there = wanted.heads(table), observed.chains(table)
        return Piece.of(_compare(heads, there, wanted.family)).text
    blocks = wanted.blocks.values()
    texts = [block.filter if table == "filter" else block.shared for block in blocks]
    by_chain: dict[str, list[str]] = {chain: [] for chain in names.SHARED_CHAINS[table]}
    for text in texts:
        for chain, rules in rules_by_chain(text).items():
            by_chain[chain] += [save_rule(rule, wanted.family) for rule in rules]
    last = {
        chain: [save_rule(rule, wanted.family) for rule in rules]
        for chain, rules in rules_by_chain(wanted.nat.last if table == "nat" else "").items()
    }
    return "".join(
        line
        for chain, rules in by_chain.items()
        for line in _lines(chain, rules, last.get(chain, []), observed.chains(table))
    )


def _lines(chain: str, rules: list[str], last: list[str], there: Chains) -> Iterator[str]:
    """Yield the changes of one shared chain: unordered `rules`, then `last` at its end."""
    found = there.get(chain, [])
    in_place = not last or found[-len(last) :] == last
    found = found[: -len(last)] if last and in_place else found
    if rules == found and in_place:
        return
    old, new = Counter(found), Counter(rules)
    if not all(is_made_of(rule, _SHARED_OPTIONS) for rule in old - new):
        # What somebody put there may be nothing that a deletion can name.
        yield declare([chain])
        yield append(chain, (*rules, *last))
        return
    yield remove(chain, (old - new).elements())
    yield insert(chain, (new - old).elements())
    if not in_place:
        yield append(chain, last)


def _jumps(wanted: RestoreText, observed: SavedTables) -> Iterator[str]:
    """Yield what makes each jump be there once, without a look at any other rule."""
    for table in ("filter", "nat"):
        there = observed.chains(table)
        lines = ensure(of_table(wanted.jumps, table), there, wanted.family)
        yield from write(table, *lines)
