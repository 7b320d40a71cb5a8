"""Two sides while they are compared, destination by destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import product

from attrs import define, evolve, field

from svcnet.family import IPFamily
from svcnet.graph import Origin, Packet, Pass
from svcnet.graph.evaluate import FrontendEntry
from svcnet.meaning.comparison.cells import headings
from svcnet.meaning.comparison.change import (
    ChangePlace,
    EndChange,
    FrontendChange,
    MeaningDiff,
    ObscureRule,
    SenderChange,
)
from svcnet.meaning.comparison.everybody import Everybody
from svcnet.meaning.comparison.groups import SenderGroups
from svcnet.meaning.comparison.intent import Heading
from svcnet.meaning.comparison.rows import ends_of, together
from svcnet.meaning.comparison.side import Side, SideEnd, SideFlow
from svcnet.meaning.comparison.spread import Spread, alike, differing, spread
from svcnet.meaning.outcome import RuleLine
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import Sender, Senders
from svcnet.meaning.spans import LOOPBACK, Span, number, text_of

LocateField = Callable[[Sequence[Origin]], Sequence[ChangePlace | None]]
"""Says of fields where they are, each in its turn; None for what is nowhere."""

_MOST_DOUBTS = 8


@define
class _Frontend:
    """The changes of one frontend while they are found, at one address after the other."""

    kind: str
    target: Heading
    old: FrontendEntry | None
    new: FrontendEntry | None
    rows: list[SenderChange] = field(factory=list)


class SideComparison:
    """A comparison while it is made."""

    def __init__(self, old: Side, new: Side, locate: tuple[LocateField, LocateField]) -> None:
        self.sides = old, new
        self.locate = locate
        self.family: IPFamily = new.family
        self.own = {
            address: (old.own.get(address), new.own.get(address))
            for address in {**old.own, **new.own}
        }
        names = [side.names() for side in self.sides]
        self.named = {key for each in names for key in each.keys}
        self.single = {low for each in names for low, high in each.networks if low == high}
        self.single.update(self.own)
        self.single.update(address for each in names for some in each.sets for address in some)
        self.taken = {*self.own, *old.taken, *new.taken}
        self.ports: dict[int, set[tuple[str, Span]]] = {}
        self.cells = 0
        self.frontends: dict[object, _Frontend] = {}
        self.unknown: Counter[tuple[str, RuleLine]] = Counter()
        self.everybody = Everybody(self.family, self.own, self.taken)

    def compare(self) -> MeaningDiff:
        """Look at every kind of packet."""
        old, new = self.sides
        for target in headings(self.family, self.own, self.sides):
            self.look(target)
        for target, state in _kept_out(self.family):
            self.look(target, state)
        frontends = tuple(self._frontends())
        return MeaningDiff(
            family=self.family,
            mode=old.mode,
            to_mode=new.mode,
            cells=self.cells,
            frontends=self._locate(frontends),
            unknown=tuple(
                ObscureRule(rule, side, count) for (side, rule), count in self.unknown.items()
            ),
        )

    def look(self, target: Heading, state: str = "NEW") -> None:
        """Compare the packets of everybody for one destination."""
        old, new = self.sides
        known = old.distinctions(target).join(new.distinctions(target)).join(self.everybody.common)
        while True:
            sources = self.everybody.of(target, known)
            before = old.flows(target, sources, state)
            after = new.flows(target, sources, state)
            if not sources.missing:
                break
            questions = sources.missing.distinctions()
            known = known.join(questions)
            self.everybody.remember(questions)
        everybody = sources.everybody
        self.cells += everybody.bit_count()
        different, unknown = compare_flows(before, after)
        if unknown & everybody:
            self._obscure(target, sources, unknown & everybody)
        if different & everybody:
            self._tell(target, state, sources, before, after, different & everybody)

    def _obscure(self, target: Heading, sources: Senders | OwnSenders, unknown: int) -> None:
        """Note which rules are not understood on which somebody's packets depend."""
        sender = sources.sender((unknown & -unknown).bit_length() - 1)
        for name, side in zip(("old", "new"), self.sides, strict=True):
            for rule in side.unknown(target, sender):
                self.unknown[name, rule] += unknown.bit_count()

    def _tell(
        self,
        target: Heading,
        state: str,
        sources: Senders | OwnSenders,
        before: Sequence[SideFlow],
        after: Sequence[SideFlow],
        different: int,
    ) -> None:
        """Note what becomes otherwise, once for all senders whose packets end alike."""
        old, new = self.sides
        was, becomes = _spread(before), _spread(after)
        entries = old.entry(target), new.entry(target)
        frontend = self._frontend(target, state, entries)
        groups = SenderGroups(target, sources, (old.detector, new.detector), _endpoints(entries))
        while different:
            bit = (different & -different).bit_length() - 1
            group = different & alike(was, bit) & alike(becomes, bit)
            for kinds, mask in groups.parts(group):
                sender = sources.sender(sources.plainest(mask))
                frontend.rows.append(
                    SenderChange(
                        kinds,
                        self._packet(target, sender),
                        tuple(self._ends(target, sender, state)),
                        sender.memory.age,
                        mask.bit_count(),
                    )
                )
            different &= ~group

    def _frontend(
        self, target: Heading, state: str, entries: tuple[FrontendEntry | None, ...]
    ) -> _Frontend:
        """Return the frontend that packets are for; of a node port all the node's addresses are."""
        old, new = entries
        kind = (new or old).dispatch.frontend if new or old else ""  # type: ignore[union-attr]
        where = target.address, target.protocol, target.port
        names = tuple((each.fragment.name, each.dispatch.id) if each else None for each in entries)
        key: object = (names, *where, state)
        if kind == "node-port":
            key = names
        elif not kind and state == "NEW" and where not in self.named:
            kind = "other-ports" if target.address in self.single else "others"
            key = (kind, *where) if self._has_port(target) else (kind, target.address)
        elif state != "NEW":
            kind = "unknown-connections"
        return self.frontends.setdefault(key, _Frontend(kind, target, old, new))

    def _has_port(self, target: Heading) -> bool:
        """Return whether somebody names the port of a destination, for many addresses."""
        found = self.ports.get(target.address)
        if found is None:
            found = self.ports[target.address] = {
                (protocol, span)
                for side in self.sides
                for protocol, spans in side.ports(target.address).items()
                for span in spans
            }
        return any(
            protocol == target.protocol and _is_in(target.port, span) for protocol, span in found
        )

    def _ends(self, target: Heading, sender: Sender, state: str) -> Iterator[EndChange]:
        """Yield each end that one sender's packets have on either side."""
        old, new = (
            {(each.verdict, each.choice): each for each in side.ends(target, sender, state)}
            for side in self.sides
        )
        for key in {**old, **new}:
            was, becomes = old.get(key), new.get(key)
            end: SideEnd = becomes or was  # type: ignore[assignment]
            yield EndChange(
                end.verdict,
                was.chance if was else Fraction(0),
                becomes.chance if becomes else Fraction(0),
                end.origin,
                side="new" if becomes else "old",
                choice=end.choice,
                rule=end.rule,
            )

    def _packet(self, target: Heading, sender: Sender) -> Packet:
        endpoint = sender.memory.endpoint
        known = frozenset((place_text(*endpoint, self.family),)) if endpoint else frozenset()
        return Packet(
            text_of(sender.address, self.family),
            text_of(target.address, self.family),
            target.port,
            target.protocol.upper(),
            sender.interface,
            known,
        )

    def _frontends(self) -> Iterator[FrontendChange]:
        """Yield what was found, in the order of Services.

        A port that somebody names is not told if it is as all others of its addresses.
        """
        found = [
            (each, together(each.rows, with_addresses=each.kind == "node-port"))
            for each in sorted(self.frontends.values(), key=_order)
        ]
        whole = {
            (each.kind, each.target.address): set(map(ends_of, rows))
            for each, rows in found
            if not self._is_exact(each)
        }
        for each, rows in found:
            is_exact = self._is_exact(each)
            as_all = whole.get((each.kind, each.target.address))
            if is_exact and as_all == set(map(ends_of, rows)):
                continue
            entry = each.new or each.old
            is_node_port = each.kind == "node-port"
            is_own = is_exact and each.kind == "other-ports" and each.target.address in self.own
            yield FrontendChange(
                _change(each, rows),
                "" if is_own else each.kind,
                "" if is_node_port else text_of(each.target.address, self.family),
                each.target.port if is_exact else 0,
                each.target.protocol.upper() if is_exact else "",
                each.old.fragment.name if each.old else None,
                each.new.fragment.name if each.new else None,
                tuple(rows),
                entry.dispatch.origin if entry is not None else None,
            )

    def _is_exact(self, each: _Frontend) -> bool:
        """Return whether changes are of one port, and not of all that nobody names."""
        return each.kind not in ("other-ports", "others") or self._has_port(each.target)

    def _locate(self, frontends: tuple[FrontendChange, ...]) -> tuple[FrontendChange, ...]:
        """Return changes with the places of their fields; each file is read once more for all."""
        wanted: dict[str, dict[Origin, ChangePlace | None]] = {"old": {}, "new": {}}
        for each in frontends:
            if each.field is not None:
                wanted["new" if each.new else "old"][each.field] = None
            for end in (end for row in each.senders for end in row.ends):
                if end.field is not None and end.before != end.after:
                    wanted[end.side][end.field] = None
        for side, locate in zip(("old", "new"), self.locate, strict=True):
            fields = list(wanted[side])
            wanted[side] = dict(zip(fields, locate(fields), strict=True))

        def place(field: Origin | None, side: str) -> ChangePlace | None:
            return None if field is None else wanted[side].get(field)

        def row(each: SenderChange) -> SenderChange:
            ends = [evolve(end, place=place(end.field, end.side)) for end in each.ends]
            return evolve(each, ends=tuple(ends))

        return tuple(
            evolve(
                each,
                place=place(each.field, "new" if each.new else "old"),
                senders=tuple(map(row, each.senders)),
            )
            for each in frontends
        )


