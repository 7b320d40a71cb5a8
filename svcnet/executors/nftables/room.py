"""Sets that have another size than they should get it while packets look into them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from attrs import evolve

from svcnet.executors.nftables.aim import Aim
from svcnet.netfilter.nft import (
    NFTElement,
    NFTSet,
    RuleState,
    SetState,
    TableState,
    canonical,
)
from svcnet.renderers.nftables import Edit, NFTEdit, NFTGrowth, other_name, turn


def has_room(there: SetState, wanted: NFTSet) -> bool:
    """Return whether a set has the size that it should, or more; one that rules fill always has.

    Without a size it is told otherwise than with one, so that is not the same.
    """
    if wanted.seconds:
        return True
    return wanted.size <= there.size if wanted.size else not there.size


def resize(found: TableState, wanted: Aim) -> tuple[TableState, NFTGrowth | None]:
    """Return a table with its sets in their sizes, and what that takes, if any has another.

    Sets that differ in more than that are left, and those that rules look into which are not as
    wanted: nothing is served so that could go on. One that broke off goes on.
    """
    begun = _turn_back(found, wanted.sets.values())
    sets = [each for name, each in wanted.sets.items() if _can(begun, wanted, name)]
    if not sets:
        return found, None
    found = _turn_back(found, sets)
    kept = dict(found.sets)
    for each in sets:
        kept[each.name] = evolve(kept[each.name], size=each.size)
    chains = dict.fromkeys(chain for each in sets for chain in _users(found, each.name))
    rules = {chain: wanted.rules[chain] for chain in chains}
    return evolve(found, sets=kept), turn(sets, rules, partial(_filling, found))


def _turn_back(found: TableState, sets: Iterable[NFTSet]) -> TableState:
    """Return a table as it was before sets began to get another size, if they have begun to."""
    others = {other_name(each): each.name for each in sets if other_name(each) in found.sets}
    if not others:
        return found
    names = {f"@{other}": f"@{name}" for other, name in others.items()}

    def turn_back(rule: RuleState) -> RuleState:
        return rule._replace(text=" ".join([names.get(w, w) for w in rule.text.split(" ")]))

    chains = {
        name: evolve(chain, rules=tuple(map(turn_back, chain.rules)))
        for name, chain in found.chains.items()
    }
    kept = {name: each for name, each in found.sets.items() if name not in others}
    return evolve(found, chains=chains, sets=kept)


def _can(found: TableState, wanted: Aim, name: str) -> bool:
    there, made = found.sets.get(name), wanted.sets[name]
    if there is None or has_room(there, made) or there.options:
        return False
    is_alike = (there.type, there.value, there.flags) == (made.type, made.value, frozenset())
    has_space = not made.size or len(there.elements) <= made.size
    return (
        is_alike and has_space and all(_is_as_wanted(found, wanted, c) for c in _users(found, name))
    )


def _users(found: TableState, name: str) -> Iterator[str]:
    """Yield the chains with rules that look into a set."""
    for chain, there in found.chains.items():
        if any(f"@{name}" in rule.text.split(" ") for rule in there.rules):
            yield chain


def _is_as_wanted(found: TableState, wanted: Aim, chain: str) -> bool:
    rules = [canonical(rule.text) for rule in wanted.rules.get(chain, ())]
    return rules == [rule.text for rule in found.chains[chain].rules]


def _filling(found: TableState, others: Mapping[str, str]) -> Iterator[Edit]:
    """Yield what puts all that some sets on the machine have each into another one."""
    for name, other in others.items():
        for key, each in found.sets[name].elements.items():
            yield NFTEdit("add", NFTElement(other, key, each.value, each.comment))
