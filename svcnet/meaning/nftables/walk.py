"""The way of packets through chains of nf_tables, rule by rule, word by word.

Source: Linux ``net/netfilter/nf_tables_core.c`` (``nft_do_chain``); for ``numgen`` its
``net/netfilter/nft_numgen.c``, which throws dice of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from svcnet.meaning import spans
from svcnet.meaning.chance import Chance
from svcnet.meaning.ends import START, Ends, EndWalk
from svcnet.meaning.facts import Facts
from svcnet.meaning.flow import Branch, Leaf, Meetings, PacketHead
from svcnet.meaning.sources import ALL, Endpoint, Sources, is_like

_DEEPEST = 16
_MOST_DOUBTS = 6
_DICE = 1 << 32
_WORD = 0xFFFFFFFF

SOURCE_FIELDS = frozenset(("ip saddr", "ip6 saddr", "iifname"))
FIELDS = frozenset(
    (
        *SOURCE_FIELDS,
        *("ip daddr", "ip6 daddr", "meta l4proto", "th dport", "tcp dport", "udp dport"),
        *("sctp dport", "ip protocol", "ip6 nexthdr"),
    )
)
_NO_MATTER = (("nftrace", "set"), ("priority", "set"))
"""What rules change of a packet that no rule asks for."""

_CHANGES = frozenset(
    ("dnat", "snat", "masquerade", "redirect", "tproxy", "queue", "vmap", "map", "notrack", "set")
)


def is_for_services(table: str) -> bool:
    """Return whether a table, such as ``ip kube-proxy``, is kube-proxy's."""
    return table.endswith(" kube-proxy")


class NFTLine(NamedTuple):
    """A rule, with its table and chain and the words of its text."""

    table: str
    chain: str
    text: str
    line: int
    words: tuple[str, ...]


class NFTMember(NamedTuple):
    """An element of a map that decided."""

    table: str
    container: str
    key: str
    value: str
    line: int


class HookChain(NamedTuple):
    """A chain that the kernel calls."""

    priority: int
    table: str
    chain: str
    type: str
    policy: str