def compare_flows(before: Sequence[SideFlow], after: Sequence[SideFlow]) -> tuple[int, int]:
    """Return for whom two sides differ, and for whom nobody can say.

    A rule that is not understood does on both sides the same if it is written the same. One
    that only one side has may match or not.
    """
    mine, its = ({doubt[0] for flow in side for doubt in flow.doubts} for side in (before, after))
    opaque = 0
    for flow in (*before, *after):
        opaque |= flow.mask if flow.ending[0] == "unknown" else 0
    if not mine and not its:
        found = differing(_spread(before), _spread(after))
        return found & ~opaque, found & opaque
    shared, single = mine & its, mine ^ its
    if len(mine | its) > _MOST_DOUBTS:
        doubtful = 0
        for flow in (*before, *after):
            doubtful |= flow.mask if flow.doubts else 0
        sure = ([flow for flow in side if not flow.doubts] for side in (before, after))
        found = differing(*map(_spread, sure))
        return found & ~opaque & ~doubtful, doubtful | (found & opaque)
    always_somewhere = sometimes = 0
    for common in _worlds(shared):
        always = -1
        for own in _worlds(single):
            world = {**common, **own}
            found = differing(_spread(before, world), _spread(after, world))
            always &= found
            sometimes |= found
        always_somewhere |= always
    different = always_somewhere & ~opaque
    return different, sometimes & ~different


