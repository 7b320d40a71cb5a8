"""Two modes of the same objects: what differs, and which of that is known and has a name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fractions import Fraction

from attrs import evolve

from svcnet.errors import UsageError
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.graph.evaluate import FrontendEntry
from svcnet.meaning.comparison.cells import GraphNames, RuleNames, own_addresses
from svcnet.meaning.comparison.change import (
    FrontendChange,
    KnownDifference,
    MeaningDiff,
    SenderChange,
)
from svcnet.meaning.comparison.dialects import dialect_of
from svcnet.meaning.comparison.diff import sides_diff
from svcnet.meaning.comparison.intent import PASS, Ending, Heading, distinctions
from svcnet.meaning.comparison.side import RuleSide, Side, SideEnd, SideFlow
from svcnet.meaning.dump import LANGUAGES, forms_of, read_dump
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.facts import Facts
from svcnet.meaning.outcome import Rewrite, RuleLine
from svcnet.meaning.own_senders import OwnSenders
from svcnet.meaning.sources import Distinctions, Sender, Senders, Sources
from svcnet.meaning.spans import Span, number, text_of


def modes_diff(old: Question, new: Question) -> MeaningDiff:
    """Compare what two modes do with every packet, for the same objects.

    What a mode writes is read back by the interpreter of its language. A mode whose text nobody
    reads back is taken at its word, packet by packet. A difference that one of them
    gives a reason for is told once for that reason.
    """
    names = [f"mode {question.mode.name}" for question in (old, new)]
    if names[0] == names[1]:
        names = [f"{names[0]}, before", f"{names[1]}, after"]
    found = sides_diff(_side(old, names[0]), _side(new, names[1]))
    return _Reasons(old, new).sorted_out(found)


def _side(question: Question, name: str) -> Side:
    if question.mode.name in LANGUAGES:
        return ModeSide(question, name)
    return AccountSide(question)


class ModeSide(RuleSide):
    """What a mode writes for a graph, read back; the graph says whose a destination is.

    `name` is what its text is called where a line of it is told.
    """

    def __init__(self, question: Question, name: str) -> None:
        graph, mode = question.graph, question.mode.name
        settings = graph.settings
        texts = [
            (name if form == "text" else f"{name}, {form}", question.text(form, jumps=True))
            for form in forms_of(mode)
        ]
        # It is the same machine whatever the mode: none of its bridges comes between.
        dump = evolve(read_dump(texts), may_bridge=False)
        own = own_addresses(settings)
        super().__init__(dump.rules(mode, settings.family, Facts.of(settings)), own)
        self.detector = settings.local_detector
        self.dialect = dialect_of(graph, mode)

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets."""
        return self.dialect.entry(target)

    def distinctions(self, target: Heading) -> Distinctions:
        """Return what the graph tells senders apart by."""
        return distinctions(self.dialect.settings, self.entry(target))

    def _ending(self, leaf: object) -> Ending:
        """Return how packets end; by what a virtual server chooses is told apart from it."""
        return super()._ending(leaf)[:4]  # type: ignore[arg-type]


class AccountSide:
    """A mode that is asked about one packet after the other."""

    def __init__(self, question: Question) -> None:
        settings = question.graph.settings
        self.question = question
        self.mode = question.mode.name
        self.family = settings.family
        self.own: Mapping[int, object] = own_addresses(settings)
        self.taken: Collection[int] = ()
        self.detector = settings.local_detector
        self.dialect = dialect_of(question.graph, self.mode)
        self._names = GraphNames(self.dialect)

    def names(self) -> RuleNames:
        """Return destinations and ranges that the graph names."""
        return self._names.names()

    def ports(self, address: int) -> Mapping[str, set[Span]]:
        """Return ports of the node, by protocol."""
        return self._names.ports(address)

    def entry(self, target: Heading) -> FrontendEntry | None:
        """Return the frontend that takes the packets."""
        return self.dialect.entry(target)

    def distinctions(self, target: Heading) -> Distinctions:
        """Return what the graph tells senders apart by."""
        return distinctions(self.question.graph.settings, self.entry(target))

    def flows(self, target: Heading, sources: Sources, state: str = "NEW") -> list[SideFlow]:
        """Return how packets of many senders to one destination end, asked one by one."""
        if state != "NEW" or not isinstance(sources, Senders | OwnSenders):
            return [SideFlow(sources.everybody, PASS, (1, 1))]
        return [
            SideFlow(1 << bit, _ending(each.verdict), each.chance.as_integer_ratio())
            for bit in range(sources.everybody.bit_length())
            if sources.everybody >> bit & 1
            for each in self.ends(target, sources.sender(bit))
        ]

    def ends(self, target: Heading, sender: Sender, state: str = "NEW") -> list[SideEnd]:
        """Return how one sender's packets end."""
        try:
            packet = _packet(target, sender, self.question.graph)
        except UsageError:
            return [SideEnd(Pass(), Fraction(1))]
        sums: dict[object, SideEnd] = {}
        for each in self.question.account(packet).passages:
            verdict = each.verdict
            before = sums.get(verdict)
            chance = each.probability + (before.chance if before is not None else 0)
            sums[verdict] = SideEnd(verdict, chance)
        return list(sums.values())

    def unknown(self, target: Heading, sender: Sender) -> list[RuleLine]:
        """Return nothing: a mode knows what it does."""
        return []


