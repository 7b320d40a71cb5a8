"""What the nftables renderer makes: the table of a node, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from attrs import field, frozen
from immutables import Map

from svcnet.brief import brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, NodeSettings, Origin
from svcnet.netfilter.nft import NFTElement, NFTObject, NFTTable, canonical, key_of_element
from svcnet.renderers.nftables.block import NFTablesBlock, NFTItem, NFTRow, Place
from svcnet.renderers.nftables.frame import FixedParts


@frozen(field_transformer=brief)
class Ruleset:
    """A whole sync in mode nftables, for one IP family: what its table has.

    It is kept as the ``blocks`` of service ports, with the ``claims`` that make the next step as
    cheap as its change: the service ports that have an element, nearly always one, in order.
    """

    mode: ClassVar[str] = "nftables"

    settings: NodeSettings
    table: NFTTable
    fixed: FixedParts = field(repr=False)
    blocks: Map[FragmentName, NFTablesBlock] = field(repr=False)
    claims: Map[Place, tuple[FragmentName, ...]] = field(repr=False)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    def owner(self, place: Place) -> FragmentName | None:
        """Return whose element a place has; None if it has none.

        Of several that agree the first has it, and a later one that does not takes it, as
        kube-proxy, which visits service ports one after the other, replaces it.
        """
        names = self.claims.get(place)
        if names is None:
            return None
        found = names[0]
        for name in names[1:]:
            if self.blocks[name].elements[place].value != self.blocks[found].elements[place].value:
                found = name
        return found

    def element(self, place: Place) -> NFTElement | None:
        """Return the element at a place, None if there is none."""
        name = self.owner(place)
        return None if name is None else self.blocks[name].elements[place]

    def objects(self) -> Iterator[NFTObject]:
        """Yield all that service ports have, each element once, in the order of their names."""
        for made in self.iterate():
            if isinstance(made, NFTRow):
                yield from made.objects()
            else:
                yield made

    def iterate(self) -> Iterator[NFTItem]:
        """Yield what :meth:`objects` does, with rows of objects that are alike as they are."""
        shared = {p: self.owner(p) for p, names in self.claims.items() if len(names) > 1}
        for name in sorted(self.blocks):
            for made in self.blocks[name].made:
                if type(made) is NFTElement and shared.get(made[:2], name) != name:
                    continue
                yield made

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line of a text, None for lines that no Service caused.

        The line may also be of a step to this table, unless it deletes what is not there any more.
        """
        words = line.split(" ", 5)
        head = " ".join(words[2:4])
        if len(words) < 5 or head != str(self.table):
            return None
        kind, name = words[1], words[4].rstrip("\n")
        rest = words[5] if len(words) > 5 else ""
        if kind == "element":
            return self._origin_of_element((name, rest))
        block = self._block_of.get((kind, name))
        if block is None:
            return None
        if kind == "rule":
            wanted = line if line.endswith("\n") else f"{line}\n"
            for made in block.chains[name]:
                if made.add(head) == wanted:
                    return block.origin_of(made)
            printed = canonical(rest)
            for made in block.chains[name]:
                if canonical(made.text) == printed:
                    return block.origin_of(made)
        return block.origin_of_name(name)

    def service_port_of_line(self, line: str) -> FragmentName | None:
        """Return the service port whose chain, set or rule a line makes, None for others'."""
        words = line.split(" ", 5)
        if len(words) < 5 or " ".join(words[2:4]) != str(self.table):
            return None
        block = self._block_of.get((words[1], words[4].rstrip("\n")))
        return None if block is None else block.fragment.name

    def _origin_of_element(self, place: Place) -> Origin | None:
        container, rest = place
        place = (container, key_of_element(rest))
        name = self.owner(place)
        if name is None:
            return None
        block = self.blocks[name]
        return block.origin_of(block.elements[place])

    @cached_property
    def _block_of(self) -> Mapping[tuple[str, str], NFTablesBlock]:
        found = {}
        for block in self.blocks.values():
            for name in block.chains:
                found["chain", name] = found["rule", name] = block
            for name in block.sets:
                found["set", name] = block
        return found