def _worlds(asked: Iterable[object]) -> Iterator[dict[object, bool]]:
    """Yield each way in which doubts may be true."""
    order = list(asked)
    for answers in product((False, True), repeat=len(order)):
        yield dict(zip(order, answers, strict=True))


def _spread(flows: Iterable[SideFlow], world: dict[object, bool] | None = None) -> Spread:
    """Return the chances of ends, of the flows that there are if doubts are so; else if none is."""
    known = world or {}
    return spread(
        (flow.ending, flow.mask, flow.chance)
        for flow in flows
        if all(known.get(doubt, False) == answer for doubt, answer in flow.doubts)
    )


def _kept_out(family: IPFamily) -> Iterator[tuple[Heading, str]]:
    """Yield packets that kube-proxy's rules may keep out, whatever Services there are.

    They are of connections that nobody knows, and from elsewhere for loopback.
    """
    outside = "203.0.113.77" if family == "IPv4" else "2001:db8::77"
    yield Heading(number(outside), "tcp", 80, False), "INVALID"
    if family == "IPv4":
        yield Heading(LOOPBACK[0] + 1, "tcp", 1, False), "NEW"


def _endpoints(entries: Iterable[FrontendEntry | None]) -> frozenset[int]:
    """Return the addresses of endpoints on either side."""
    return frozenset(
        number(each.address)
        for entry in entries
        if entry is not None
        for each in entry.fragment.translates
    )


def _order(each: _Frontend) -> tuple[object, ...]:
    entry = each.new or each.old
    name = entry.fragment.name if entry is not None else ()
    return entry is None, name, each.target.address, each.target.protocol, each.target.port


def _change(each: _Frontend, rows: Sequence[SenderChange]) -> str:
    """Return whether a frontend came, went or changed."""
    if each.old is not None or each.new is not None:
        return "came" if each.old is None else "went" if each.new is None else "changed"
    ends = [end for row in rows for end in row.ends]
    if all(isinstance(end.verdict, Pass) or not end.before for end in ends):
        return "came"
    if all(isinstance(end.verdict, Pass) or not end.after for end in ends):
        return "went"
    return "changed"


def _is_in(address: int, span: Span) -> bool:
    return span[0] <= address <= span[1]


def place_text(address: int, port: int, family: IPFamily) -> str:
    """Return an endpoint as text."""
    text = text_of(address, family)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