def _packet(target: Heading, sender: Sender, graph: RuleGraph) -> Packet:
    family = graph.settings.family
    endpoint = sender.memory.endpoint
    known: frozenset[str] = frozenset()
    if endpoint is not None:
        text = text_of(endpoint[0], family)
        known = frozenset((f"[{text}]:{endpoint[1]}" if ":" in text else f"{text}:{endpoint[1]}",))
    return Packet(
        text_of(sender.address, family),
        text_of(target.address, family),
        target.port,
        target.protocol.upper(),
        sender.interface,
        known,
    )


def _ending(verdict: object) -> Ending:
    match verdict:
        case Deliver(address, port, masquerade):
            return "deliver", number(address), port, "node" if masquerade else ""
        case Refuse(how, _):
            return (how,)
    return PASS


class _Reasons:
    """The reasons that modes give for what they do otherwise than a graph says."""

    def __init__(self, old: Question, new: Question) -> None:
        self.questions = old, new
        self.known: dict[tuple[str, str, str], KnownDifference] = {}

    def sorted_out(self, found: MeaningDiff) -> MeaningDiff:
        """Return a comparison in which what has a reason is told once for each."""
        rest = []
        for frontend in found.frontends:
            rows = tuple(row for row in frontend.senders if not self._has_reason(frontend, row))
            if rows:
                rest.append(evolve(frontend, senders=rows))
        return evolve(found, frontends=tuple(rest), known=tuple(self.known.values()))

    def _has_reason(self, frontend: FrontendChange, row: SenderChange) -> bool:
        """Return whether it is known why the packets of a row end otherwise in a mode."""
        reasons = [*self._of_no_service(frontend, row), *self._of_node_port(frontend, row)]
        if not reasons and frontend.frontend != "unknown-connections":
            reasons = list(self._reasons(row.packet))
        for mode, name, text in reasons:
            key = (mode, name, text)
            there = self.known.get(key)
            if there is None:
                self.known[key] = KnownDifference(name, text, mode, row.packet, row.ends, row.count)
            else:
                self.known[key] = evolve(there, count=there.count + row.count)
        return bool(reasons)

    def _of_no_service(
        self, frontend: FrontendChange, row: SenderChange
    ) -> Iterator[tuple[str, str, str]]:
        """Yield mode, name and text of what modes do with packets that are no Service's."""
        modes = [question.mode.name for question in self.questions]
        packet = row.packet
        if frontend.frontend == "unknown-connections" and "iptables" in modes:
            yield "iptables", "", "packets of connections that nobody knows are dropped"
        elif packet.destination.startswith("127.") and packet.interface and "iptables" in modes:
            text = "what comes from elsewhere for loopback is dropped, as node ports answer there"
            yield "iptables", "no-node-ports-on-loopback", text
        elif "ipvs" in modes and any(isinstance(end.verdict, Rewrite) for end in row.ends):
            text = "what the node sends to itself and a node port's number has its source hidden"
            if packet.destination == packet.source:
                text = "an endpoint that sends to its own address and port gets the node's address"
            yield "ipvs", "", text
        elif "userspace" in modes and self._is_no_service(packet):
            yield "userspace", "", "a proxy port takes connections on every address of the node"

    def _is_no_service(self, packet: Packet) -> bool:
        """Return whether no objects say anything of a packet."""
        return all(
            isinstance(each.verdict, Pass)
            for question in self.questions
            for each in evaluate(question.graph, packet)
        )

    def _of_node_port(
        self, frontend: FrontendChange, row: SenderChange
    ) -> Iterator[tuple[str, str, str]]:
        """Yield mode, name and text where one of the modes has node ports on fewer addresses."""
        address = row.packet.destination
        answers = [q.graph.settings.answers_node_ports(address) for q in self.questions]
        if frontend.frontend != "node-port" or answers[0] == answers[1]:
            return
        mode = self.questions[answers.index(False)].mode.name
        if address.startswith("127."):
            yield mode, "no-node-ports-on-loopback", "node ports do not answer on loopback"
        else:
            text = "node ports answer on the node's primary addresses alone"
            yield mode, "node-ports-on-primary-addresses", text

    def _reasons(self, packet: Packet) -> Iterator[tuple[str, str, str]]:
        """Yield mode, name and text of what modes say that do otherwise than their graphs."""
        for question in self.questions:
            account = question.account(packet)
            does = _sums((each.verdict, each.probability) for each in account.passages)
            should = _sums(
                (each.verdict, each.probability) for each in evaluate(question.graph, packet)
            )
            if does != should:
                for remark in account.remarks:
                    yield question.mode.name, remark.name, remark.text


def _sums(ends: Iterable[tuple[object, Fraction]]) -> dict[Ending, Fraction]:
    """Return the chances of ends."""
    found: dict[Ending, Fraction] = {}
    for verdict, chance in ends:
        end = _ending(verdict)
        found[end] = found.get(end, Fraction(0)) + chance
    return found
