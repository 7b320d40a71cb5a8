"""What the nftables renderer makes: the table of a node, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import ClassVar

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import FragmentName, NodeSettings, Origin
from svcnet.netfilter.nft import (
    NFTChain,
    NFTElement,
    NFTObject,
    NFTRule,
    NFTTable,
    canonical,
    key_of_element,
)
from svcnet.renderers.nftables import names
from svcnet.renderers.nftables.block import NFTablesBlock, NFTItem, NFTRow, Place
from svcnet.renderers.nftables.flat.buckets import Bucket
from svcnet.renderers.nftables.flat.endpoints import ENDPOINT_MAPS, EndpointRow, frontend_of
from svcnet.renderers.nftables.flat.leads import Lead
from svcnet.renderers.nftables.frame import FixedParts
from svcnet.renderers.nftables.layout import Layout
from svcnet.renderers.nftables.words import words

MOST_KEPT = 1 << 13
"""How many buckets stay that nothing leads to. Those that are made ahead are some half as many at
most; for policy Local there may be one for each pair of numbers that ever was."""


@frozen(repr=False)
class Ruleset(Brief):
    """A whole sync in mode nftables, for one IP family: what its table has.

    It is kept as the ``blocks`` of service ports, with what makes the next step as cheap as its
    change. ``claims`` are the service ports that have an element, nearly always one, in order. In
    the flat layout ``counts`` are the elements of each set, and ``buckets`` how many elements lead
    to each. Buckets that are ``kept`` are there as well, whether or not anything leads to them.
    """

    mode: ClassVar[str] = "nftables"

    settings: NodeSettings
    table: NFTTable
    fixed: FixedParts = field(repr=False)
    blocks: Map[FragmentName, NFTablesBlock] = field(repr=False)
    claims: Map[Place, tuple[FragmentName, ...]] = field(repr=False)
    layout: Layout = "kube-proxy"
    counts: Map[str, int] = field(default=Map(), repr=False)
    buckets: Map[Bucket, int] = field(default=Map(), repr=False)
    kept: frozenset[Bucket] = field(default=frozenset(), repr=False)

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    def keep(self, buckets: Iterable[Bucket]) -> Ruleset:
        """Return a table that has some buckets for good; another layout than the flat has none.

        Of too many together none is taken, so that these come and go with what leads to them.
        """
        more = self.kept.union(buckets)
        if self.layout == "kube-proxy" or not len(self.kept) < len(more) <= MOST_KEPT:
            return self
        return evolve(self, kept=more)

    def has_bucket(self, bucket: Bucket) -> bool:
        """Return whether there is a chain for so many endpoints."""
        return bucket in self.buckets or bucket in self.kept

    def all_buckets(self) -> list[Bucket]:
        """Return all chains that service ports share, in order."""
        return sorted(self.kept.union(self.buckets))

    def owner(self, place: Place) -> FragmentName | None:
        """Return whose element a place has; None if it has none.

        Of several that agree the first has it, and a later one that does not takes it, as
        kube-proxy, which visits service ports one after the other, replaces it. Where an element
        leads to endpoints no two agree, though both may lead to one chain.
        """
        claimants = self.claims.get(place)
        if claimants is None:
            return None
        if place[0] in names.LEADING:
            return claimants[-1]
        found = claimants[0]
        for name in claimants[1:]:
            if self.blocks[name].elements[place].value != self.blocks[found].elements[place].value:
                found = name
        return found

    def element(self, place: Place) -> NFTElement | None:
        """Return the element at a place, None if there is none."""
        name = self.owner(place)
        return None if name is None else self.blocks[name].elements[place]

    def lead(self, place: Place) -> Lead | None:
        """Return what is behind the element at a place, if that leads to a shared chain."""
        return self.leads([place]).get(place)

    def leads(self, places: Iterable[Place]) -> Mapping[Place, Lead]:
        """Return what is behind elements, by place: of those that lead to a shared chain."""
        owned: dict[FragmentName, list[Place]] = {}
        for place in places:
            if place[0] in names.LEADING and (name := self.owner(place)) is not None:
                owned.setdefault(name, []).append(place)
        found = {}
        for name, own in owned.items():
            leads = self.blocks[name].leads
            found.update({place: leads[place] for place in own if place in leads})
        return found

    def objects(self) -> Iterator[NFTObject]:
        """Yield all that service ports have, each element once, in the order of their names.

        The chains that they share come first.
        """
        yield from self.objects_without_rows()
        for row in self.rows():
            yield from row.elements()

    def objects_without_rows(self) -> Iterator[NFTObject]:
        """Yield what :meth:`objects` does, but for endpoints in maps."""
        for made in self._iterate():
            if isinstance(made, NFTRow):
                yield from made.objects()
            else:
                yield made

    def iterate(self) -> Iterator[NFTItem]:
        """Yield what :meth:`objects` does, with rows of objects that are alike as they are."""
        yield from self._iterate()
        yield from self.rows()

    def _iterate(self) -> Iterator[NFTObject | NFTRow]:
        owners = self._owners
        yield from self.bucket_objects(self.all_buckets())
        for name in sorted(self.blocks):
            for made in self.blocks[name].made:
                if type(made) is NFTElement and owners.get(made[:2], name) != name:
                    continue
                yield made

    @cached_property
    def _owners(self) -> Mapping[Place, FragmentName | None]:
        """Who has the elements that several service ports ask for."""
        return {place: self.owner(place) for place, own in self.claims.items() if len(own) > 1}

    def rows(self) -> Iterator[EndpointRow]:
        """Yield the endpoints in maps, those of a frontend together, in the order of names."""
        if self.layout == "kube-proxy":
            return
        owners = self._owners
        for name in sorted(self.blocks):
            for place, lead in self.blocks[name].leads.items():
                if owners.get(place, name) == name:
                    yield from lead.rows

    def contents(self) -> Iterator[NFTElement | EndpointRow]:
        """Yield all elements that service ports have, and endpoints in maps, in any order."""
        owners = self._owners
        for name, block in self.blocks.items():
            for made in block.made:
                if type(made) is NFTElement and owners.get(made[:2], name) == name:
                    yield made
            for place, lead in block.leads.items():
                if owners.get(place, name) == name:
                    yield from lead.rows

    def rules(self) -> Iterator[NFTRule]:
        """Yield all rules, those of a chain in their order."""
        shared = self.bucket_objects(self.all_buckets())
        yield from [each for each in (*self.fixed.objects, *shared) if type(each) is NFTRule]
        for block in self.blocks.values():
            if block.has_chains:
                yield from [each for each in block.objects if type(each) is NFTRule]

    def bucket_objects(self, buckets: Iterable[Bucket]) -> Iterator[NFTChain | NFTRule]:
        """Yield chains that service ports share, and then their rules."""
        say, own = words(self.settings), tuple(buckets)
        yield from [NFTChain(each.name) for each in own]
        for bucket in own:
            yield from bucket.rules(say)

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
        """Return the service port whose chain, set, rule or element a line makes."""
        words = line.split(" ", 5)
        if len(words) < 5 or " ".join(words[2:4]) != str(self.table):
            return None
        if words[1] == "element" and len(words) > 5:
            return self._service_port_of_element(words[4], key_of_element(words[5]))
        block = self._block_of.get((words[1], words[4].rstrip("\n")))
        return None if block is None else block.fragment.name

    def _service_port_of_element(self, container: str, key: str) -> FragmentName | None:
        if container in ENDPOINT_MAPS:
            return self.owner(frontend_of(container, key.rpartition(" . ")[0]))
        return self.owner((container, key))

    def _origin_of_element(self, place: Place) -> Origin | None:
        container, rest = place
        if container in ENDPOINT_MAPS:
            return self._origin_of_endpoint(container, key_of_element(rest))
        place = (container, key_of_element(rest))
        name = self.owner(place)
        if name is None:
            return None
        block = self.blocks[name]
        return block.origin_of(block.elements[place])

    def _origin_of_endpoint(self, container: str, key: str) -> Origin | None:
        """Return what caused an element of a map of endpoints: the endpoint."""
        frontend, _, number = key.rpartition(" . ")
        lead = self.lead(frontend_of(container, frontend))
        for row in () if lead is None else lead.rows:
            at = int(number) if number.isdecimal() else len(row.endpoints)
            if row.container == container and at < len(row.endpoints):
                return row.endpoints[at].origin
        return None

    @cached_property
    def _block_of(self) -> Mapping[tuple[str, str], NFTablesBlock]:
        found = {}
        for block in self.blocks.values():
            for name in block.chains:
                found["chain", name] = found["rule", name] = block
            for name in block.sets:
                found["set", name] = block
        return found