class NFTMembers:
    """A set or a map: its elements by key, and for one that rules fill how long they stay.

    ``lines`` are where the elements of one with a name were read, by key.
    """

    def __init__(
        self,
        elements: Mapping[str, str],
        is_dynamic: bool = False,
        seconds: int | None = None,
        lines: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.elements = elements
        self.lines = lines
        self.is_dynamic = is_dynamic
        self.seconds = seconds
        self._indexes: dict[tuple[bool, ...], _Index] = {}

    def find(self, of_sender: tuple[bool, ...], key: tuple[str, ...]) -> Iterable[_Element]:
        """Yield the elements that may be right for what is not the sender's of a key."""
        index = self._indexes.get(of_sender)
        if index is None:
            index = self._indexes[of_sender] = self._index(of_sender)
        exact, ranges = index
        yield from exact.get(key, ())
        yield from ranges

    def _index(self, of_sender: tuple[bool, ...]) -> _Index:
        """Return elements by the parts that are not the sender's, and those with ranges there."""
        exact: dict[tuple[str, ...], list[_Element]] = {}
        ranges: list[_Element] = []
        for key, value in self.elements.items():
            parts = tuple(key.split(" . "))
            fixed = tuple(
                part for part, is_his in zip(parts, of_sender, strict=False) if not is_his
            )
            if any("/" in part or "-" in part or "*" in part for part in fixed):
                ranges.append((parts, value))
            else:
                exact.setdefault(fixed, []).append((parts, value))
        return exact, ranges


_Element = tuple[tuple[str, ...], str]
"""The parts of a key, and the value."""

_Index = tuple[dict[tuple[str, ...], list[_Element]], list[_Element]]


class NFTTables(NamedTuple):
    """All tables of a family: rules of chains, sets and maps, chains by hook.

    ``lists`` has the endpoints for which rules put a client into a set, ``filled`` the sets that
    rules fill with others.
    """

    rules: Mapping[tuple[str, str], tuple[NFTLine, ...]]
    containers: Mapping[tuple[str, str], NFTMembers]
    hooks: Mapping[str, tuple[HookChain, ...]]
    lists: Mapping[tuple[str, str], frozenset[Endpoint]]
    filled: frozenset[tuple[str, str]]


class _Unknown(Exception):  # noqa: N818  (said of a rule)
    """Words that nobody here understands, from some place on."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


@cache
def turn(count: int, number: int) -> Chance:
    """Return the chance of one of the numbers of ``numgen random mod``."""
    first, last = (-(-each * _DICE // count) for each in (number, number + 1))
    return Chance(Fraction(1, count), Fraction(last - first, _DICE))


class NFTWalk(EndWalk):
    """Packets of some senders to one destination, of one protocol."""

    def __init__(
        self,
        tables: NFTTables,
        facts: Facts,
        sources: Sources,
        address: int,
        protocol: str,
        port: int,
        *,
        ends: Ends,
        state: str = "NEW",
        notes: bool = False,
        meetings: Meetings | None = None,
    ) -> None:
        self.ends = ends
        self.tables = tables
        self.facts = facts
        self.sources = sources
        self.protocol = protocol
        self.start = PacketHead(address, port)
        self.state = state
        self.notes = notes
        self.meetings = meetings

    def leaves(self, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that come in by an interface, or that the node itself sends."""
        start = Branch(self.sources.everybody, START, self.start)
        if not start.mask:
            return []
        leaves: list[Leaf] = []
        for flow in self._hook("output" if is_node else "prerouting", [start], leaves):
            leaves += self._rest(flow, is_node=is_node)
        return leaves

    def _rest(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end that are translated, or will never be."""
        if self.notes:
            return self._end_routed(flow, is_node=is_node)
        is_local = self.facts.is_local(flow.header.address)
        key = self.ends.key(flow.header, is_node, self.protocol, self.state, is_local)
        return self._ends_by(key, flow, is_node=is_node)

    def _end_routed(self, flow: Branch, *, is_node: bool) -> list[Leaf]:
        """Return how packets end from where the kernel has decided which way they go."""
        leaves: list[Leaf] = []
        flows = [flow]
        if not self.facts.is_local(flow.header.address):
            if not is_node:
                flows = self._hook("forward", flows, leaves)
            flows = self._hook("postrouting", flows, leaves)
        else:
            if is_node:
                flows = self._hook("postrouting", flows, leaves)
                flows = [each.with_header(each.header._replace(is_looped=True)) for each in flows]
                flows = self._hook("prerouting", flows, leaves)
            flows = self._hook("input", flows, leaves)
        leaves += [Leaf("deliver" if each.header.is_translated else "pass", each) for each in flows]
        return leaves

    def _hook(self, hook: str, flows: list[Branch], leaves: list[Leaf]) -> list[Branch]:
        """Return the flows that all chains of a hook let through."""
        for chain in self.tables.hooks.get(hook, ()):
            through: list[Branch] = []
            for flow in flows:
                header = flow.header
                done = header.is_translated if hook in ("prerouting", "output") else header.source
                # What the node sends to itself was translated on the way out.
                is_late = self.state != "NEW" or done or header.is_looped
                if chain.type == "nat" and is_late:
                    through.append(flow)
                    continue
                for left in self._chain(chain.table, chain.chain, flow, through, leaves, 0):
                    if chain.policy == "drop":
                        leaves.append(Leaf("drop", left, chain))
                    else:
                        through.append(left)
            flows = through
        return flows

    def _chain(
        self,
        table: str,
        name: str,
        flow: Branch,
        through: list[Branch],
        leaves: list[Leaf],
        depth: int,
    ) -> list[Branch]:
        """Return what comes back from a chain: what it accepts goes to `through`."""
        alive = [flow]
        back: list[Branch] = []
        meetings = None if is_for_services(table) else self.meetings
        for rule in self.tables.rules.get((table, name), ()):
            after: list[Branch] = []
            for each in alive:
                for hit, verdict in self._rule(rule, each, after, leaves):
                    if meetings is not None:
                        meetings.note(rule)
                    kind, _, where = verdict.partition(" ")
                    if kind in ("jump", "goto") and depth < _DEEPEST:
                        came = self._chain(table, where, hit, through, leaves, depth + 1)
                        (after if kind == "jump" else back).extend(came)
                    elif kind == "return":
                        back.append(hit)
                    elif kind == "accept":
                        through.append(hit)
                    elif kind in ("drop", "reject"):
                        leaves.append(Leaf(kind, hit, rule))
                    elif kind in ("", "continue"):
                        after.append(hit)
                    else:
                        leaves.append(Leaf("unknown", hit, rule))
            alive = after
            if not alive:
                break
        return back + alive

    def _rule(
        self, rule: NFTLine, flow: Branch, after: list[Branch], leaves: list[Leaf]
    ) -> Iterator[tuple[Branch, str]]:
        """Yield the flows that a rule matches with its verdict; the others go to `after`."""
        reading = _Reading(self, rule, flow, after)
        try:
            yield from reading.run()
        except _Unknown as found:
            flow, rest = reading.flow, rule.words[found.at :]
            if _CHANGES & set(rest) or len(flow.doubts) >= _MOST_DOUBTS:
                leaves.append(Leaf("unknown", flow, rule))
                return
            verdict = _verdict(rest)
            if not verdict:
                after.append(flow)
                return
            key = (rule, len(flow.doubts))
            after.append(flow.assuming((key, False, rule)))
            yield flow.assuming((key, True, rule)), verdict

    def own(self) -> int:
        """Return who sends from an address of the machine's own."""
        return self.sources.local(self.facts.is_local)

    def value(self, name: str, header: PacketHead) -> str:
        """Return a field of a packet that does not depend on its sender."""
        if name.endswith("daddr"):
            return spans.text_of(header.address, self.facts.family)
        if name.endswith("dport"):
            return str(header.port)
        return self.protocol

    def mask(self, name: str, wanted: str, header: PacketHead) -> int:
        """Return for whom a field has a value, or is in a range of them."""
        if name == "iifname":
            pattern = wanted.strip('"')
            pattern = f"{pattern[:-1]}+" if pattern.endswith("*") else pattern
            if header.is_looped:
                return ALL if is_like("lo", pattern) else 0
            return self.sources.interface(pattern)
        if name.endswith("saddr"):
            return self.sources.network(_span(wanted))
        if name in ("tcp dport", "udp dport", "sctp dport") and name[:-6] != self.protocol:
            return 0
        if name.endswith("daddr"):
            first, last = _span(wanted)
            return ALL if first <= header.address <= last else 0
        if name.endswith("dport"):
            low, _, high = wanted.partition("-")
            return ALL if int(low) <= header.port <= int(high or low) else 0
        return ALL if wanted == self.protocol else 0


def _span(text: str) -> spans.Span:
    return spans.between(text) if "-" in text else spans.network(text)


def _verdict(words: Sequence[str]) -> str:
    """Return the verdict at the end of a rule, empty for none."""
    for at, word in enumerate(words):
        if word in ("accept", "drop", "reject", "return"):
            return word
        if word in ("jump", "goto"):
            return f"{word} {words[at + 1]}"
    return ""


class _Reading:
    """One rule while its words are read for one flow."""

    def __init__(self, walk: NFTWalk, rule: NFTLine, flow: Branch, after: list[Branch]) -> None:
        self.walk = walk
        self.rule = rule
        self.flow = flow
        self.after = after
        self.at = 0
        self._set = ("", "")
        self._before = flow.path

    def run(self) -> Iterator[tuple[Branch, str]]:
        """Yield what the rule does to those whom it matches."""
        words = self.rule.words
        while self.at < len(words):
            begin = self.at
            try:
                done = self._statement(words[self.at])
            except (ValueError, IndexError, KeyError, StopIteration):
                raise _Unknown(begin) from None
            if done is not None:
                for each, verdict in done:
                    yield self._note(each), verdict
                return
            if not self.flow.mask:
                return
        yield self._note(self.flow), ""

    def _note(self, flow: Branch) -> Branch:
        """Return the flow with the rule on its path, if somebody wants to know."""
        if not self.walk.notes or flow.path[len(self._before) :]:
            return flow
        return flow.past(self.rule)

    def take(self) -> str:
        word = self.rule.words[self.at]
        self.at += 1
        return word

    def peek(self) -> str:
        return self.rule.words[self.at] if self.at < len(self.rule.words) else ""

    def expect(self, *words: str) -> None:
        for word in words:
            if self.take() != word:
                raise ValueError(word)

    def keep(self, mask: int) -> None:
        """Go on with those of a mask; the rule does not match the others."""
        flow = self.flow
        mask &= flow.mask
        if mask != flow.mask:
            if flow.mask & ~mask:
                self.after.append(flow.of(flow.mask & ~mask))
            self.flow = flow.of(mask)

    def _statement(self, word: str) -> list[tuple[Branch, str]] | None:
        """Read a statement; return what becomes of the flow if it ends the rule."""
        if word in ("accept", "drop", "return", "continue"):
            self.take()
            return [(self.flow, word)]
        if word == "reject":
            return [(self.flow, "reject")]
        if word in ("jump", "goto"):
            self.take()
            return [(self.flow, f"{word} {self.take()}")]
        if word == "counter":
            self.take()
            if self.peek() == "name":
                self.at += 2
            elif self.peek() == "packets":
                self.at += 4
            return None
        if word == "log":
            self._log()
            return None
        if word == "meta" and self.rule.words[self.at + 1 : self.at + 3] in _NO_MATTER:
            self.at += 4
            return None
        if word in ("update", "add"):
            while self.take() != "}":
                pass
            return None
        if word == "ct":
            self._connection()
            return None
        if word == "fib":
            self._route()
            return None
        if word == "meta" and self.rule.words[self.at + 1] == "mark":
            self._mark()
            return None
        if word == "numgen":
            return self._dice("vmap")
        if word == "dnat":
            return self._dnat()
        if word == "masquerade":
            return [(self.flow.with_header(self.flow.header.with_source("node")), "accept")]
        return self._fields()

    def _log(self) -> None:
        """Read what is logged and how, which is of no concern to the packet."""
        self.expect("log")
        while self.peek() in ("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
            option, value = self.take(), self.take()
            if option == "flags" and value in ("tcp", "ip"):
                self.take()
            while option == "prefix" and (value[-1:] != '"' or value == '"'):
                value = f"{value} {self.take()}"

    def _connection(self) -> None:
        self.expect("ct")
        what = self.take()
        is_negated = self.peek() == "!="
        if is_negated or self.peek() == "==":
            self.take()
        names = [self._name()]
        while self.peek() == ",":
            self.take()
            names.append(self._name())
        if what == "state":
            if not set(names) <= {"new", "established", "related", "invalid", "untracked"}:
                raise ValueError(names)
            found = self.walk.state.lower() in names
        elif what == "status" and names == ["dnat"]:
            found = self.flow.header.is_translated
        else:
            raise ValueError(what)
        self.keep(0 if found == is_negated else ALL)

    def _name(self) -> str:
        word = self.take()
        if word in ("{", "&"):
            raise ValueError(word)
        return word

    def _route(self) -> None:
        self.expect("fib")
        side = self.take()
        self.expect("type")
        is_negated = self.peek() == "!="
        if is_negated:
            self.take()
        if self.take() != "local":
            raise ValueError("type")
        if side == "saddr":
            found = self.walk.own()
        elif side == "daddr":
            found = ALL if self.walk.facts.is_local(self.flow.header.address) else 0
        else:
            raise ValueError(side)
        self.keep(~found if is_negated else found)

    def _mark(self) -> None:
        """Ask for the mark, or change it."""
        self.expect("meta", "mark")
        header = self.flow.header
        if self.peek() == "set":
            self.take()
            self.flow = self.flow.with_header(header.with_marks(self._new_mark(), header.connmark))
            return
        mark = header.mark
        if self.peek() == "&":
            self.take()
            mark &= int(self.take())
        is_negated = self.peek() == "!="
        if is_negated or self.peek() == "==":
            self.take()
        found = mark == int(self.take())
        self.keep(0 if found == is_negated else ALL)

    def _new_mark(self) -> int:
        if self.peek() != "meta":
            return int(self.take())
        self.expect("meta", "mark")
        mark = self.flow.header.mark
        while self.peek() in ("|", "^", "&"):
            sign, bits = self.take(), int(self.take())
            mark = {"|": mark | bits, "^": mark ^ bits, "&": mark & bits}[sign]
        return mark & _WORD

    def _fields(self) -> list[tuple[Branch, str]] | None:
        """Compare fields of the packet, one or several joined by dots."""
        names = [self._field()]
        while self.peek() == ".":
            self.take()
            names.append(self._field())
        if self.peek() == "vmap":
            self.take()
            return self._choose(names, self._container())
        is_negated = self.peek() == "!="
        if is_negated or self.peek() == "==":
            self.take()
        if self.peek().startswith("@"):
            container = self._container()
            if container.is_dynamic:
                found = self._affinity_senders(names, container)
            else:
                found = self._any(names, container)
        elif self.peek() == "{":
            found = self._any(names, self._container())
        else:
            key = [self.take()]
            while self.peek() == "." and len(key) < len(names):
                self.take()
                key.append(self.take())
            found = self._match(names, key)
        self.keep(~found if is_negated else found)
        return None

    def _field(self) -> str:
        name = self.take()
        if name == "iif":
            name = "iifname"
        elif name != "iifname":
            name = f"{name} {self.take()}"
        if name not in FIELDS:
            raise ValueError(name)
        return name

    def _container(self) -> NFTMembers:
        """Return a set or map, one with a name or one that stands in the rule."""
        word = self.take()
        if word.startswith("@"):
            self._set = (self.rule.table, word[1:])
            return self.walk.tables.containers[self._set]
        if word != "{":
            raise ValueError(word)
        elements: dict[str, str] = {}
        part: list[str] = []
        while True:
            word = self.take()
            if word in (",", "}"):
                key, _, value = " ".join(part).partition(" : ")
                elements[key] = value
                part = []
                if word == "}":
                    return NFTMembers(elements)
            else:
                part.append(word)

    def _affinity_senders(self, names: list[str], container: NFTMembers) -> int:
        if len(names) != 1 or not names[0].endswith("saddr"):
            raise ValueError(names)
        if self._set in self.walk.tables.filled:
            raise ValueError(names)  # who is in it, nobody knows
        endpoints = self.walk.tables.lists.get(self._set, frozenset())
        return self.walk.sources.remembers(endpoints, container.seconds)

    def _match(self, names: Sequence[str], key: Sequence[str]) -> int:
        if len(names) != len(key):
            raise ValueError(key)
        found = ALL
        for name, wanted in zip(names, key, strict=True):
            found &= self.walk.mask(name, wanted, self.flow.header)
            if not found:
                return 0
        return found

    def _any(self, names: list[str], container: NFTMembers) -> int:
        found = 0
        for mask, _ in self._matching(names, container):
            found |= mask
        return found

    def _matching(self, names: list[str], container: NFTMembers) -> Iterator[tuple[int, _Element]]:
        """Yield for whom an element of a container is right."""
        walk, header = self.walk, self.flow.header
        of_sender = tuple(name in SOURCE_FIELDS for name in names)
        key = tuple(
            walk.value(name, header)
            for name, is_his in zip(names, of_sender, strict=True)
            if not is_his
        )
        for parts, value in container.find(of_sender, key):
            if mask := self._match(names, parts):
                yield mask, (parts, value)

    def _choose(self, names: list[str], container: NFTMembers) -> list[tuple[Branch, str]]:
        """Return what an element of a map says for whom; without one the rule does not match."""
        done: list[tuple[Branch, str]] = []
        left = self.flow
        for mask, (parts, verdict) in self._matching(names, container):
            both = left.mask & mask
            if both:
                hit = left.of(both)
                if self.walk.notes and container.lines:
                    key = " . ".join(parts)
                    element = NFTMember(*self._set, key, verdict, container.lines.get(key, 0))
                    hit = hit.past(self.rule).past(element)
                done.append((hit, verdict))
                left = left.of(left.mask & ~both)
        if left.mask:
            self.after.append(left)
        return done

    def _dice(self, kind: str) -> list[tuple[Branch, str]]:
        """Return what each number of ``numgen`` leads to."""
        self.expect("numgen", "random", "mod")
        count = int(self.take())
        self.expect(kind)
        elements = self._container().elements
        luck = self.flow.luck
        return [
            (self.flow.by(luck.split(turn(count, number))[0]), elements.get(str(number), ""))
            for number in range(count)
        ]

    def _dnat(self) -> list[tuple[Branch, str]]:
        self.expect("dnat")
        if self.peek() in ("ip", "ip6"):
            self.take()
        if self.peek() == "addr":
            self.expect("addr", ".", "port")
        self.expect("to")
        if self.peek() == "numgen":
            found = self._dice("map")
            return [
                (self._move(each, value.replace(" . ", " ")), "accept") if value else (each, "")
                for each, value in found
            ]
        address, _, port = self.take().rpartition(":")
        if not address:
            raise ValueError(port)
        return [(self._move(self.flow, f"{address.strip('[]')} {port}"), "accept")]

    def _move(self, flow: Branch, place: str) -> Branch:
        address, _, port = place.partition(" ")
        return flow.with_header(flow.header.with_destination(spans.number(address), int(port)))
