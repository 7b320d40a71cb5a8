"""Sets get another size while packets look into them.

A set that is made anew in the transaction that turns rules to it is seen empty by packets on their
way. So rules look into another one meanwhile, which has all that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from svcnet.netfilter.nft import NFTChain, NFTRule, NFTSet
from svcnet.renderers.nftables.delta import Edit, NFTEdit, NFTGrowth

Filling: TypeAlias = Callable[[Mapping[str, str]], Iterable[Edit]]
"""Returns what puts all elements of some sets, by their names, each into another one."""


def turn(
    sets: Sequence[NFTSet], rules: Mapping[str, Sequence[NFTRule]], filling: Filling
) -> NFTGrowth:
    """Return what makes sets anew as they are to be, with what is in them.

    `rules` are those of the chains that look into any of them.
    """
    return NFTGrowth(tuple(sets), tuple(_parts(sets, rules, filling)))


def other_name(made: NFTSet) -> str:
    """Return what the set is called that rules look into while one gets its size."""
    return f"{made.name}-{made.size}"


def _parts(
    sets: Sequence[NFTSet], rules: Mapping[str, Sequence[NFTRule]], filling: Filling
) -> Iterator[tuple[Edit, ...]]:
    others = {each.name: each._replace(name=other_name(each)) for each in sets}
    words = {f"@{name}": f"@{other.name}" for name, other in others.items()}
    yield (
        *[NFTEdit("add", other) for other in others.values()],
        *filling({name: other.name for name, other in others.items()}),
    )
    yield tuple(_turn_rules(rules, words))
    yield (
        *[NFTEdit("delete", each) for each in sets],
        *[NFTEdit("add", each) for each in sets],
        *filling({each.name: each.name for each in sets}),
    )
    yield tuple(_turn_rules(rules, {}))
    # Not with them: packets on their way would find it empty.
    yield tuple(NFTEdit("delete", other) for other in others.values())


def _turn_rules(rules: Mapping[str, Sequence[NFTRule]], words: Mapping[str, str]) -> Iterator[Edit]:
    """Yield what writes chains anew, with some words of their rules replaced."""
    yield from [NFTEdit("flush", NFTChain(chain)) for chain in rules]
    for rule in (rule for own in rules.values() for rule in own):
        text = " ".join([words.get(word, word) for word in rule.text.split(" ")])
        yield NFTEdit("add", rule._replace(text=text))
