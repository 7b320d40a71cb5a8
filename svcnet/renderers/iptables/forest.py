"""Rules of chains that service ports share, in trees of chains by destination.

A packet meets a few rules for each level of a tree and those of a leaf, however many Services
there are. The shared chain leads into its tree by ``-j``, so that a packet which no rule there
takes comes back, and goes on; within the tree rules lead on by ``-g``, so that it comes back at
once.

The name of a chain is made of the first bits of the destinations that it is for, and it has all
rules for those and no others, whatever else there is. So chains may be written one after the other,
those first that are led to, and at no time does a packet miss a rule.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from attrs import evolve, frozen

from svcnet.addresses import BITS, address_number, number_address
from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import Fragment, FragmentName
from svcnet.netfilter.restore import append, declare
from svcnet.renderers.iptables.names import tree_chain
from svcnet.renderers.iptables.prefixes import STEP, PrefixPart, PrefixTree

_PROTOCOLS = ("tcp", "udp", "sctp")
_NUMBERS = MappingProxyType({name: number for number, name in enumerate(_PROTOCOLS)})
_PORT = 16
_SERVICE = _PORT + STEP
"""The bits of a port and, in front of them, of its protocol."""


class SharedChain(NamedTuple):
    """A shared chain, and which of its two trees: that of rules for an address, or for any."""

    table: str
    chain: str
    has_address: bool


class SharedRule(NamedTuple):
    """A rule, without ``-A CHAIN``, of the destination that ``key`` is.

    Those of one destination are sorted as they would be in the shared chain.
    """

    key: int
    owner: FragmentName
    number: int
    rule: str


ChainRule = tuple[SharedChain, SharedRule]
"""A rule, and the tree that it is in."""


def shared_rules(
    fragment: Fragment, table: str, lines: Iterable[tuple[str, str]]
) -> Iterator[ChainRule]:
    """Yield the rules of a service port in shared chains of a table; `lines` are those of it.

    Each is behind the part of the service port that it is for, as they are written.
    """
    destinations = {each.id: (each.address, each.port) for each in fragment.dispatches}
    protocol = fragment.name.protocol.lower()
    if fragment.health_check is not None:
        destinations[fragment.health_check.id] = ("", fragment.health_check.port)
    seen: Counter[tuple[SharedChain, int]] = Counter()
    for part, line in lines:
        address, port = destinations[part]
        is_check = fragment.health_check is not None and part == fragment.health_check.id
        key = key_of(address, "tcp" if is_check else protocol, port)
        _, chain, rule = line.split(" ", 2)
        place = SharedChain(table, chain, bool(address))
        yield place, SharedRule(key, fragment.name, seen[place, key], rule.removesuffix("\n"))
        seen[place, key] += 1


def key_of(address: str, protocol: str, port: int) -> int:
    """Return a destination as a number; the address is empty for any."""
    service = _NUMBERS[protocol] << _PORT | port
    return address_number(address) << _SERVICE | service if address else service


@frozen(repr=False)
class Piece(Brief):
    """A few chains of one table with their rules; each line ends in a newline."""

    chains: tuple[str, ...]
    own: str

    @classmethod
    def of(cls, rules: Mapping[str, Sequence[str]]) -> Piece:
        """Return chains with their rules, which are without ``-A CHAIN``."""
        return cls(tuple(rules), "".join(append(chain, own) for chain, own in rules.items()))

    @property
    def declarations(self) -> str:
        """The lines that make the chains, or empty them."""
        return declare(self.chains)

    @property
    def text(self) -> str:
        """The lines that make the chains what they are here, whatever they were."""
        return self.declarations + self.own


@frozen(repr=False)
class RuleTree(Brief):
    """The rules of one shared chain that name an address, or of those that name none."""

    place: SharedChain
    family: IPFamily
    most: int
    entries: tuple[SharedRule, ...] = ()

    @property
    def shape(self) -> PrefixTree:
        """How the destinations are split."""
        return PrefixTree(self.entries, self.bits + _SERVICE, self.most)

    @property
    def bits(self) -> int:
        """How many bits of a key are an address."""
        return BITS[self.family] if self.place.has_address else 0

    @property
    def top(self) -> PrefixPart | None:
        """The part that the shared chain leads to, None if it has the rules itself."""
        if not self.entries:
            return None
        root = self.shape.root()
        return None if root.is_leaf else root

    @property
    def head(self) -> list[str]:
        """The rules of the shared chain itself."""
        top = self.top
        if top is None:
            return [entry.rule for entry in self.entries]
        return [f"{self._match(top, 0)}-j {self.name(top)}"]

    def name(self, part: PrefixPart) -> str:
        """Return the chain of a part."""
        table, chain, has_address = self.place
        kind = "" if has_address else " ports"
        return tree_chain(f"{table} {chain}{kind} {part.prefix:x}/{part.length}")

    def rules(self, part: PrefixPart) -> list[str]:
        """Return the rules of the chain of a part."""
        if part.is_leaf:
            return [entry.rule for entry in self.entries[part.start : part.end]]
        return [
            f"{self._match(each, part.length)}-g {self.name(each)}"
            for each in self.shape.parts(part)
        ]

    def piece(self, part: PrefixPart) -> Piece:
        """Return the chain of a part with its rules."""
        return Piece.of({self.name(part): self.rules(part)})

    def parts(self) -> Iterator[PrefixPart]:
        """Yield all parts that are chains, those first that are led to."""
        if (top := self.top) is not None:
            yield from self.shape.below(top)

    def way(self, key: int) -> tuple[list[tuple[str, str]], str]:
        """Return what leads to the rules of a destination, and the chain that they are in.

        It is chains and their rules, from the shared chain on.
        """
        home, found = self.place.chain, []
        if self.top is not None:
            known, word = 0, "-j"
            for part in self.shape.way(key):
                name = self.name(part)
                found.append((home, f"{self._match(part, known)}{word} {name}"))
                home, known, word = name, part.length, "-g"
        return found, home

    def exchange(self, gone: Iterable[SharedRule], came: Iterable[SharedRule]) -> RuleTree:
        """Return the tree without some rules and with others."""
        entries = list(self.entries)
        for entry in gone:
            del entries[bisect_left(entries, entry)]
        for entry in came:
            insort(entries, entry)
        return evolve(self, entries=tuple(entries))

    def _match(self, part: PrefixPart, known: int) -> str:
        """Return what is true of packets for a part, as far as `known` bits do not say it."""
        words, bits = "", self.bits
        if part.length and known < bits:
            length = min(part.length, bits)
            address = number_address(part.slot(length) << (bits - length), self.family)
            words = f"-d {address}/{length} "
        free = _SERVICE - (part.length - bits)
        if free <= _PORT:
            service = part.prefix << free
            protocol = _PROTOCOLS[service >> _PORT & 3]
            words += f"-p {protocol} "
            if free < _PORT:
                low = service & 0xFFFF
                high = low + (1 << free) - 1
                span = f"{low}:{high}" if free else low
                words += f"-m {protocol} --dport {span} "
        return words


@frozen(repr=False)
class Forest(Brief):
    """The rules of all shared chains of both tables, in trees."""

    family: IPFamily
    most: int
    trees: Mapping[SharedChain, RuleTree] = MappingProxyType({})

    def of_table(self, table: str) -> list[RuleTree]:
        """Return the trees of a table, those for addresses first in each chain."""
        found = [tree for place, tree in self.trees.items() if place.table == table]
        return sorted(found, key=lambda tree: (tree.place.chain, not tree.place.has_address))

    def pieces(self, table: str) -> list[Piece]:
        """Return all chains of a table that shared chains lead to, those first that are led to."""
        return [tree.piece(part) for tree in self.of_table(table) for part in tree.parts()]

    def heads(self, table: str) -> Mapping[str, list[str]]:
        """Return the rules of the shared chains themselves."""
        found: dict[str, list[str]] = {}
        for tree in self.of_table(table):
            found.setdefault(tree.place.chain, []).extend(tree.head)
        return found

    def count_rules(self, table: str) -> int:
        """Return how many rules there are in the trees of a table, and in the shared chains."""
        return sum(
            len(tree.head) + sum(len(tree.rules(part)) for part in tree.parts())
            for tree in self.of_table(table)
        )

    def way(
        self, table: str, chain: str, destination: tuple[str, str, int]
    ) -> tuple[list[tuple[str, str]], str]:
        """Return what leads from a shared chain to the rules of a destination, and their chain."""
        tree = self.trees[SharedChain(table, chain, bool(destination[0]))]
        return tree.way(key_of(*destination))


def forest_of(family: IPFamily, most: int, rules: Iterable[ChainRule]) -> Forest:
    """Return the forest of some rules."""
    trees = {
        place: RuleTree(place, family, most, tuple(sorted(entries)))
        for place, entries in sorted(_by_place(rules).items())
    }
    return Forest(family, most, trees)


def _by_place(rules: Iterable[ChainRule]) -> dict[SharedChain, list[SharedRule]]:
    found: dict[SharedChain, list[SharedRule]] = {}
    for place, entry in rules:
        found.setdefault(place, []).append(entry)
    return found


class ForestStep:
    """What chains are written anew, and which go, where some rules go and others come.

    ``new`` is the forest that it leads to. Of each table ``written`` are chains, those first that
    are led to, ``gone`` names of others, and ``heads`` the shared chains that have other rules.
    ``growth`` is by how many rules there are more.
    """

    def __init__(self, old: Forest, gone: Iterable[ChainRule], came: Iterable[ChainRule]) -> None:
        before, after = _by_place(gone), _by_place(came)
        trees = dict(old.trees)
        self.written: dict[str, list[Piece]] = {"filter": [], "nat": []}
        self.gone: dict[str, list[str]] = {"filter": [], "nat": []}
        self.heads: dict[str, set[str]] = {"filter": set(), "nat": set()}
        self.growth: Counter[str] = Counter()
        for place in sorted({*before, *after}):
            went, added = set(before.get(place, ())), set(after.get(place, ()))
            tree = trees.get(place) or RuleTree(place, old.family, old.most)
            step = _TreeStep(tree, went - added, added - went)
            trees[place] = step.new
            self.written[place.table] += step.written.values()
            self.gone[place.table] += step.gone
            self.growth[place.table] += step.growth
            if step.new.head != tree.head:
                self.heads[place.table].add(place.chain)
        left = {place: trees[place] for place in sorted(trees) if trees[place].entries}
        self.new = evolve(old, trees=left)


class _TreeStep:
    """What becomes of one tree."""

    def __init__(
        self, old: RuleTree, gone: Collection[SharedRule], came: Collection[SharedRule]
    ) -> None:
        self.old = old
        self.new = new = old.exchange(gone, came)
        self.written: dict[str, Piece] = {}
        self.gone: dict[str, None] = {}
        self.growth = len(new.head) - len(old.head)
        self._keys = sorted({entry.key for entry in (*gone, *came)})
        self._compare(old.top, new.top)
        for name in self.written:
            self.gone.pop(name, None)

    def _compare(self, old: PrefixPart | None, new: PrefixPart | None) -> None:
        """Note what differs between what two parts are split into, and themselves."""
        if old is None or new is None or old.is_leaf or new.is_leaf:
            self._drop(old)
            self._add(new)
        elif old.length < new.length and new.slot(old.length) == old.prefix:
            slot = new.slot(old.length + STEP)
            parts = {each.slot(old.length + STEP): each for each in self.old.shape.parts(old)}
            self._compare(parts.pop(slot, None), new)
            for each in parts.values():
                self._drop(each)
            self._forget(old)
        elif new.length < old.length and old.slot(new.length) == new.prefix:
            slot = old.slot(new.length + STEP)
            parts = {each.slot(new.length + STEP): each for each in self.new.shape.parts(new)}
            self._compare(old, parts.pop(slot, None))
            for each in parts.values():
                self._add(each)
            self._write(new)
        elif (old.prefix, old.length) == (new.prefix, new.length):
            self._compare_parts(old, new)
            if self.old.rules(old) != self.new.rules(new):
                self._write(new)
                self.growth -= len(self.old.rules(old))
        else:
            self._drop(old)
            self._add(new)

    def _compare_parts(self, old: PrefixPart, new: PrefixPart) -> None:
        length = old.length + STEP
        before = {each.slot(length): each for each in self.old.shape.parts(old)}
        after = {each.slot(length): each for each in self.new.shape.parts(new)}
        for slot in sorted({*before, *after}):
            rest = self.new.shape.width - length
            place = bisect_left(self._keys, slot << rest)
            if place < len(self._keys) and self._keys[place] >> rest == slot:
                self._compare(before.get(slot), after.get(slot))

    def _drop(self, part: PrefixPart | None) -> None:
        for each in self.old.shape.below(part) if part is not None else ():
            self._forget(each)

    def _add(self, part: PrefixPart | None) -> None:
        for each in self.new.shape.below(part) if part is not None else ():
            self._write(each)

    def _forget(self, part: PrefixPart) -> None:
        self.gone[self.old.name(part)] = None
        self.growth -= len(self.old.rules(part))

    def _write(self, part: PrefixPart) -> None:
        piece = self.new.piece(part)
        self.written[piece.chains[0]] = piece
        self.growth += piece.own.count("\n")
