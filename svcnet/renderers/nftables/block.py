"""One service port's share of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import groupby
from typing import TypeAlias

from attrs import field, frozen

from svcnet.brief import brief
from svcnet.graph import Fragment, Origin
from svcnet.netfilter.nft import NFTChain, NFTElement, NFTObject, NFTRule, NFTSet

Place: TypeAlias = tuple[str, str]
"""Where an element is: in which set or map, and under which key."""


@frozen(field_transformer=brief)
class NFTablesBlock:
    """What the table has for one service port, in the order in which it is made.

    ``parts`` are what each of the ``objects`` is for, as :meth:`svcnet.graph.Fragment.origin_of`
    takes it.
    """

    fragment: Fragment = field(repr=False)
    objects: tuple[NFTObject, ...]
    parts: tuple[str, ...] = field(repr=False)

    @cached_property
    def elements(self) -> Mapping[Place, NFTElement]:
        """Its elements, by where they are."""
        return {made[:2]: made for made in self.objects if type(made) is NFTElement}

    @cached_property
    def chains(self) -> Mapping[str, tuple[NFTRule, ...]]:
        """Its own chains, with their rules."""
        found: dict[str, tuple[NFTRule, ...]] = {
            made.name: () for made in self.objects if type(made) is NFTChain
        }
        rules = [made for made in self.objects if type(made) is NFTRule]
        # The rules of a chain come one after the other.
        for chain, own in groupby(rules, _chain):
            found[chain] = tuple(own)
        return found

    @cached_property
    def sets(self) -> Mapping[str, NFTSet]:
        """Its own sets, by name."""
        return {made.name: made for made in self.objects if type(made) is NFTSet}

    def origin_of(self, made: NFTObject) -> Origin | None:
        """Return what caused an object of the table, None if it is none of these."""
        part = self._part_of.get(made)
        return None if part is None else self.fragment.origin_of(part)

    def origin_of_name(self, name: str) -> Origin | None:
        """Return what caused its own chain or set of a name, None if it has none."""
        for made in self.objects:
            if type(made) in (NFTChain, NFTSet) and made[0] == name:
                return self.origin_of(made)
        return None

    @cached_property
    def _part_of(self) -> Mapping[NFTObject, str]:
        return dict(zip(self.objects, self.parts, strict=True))


def lines(objects: Iterable[NFTObject], table: str) -> list[str]:
    """Return the lines that make objects; a chain is emptied too, for its rules come anew."""
    return [
        made.add(table) + made.flush(table) if type(made) is NFTChain else made.add(table)
        for made in objects
    ]


def _chain(rule: NFTRule) -> str:
    return rule.chain
