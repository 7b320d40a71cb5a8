"""What a page tells of one Service: its frontends, its ways, and what carries them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from svcnet.graph import (
    Deliver,
    Dispatch,
    Drop,
    Fragment,
    Origin,
    Outcome,
    Packet,
    Refuse,
    Reject,
    Translate,
)
from svcnet.meaning.comparison.difference import KINDS, PacketDifference
from svcnet.meaning.comparison.report import packet_text
from svcnet.meaning.explanation.account import Account, ModeLine, Passage, Stage
from svcnet.meaning.explanation.explanation import Explanation, WayStep
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sentences import endpoint_text, sentence
from svcnet.meaning.explanation.text import merge_ends, passage_text, verdict_text
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, RuleLine
from svcnet.models import Service
from svcnet.page.numbers import Numbers
from svcnet.page.picture import Picture
from svcnet.page.surroundings import Surroundings

PacketsToAsk: TypeAlias = Iterable[tuple[Dispatch, str, Packet]]
"""Packets for frontends of a service port, each with who sends it."""


class ServicePage:
    """What is told of one Service, or of one packet, while it is put together.

    Steps, lines of rules and places are told once each, and meant by their numbers.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._steps: Numbers[tuple[int, str, int, tuple[int, ...]]] = Numbers()
        self._lines: Numbers[tuple[str, str, str]] = Numbers()
        self._places: Numbers[Origin] = Numbers()
        self._parts: list[dict[str, Any]] = []

    def add(
        self,
        question: Question,
        fragment: Fragment,
        asked: PacketsToAsk,
        differences: Iterable[PacketDifference] = (),
    ) -> None:
        """Add a service port as the question's node sees it, with what becomes of packets.

        `differences` are in what a machine does something else with them.
        """
        picture = Picture(self._surroundings, fragment)
        for dispatch, who, packet in asked:
            account = question.account(packet)
            self._account(picture, picture.node(dispatch), who, packet, account)
        for difference in differences:
            picture.differences.append(self._difference(picture, fragment, difference))
        self._part(picture, packet_family=question.view.family, fragment=fragment)

    def add_packet(self, who: str, packet: Packet, account: Account) -> None:
        """Add one packet, with what becomes of it in a mode."""
        first = account.passages[0]
        picture = Picture(self._surroundings, first.fragment)
        stage = first.stages[0].decision if first.stages else None
        if stage is not None and isinstance(stage.node, Dispatch):
            frontend = picture.node(stage.node)
            picture.frontends = [frontend]
        else:
            frontend = picture.add_asked(_ask_text(packet), "no Service's")
        self._account(picture, frontend, who, packet, account)
        self._part(picture, packet_family=packet.family, fragment=first.fragment)

    def add_explanation(self, who: str, found: Explanation) -> None:
        """Add one packet, with what becomes of it by rules of a machine."""
        picture = Picture(self._surroundings)
        frontend = picture.add_asked(_ask_text(found.packet), "by rules that are there")
        ends = [(end.verdict, end.probability) for end in found.outcomes]
        cell = _cell(frontend, who, found.packet, verdict_text(ends, passage_text(found)))
        cell["choice"] = found.choice
        for end in found.outcomes:
            number = picture.end(end.verdict)
            steps = [self._add_way(picture, at, each) for at, each in enumerate(end.steps, 1)]
            way = _way(number, end.verdict, end.probability, end.kernel, steps)
            cell["ways"].append(way)
        picture.cells.append(cell)
        self._part(picture, packet_family=found.packet.family, fragment=None)

    def document(self) -> dict[str, Any]:
        """Return all that was added."""
        return {
            "parts": self._parts,
            "steps": self._steps.values,
            "lines": self._lines.values,
            "places": [self._surroundings.place(each) for each in self._places.values],
        }

    def _part(self, picture: Picture, packet_family: str, fragment: Fragment | None) -> None:
        name = fragment.name if fragment is not None else None
        told = {
            "port": name.port_name if name else "",
            "protocol": name.protocol if name else "",
            "family": packet_family,
        }
        self._parts.append({**told, **picture.document()})

    def _account(
        self, picture: Picture, frontend: int, who: str, packet: Packet, account: Account
    ) -> None:
        ends = [(each.verdict, each.probability) for each in account.passages]
        cell = _cell(frontend, who, packet, verdict_text(ends))
        cell["choice"] = account.choice
        cell["remarks"] = [each.text for each in account.remarks]
        for each in account.passages:
            end = picture.end(each.verdict)
            steps = [self._step(picture, stage, each, packet, end) for stage in each.stages]
            cell["ways"].append(_way(end, each.verdict, each.probability, each.kernel, steps))
        picture.cells.append(cell)

    def _difference(
        self, picture: Picture, fragment: Fragment, each: PacketDifference
    ) -> dict[str, Any]:
        """Return how packets should end and how they do, each end with its chance."""
        ways = [end.path[1:] for end in each.wanted if len(end.path) > 1]
        nodes = [[fragment.node(name) for name in path] for path in ways]
        decisions = [
            [picture.node(node) for node in path if not isinstance(node, Translate | Reject | Drop)]
            for path in nodes
        ]
        rules = [ModeLine(r.table, _rule(r), r.file, r.line) for r in each.rules]
        return {
            "kind": each.kind,
            "means": KINDS[each.kind],
            "packet": packet_text(each.packet, each.age),
            "source": each.packet.source,
            "frontend": _frontend(picture, fragment, each.packet),
            "wanted": _ends(picture, each.wanted),
            "found": _ends(picture, each.found),
            "ways": [*map(list, dict.fromkeys(map(tuple, decisions)))],
            "place": -1 if each.field is None else self._places.of(each.field),
            "lines": self._line_numbers(rules),
        }

    def _step(
        self, picture: Picture, stage: Stage, passage: Passage, packet: Packet, end: int
    ) -> int:
        lines = self._line_numbers(stage.lines)
        if stage.decision is None or passage.fragment is None:
            return self._steps.of((-1, stage.text, -1, lines))
        node = stage.decision.node
        text = sentence(stage.decision, passage.fragment, packet)
        number = end if isinstance(node, Translate | Reject | Drop) else picture.node(node)
        return self._steps.of((number, text, self._places.of(node.origin), lines))

    def _add_way(self, picture: Picture, depth: int, step: WayStep) -> int:
        number = picture.step(depth, step.decision)
        place = -1 if step.origin is None else self._places.of(step.origin)
        return self._steps.of((number, step.decision, place, self._line_numbers(step.lines)))

    def _line_numbers(self, lines: Iterable[ModeLine]) -> tuple[int, ...]:
        found = []
        for line in lines:
            place = f"{line.file}:{line.line}" if line.file and line.line else ""
            found.append(self._lines.of((line.tool, line.text, place)))
        return tuple(found)


