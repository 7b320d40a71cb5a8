"""Sets that have another size than they should get it while packets look into them. Pure.

A set that is made anew in the transaction that turns rules to it is seen empty by packets on their
way. So rules look into another one meanwhile, which has all that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from svcnet.executors.nftables.aim import Aim
from svcnet.netfilter.nft import (
    NFTChain,
    NFTElement,
    NFTRule,
    NFTSet,
    SetState,
    TableState,
    canonical,
)
from svcnet.renderers.nftables import Edit, NFTEdit


def has_room(there: SetState, wanted: NFTSet) -> bool:
    """Return whether a set has the size that it should, or more; one that rules fill always has.

    Without a size it is told otherwise than with one, so that is not the same.
    """
    if wanted.seconds:
        return True
    return wanted.size <= there.size if wanted.size else not there.size


def resize(
    found: TableState, wanted: Aim
) -> tuple[TableState, list[NFTSet], tuple[tuple[Edit, ...], ...]]:
    """Return a table with its sets in their sizes, which sets these are, and what it takes.

    That is done transaction by transaction. Sets that differ in more than that are left, and those
    that rules look into which are not as wanted: nothing is served so that could go on.
    """
    sets = [each for name, each in wanted.sets.items() if _can(found, wanted, name)]
    if not sets:
        return found, [], ()
    kept = dict(found.sets)
    for each in sets:
        kept[each.name] = evolve(kept[each.name], size=each.size)
    return evolve(found, sets=kept), sets, tuple(_turns(found, wanted, sets))


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


def _turns(found: TableState, wanted: Aim, sets: list[NFTSet]) -> Iterator[tuple[Edit, ...]]:
    others = {each.name: each._replace(name=f"{each.name}-{each.size}") for each in sets}
    chains = dict.fromkeys(chain for each in sets for chain in _users(found, each.name))
    rules = [rule for chain in chains for rule in wanted.rules[chain]]
    yield tuple(edit for each in sets for edit in _filling(found, each.name, others[each.name]))
    words = {f"@{name}": f"@{other.name}" for name, other in others.items()}
    yield tuple(_turn_rules(chains, rules, words))
    yield (
        *[NFTEdit("delete", each) for each in sets],
        *[edit for each in sets for edit in _filling(found, each.name, each)],
    )
    yield tuple(_turn_rules(chains, rules, {}))
    yield tuple(NFTEdit("delete", other) for other in others.values())


def _filling(found: TableState, name: str, made: NFTSet) -> Iterator[Edit]:
    """Yield what makes a set with all that one on the machine has."""
    yield NFTEdit("add", made)
    for key, each in found.sets[name].elements.items():
        yield NFTEdit("add", NFTElement(made.name, key, each.value, each.comment))


def _turn_rules(
    chains: Iterable[str], rules: Iterable[NFTRule], words: dict[str, str]
) -> Iterator[Edit]:
    """Yield what writes chains anew, with some words of their rules replaced."""
    yield from [NFTEdit("flush", NFTChain(chain)) for chain in chains]
    for rule in rules:
        text = " ".join([words.get(word, word) for word in rule.text.split(" ")])
        yield NFTEdit("add", rule._replace(text=text))
