"""A whole table as text: as what it has, and as what nft is given for a full sync."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from svcnet.netfilter.nft import NFTChain, NFTElement, NFTRule, NFTSet
from svcnet.nogc import without_gc
from svcnet.renderers.nftables.block import NFTItem, NFTRow, lines
from svcnet.renderers.nftables.flat.endpoints import EndpointRow
from svcnet.renderers.nftables.frame import COMMENT, HOOKS, FixedParts
from svcnet.renderers.nftables.ruleset import Ruleset


@without_gc()
def text(ruleset: Ruleset) -> str:
    """Return what the table has: a line an object, by kind and name.

    It is for ``nft -f`` on a machine that has no such table.
    """
    made = SortedObjects.of(ruleset).lines(str(ruleset.table))
    return "".join([ruleset.table.add(COMMENT), *made])


def transaction(ruleset: Ruleset) -> str:
    """Return what nft is given for a full sync: it can be loaded again and again.

    The chains of hooks are made anew, because what is fixed of them cannot be changed.
    """
    return "".join([*fixed_part(ruleset), *lines(ruleset.iterate(), str(ruleset.table))])


def fixed_part(ruleset: Ruleset) -> list[str]:
    """Return the lines of :func:`transaction` that no Service caused."""
    table, fixed = str(ruleset.table), ruleset.fixed
    anew = [NFTChain(each.name) for each in HOOKS]
    return [
        ruleset.table.add(COMMENT),
        *[each.add(table) + each.delete(table) for each in anew],
        *lines(fixed.first, table),
        *_node_ports(fixed, table),
        *lines(fixed.rest, table),
    ]


def _node_ports(fixed: FixedParts, table: str) -> list[str]:
    """Return the lines of the addresses that answer node ports, or that take their set away."""
    known = fixed.node_port_ips
    if fixed.node_ports is None:
        return [known.add(table), known.delete(table)]
    return [known.add(table), known.flush(table), *lines(fixed.node_ports, table)]


class SortedObjects:
    """Objects by kind and name, where rules of one chain and elements of one set keep their order.

    Sets come before maps. Rows of endpoints stay as they are.
    """

    def __init__(self, objects: Iterable[NFTItem]) -> None:
        self.chains: list[NFTChain] = []
        self.sets: list[NFTSet] = []
        self.rules: dict[str, list[NFTRule]] = {}
        self.elements: dict[str, list[NFTElement | EndpointRow]] = {}
        self._take(objects)
        self.chains.sort(key=_name)
        self.sets.sort(key=_kind_and_name)

    def _take(self, objects: Iterable[NFTItem]) -> None:
        for made in objects:
            match made:
                case NFTElement() | EndpointRow():
                    self.elements.setdefault(made.container, []).append(made)
                case NFTRule():
                    self.rules.setdefault(made.chain, []).append(made)
                case NFTChain():
                    self.chains.append(made)
                case NFTSet():
                    self.sets.append(made)
                case NFTRow():
                    self._take(made.objects())

    @classmethod
    def of(cls, ruleset: Ruleset) -> SortedObjects:
        """Return all that a table has."""
        return cls(chain(ruleset.fixed.objects, ruleset.iterate()))

    def lines(self, table: str) -> Iterator[str]:
        """Yield the lines that make all of them."""
        for made in self.chains:
            yield made.add(table)
        for each in self.sets:
            yield each.add(table)
        for name in sorted(self.rules):
            for rule in self.rules[name]:
                yield rule.add(table)
        for each in self.sets:
            for element in self.elements.get(each.name, ()):
                yield element.add(table)


def _name(made: NFTChain) -> str:
    return made.name


def _kind_and_name(made: NFTSet) -> tuple[str, str]:
    return made.value, made.name