def _frontend(picture: Picture, fragment: Fragment, packet: Packet) -> int:
    """Return the number of the frontend that a packet asks for."""
    at = (packet.destination, packet.port)
    exact = [each for each in fragment.dispatches if (each.address, each.port) == at]
    anywhere = [
        each for each in fragment.dispatches if ("", packet.port) == (each.address, each.port)
    ]
    for each in (*exact, *anywhere):
        return picture.node(each)
    return picture.other(_ask_text(packet))


def _ends(
    picture: Picture, outcomes: Iterable[Outcome | FoundOutcome]
) -> list[tuple[int, str, float, str]]:
    """Return where packets end: the end's number, its chance as text and number, and how."""
    found = merge_ends((each.verdict, each.probability) for each in outcomes)
    return [(picture.end(v), str(p), round(float(p), 6), _how(v)) for v, p in found]


def _rule(rule: RuleLine) -> str:
    return f"-A {rule.chain} {rule.text}" if rule.chain else rule.text


def _ask_text(packet: Packet) -> str:
    return f"{endpoint_text(packet.destination, packet.port)}/{packet.protocol}"


def _cell(frontend: int, who: str, packet: Packet, verdict: str) -> dict[str, Any]:
    """Return what becomes of a packet, without the ways that it may go."""
    through = f" by {packet.interface}" if packet.interface else ""
    return {
        "frontend": frontend,
        "sender": who,
        "source": f"{packet.source}{through}",
        "asked": _ask_text(packet),
        "verdict": verdict,
        "choice": "",
        "remarks": [],
        "ways": [],
    }


def _way(
    end: int, verdict: FoundVerdict, chance: Fraction, kernel: float, steps: list[int]
) -> dict[str, Any]:
    exact = float(chance)
    return {
        "end": end,
        "chance": str(chance),
        "share": round(exact, 6),
        "kernel": "" if kernel == exact else f"{kernel:.11f}",
        "how": _how(verdict),
        "steps": steps,
    }


def _how(verdict: FoundVerdict) -> str:
    match verdict:
        case Deliver(_, _, masquerade):
            return "source hidden" if masquerade else "source kept"
        case Refuse(_, reason):
            return reason
        case _:
            return ""


def facts(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what a Service says of itself, in a word or two each."""
    yield "Type", service.type
    for title, found in _lists(service).items():
        if found:
            yield title, ", ".join(found)
    if service.session_affinity != "None":
        yield "Session affinity", f"{service.session_affinity_timeout:,} s"
    if service.internal_traffic_policy != "Cluster":
        yield "Internal traffic policy", service.internal_traffic_policy
    if service.external_traffic_policy != "Cluster":
        yield "External traffic policy", service.external_traffic_policy


def _lists(service: Service) -> Mapping[str, list[str]]:
    return {
        "Cluster IP": list(service.cluster_ips),
        "External IP": list(service.external_ips),
        "Load balancer": [each.ip for each in service.load_balancer_ingress if each.ip],
        "Stands for": [service.external_name] if service.external_name else [],
        "Ports": [_port(each.name, each.port, each.protocol) for each in service.ports],
        "Selector": [f"{key}={value}" for key, value in sorted(service.selector.items())],
    }


def _port(name: str, port: int, protocol: str) -> str:
    return f"{name} {port}/{protocol}" if name else f"{port}/{protocol}"


def without_rules(service: Service) -> str:
    """Return why nodes have no rules for a Service."""
    if service.type == "ExternalName":
        return f"It stands for the name {service.external_name}: nodes have no rules for it."
    if not service.has_rules:
        return "A label leaves it to another proxy: nodes have no rules for it here."
    if service.is_headless:
        return "It is headless: names lead to its endpoints themselves, and nodes have no rules."
    if not service.ports:
        return "It has no port, so there is nothing to ask for."
    return "It has no cluster IP of a family that this node serves."
