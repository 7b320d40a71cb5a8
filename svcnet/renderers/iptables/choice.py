"""One of many endpoints, each as likely as the other, by a tree of chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from svcnet.addresses import BITS, address_number
from svcnet.family import family_of
from svcnet.graph import Translate
from svcnet.renderers.iptables.names import tree_chain
from svcnet.renderers.iptables.prefixes import PrefixPart, PrefixTree

_PORT = 16
"""The bits of a port."""


class Draw(NamedTuple):
    """A rule of a chain that leads to ``weight`` of the ``left`` endpoints that are left there.

    ``endpoint`` is the one that it leads to, empty for several, which ``chain`` is then for.
    """

    home: str
    endpoint: str
    chain: str
    weight: int
    left: int


def draws(chain: str, endpoints: Sequence[Translate], most: int) -> Iterator[Draw]:
    """Yield the rules of `chain`, and of all chains that it leads to.

    The endpoints of each are those whose addresses begin alike, so that one endpoint more or less
    changes few chains; how many they are is no matter, as each is led to as often as it has some.
    """
    entries = sorted(
        (address_number(each.address) << _PORT | each.port, each.id) for each in endpoints
    )
    tree = PrefixTree(entries, BITS[family_of(endpoints[0].address)] + _PORT, most)
    yield from _of_part(tree, tree.root(), chain, chain)


def _of_part(tree: PrefixTree, part: PrefixPart, root: str, home: str) -> Iterator[Draw]:
    left = part.end - part.start
    if part.is_leaf:
        for place in range(part.start, part.end):
            yield Draw(home, tree.entries[place][1], "", 1, left)
            left -= 1
        return
    parts = {tree_chain(f"{root} {each.prefix:x}/{each.length}"): each for each in tree.parts(part)}
    for name, each in parts.items():
        weight = each.end - each.start
        yield Draw(home, "", name, weight, left)
        left -= weight
    for name, each in parts.items():
        yield from _of_part(tree, each, root, name)


def lines(found: Sequence[Draw], heads: Mapping[str, str], seps: Mapping[str, str]) -> list[str]:
    """Return rules as they are written; of endpoints `heads` are comments, and `seps` chains."""
    return [
        f"-A {each.home} {heads[each.endpoint]}{chance(each.weight, each.left)}"
        f"-j {seps[each.endpoint]}\n"
        if each.endpoint
        else f"-A {each.home} {chance(each.weight, each.left)}-g {each.chain}\n"
        for each in found
    ]


@cache
def chance(weight: int, left: int) -> str:
    """Return the match that is true for `weight` of `left`; nothing for all of them."""
    if weight == left:
        return ""
    return f"-m statistic --mode random --probability {weight / left:.10f} "
