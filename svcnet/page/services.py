"""What a page tells of one Service: its frontends, its ways, and what carries them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from svcnet.graph import (
    Balance,
    Deliver,
    Dispatch,
    Drop,
    External,
    Firewall,
    Fragment,
    Origin,
    Packet,
    Pass,
    Refuse,
    Reject,
    Translate,
)
from svcnet.graph.evaluate import Verdict
from svcnet.graph.nodes import GraphNode
from svcnet.meaning.explanation.account import Account, Passage, Stage
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sentences import endpoint_text, sentence
from svcnet.meaning.explanation.text import verdict_text
from svcnet.models import Service
from svcnet.page.numbers import Numbers
from svcnet.page.surroundings import Surroundings

PacketsToAsk: TypeAlias = Iterable[tuple[Dispatch, str, Packet]]
"""Packets for frontends of a service port, each with who sends it."""

_FRONTENDS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "load balancer",
    "node-port": "node port",
}
_MOST_RANGES = 3


class ServicePage:
    """What is told of one Service, while it is put together.

    Steps, lines of rules and places are told once each, and meant by their numbers.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._steps: Numbers[tuple[int, str, int, tuple[int, ...]]] = Numbers()
        self._lines: Numbers[tuple[str, str]] = Numbers()
        self._places: Numbers[Origin] = Numbers()
        self._parts: list[dict[str, Any]] = []

    def add(self, question: Question, fragment: Fragment | None, asked: PacketsToAsk) -> None:
        """Add a service port as the question's node sees it, with what becomes of packets."""
        part = _Part(fragment, self._surroundings)
        for dispatch, kind, packet in asked:
            account = question.account(packet)
            part.cells.append(self._cell(part, dispatch, kind, packet, account))
        name = fragment.name if fragment is not None else None
        self._parts.append(
            {
                "port": name.port_name if name else "",
                "protocol": name.protocol if name else "",
                "family": question.view.family,
                "nodes": part.nodes,
                "frontends": part.frontends,
                "cells": part.cells,
            }
        )

    def document(self) -> dict[str, Any]:
        """Return all that was added."""
        return {
            "parts": self._parts,
            "steps": self._steps.values,
            "lines": self._lines.values,
            "places": [self._surroundings.place(each) for each in self._places.values],
        }

    def _cell(
        self, part: _Part, dispatch: Dispatch | None, kind: str, packet: Packet, account: Account
    ) -> dict[str, Any]:
        where = endpoint_text(packet.destination, packet.port)
        through = f" by {packet.interface}" if packet.interface else ""
        ends = [(each.verdict, each.probability) for each in account.passages]
        return {
            "frontend": part.frontend(dispatch, f"{where}/{packet.protocol}"),
            "sender": kind,
            "source": f"{packet.source}{through}",
            "asked": f"{where}/{packet.protocol}",
            "verdict": verdict_text(ends),
            "choice": account.choice,
            "remarks": [each.text for each in account.remarks],
            "ways": [self._way(part, each, packet) for each in account.passages],
        }

    def _way(self, part: _Part, passage: Passage, packet: Packet) -> dict[str, Any]:
        end = part.end(passage)
        exact = float(passage.probability)
        return {
            "end": end,
            "chance": str(passage.probability),
            "share": round(exact, 6),
            "kernel": "" if passage.kernel == exact else f"{passage.kernel:.11f}",
            "how": _how(passage.verdict),
            "steps": [self._step(part, each, passage, packet, end) for each in passage.stages],
        }

    def _step(self, part: _Part, stage: Stage, passage: Passage, packet: Packet, end: int) -> int:
        lines = tuple([self._lines.of((line.tool, line.text)) for line in stage.lines])
        if stage.decision is None or passage.fragment is None:
            return self._steps.of((-1, stage.text, -1, lines))
        node = stage.decision.node
        place = self._places.of(node.origin)
        text = sentence(stage.decision, passage.fragment, packet)
        number = end if isinstance(node, Translate | Reject | Drop) else part.node(node)
        return self._steps.of((number, text, place, lines))


class _Part:
    """The picture of one service port: its nodes, each in a column."""

    def __init__(self, fragment: Fragment | None, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._numbers: dict[str, int] = {}
        self.nodes: list[dict[str, Any]] = []
        self.frontends: list[int] = []
        self.cells: list[dict[str, Any]] = []
        self._protocol = fragment.name.protocol if fragment else ""
        for dispatch in fragment.dispatches if fragment else ():
            self.frontends.append(self.node(dispatch))
        for endpoint in fragment.translates if fragment else ():
            self._endpoint(endpoint)

    def frontend(self, dispatch: Dispatch | None, where: str) -> int:
        """Return the number of a frontend; what is none has one all the same."""
        if dispatch is not None:
            return self.node(dispatch)
        number = self._add(f"asked {where}", "frontend", where, "no Service's")
        self.frontends.append(number)
        return number

    def node(self, node: GraphNode) -> int:
        """Return the number of a node of the graph that decides."""
        known = self._numbers.get(node.id)
        if known is not None:
            return known
        column, title, note = _told(node, self._protocol)
        return self._add(node.id, column, title, note)

    def end(self, passage: Passage) -> int:
        """Return the number of where packets end."""
        match passage.verdict:
            case Deliver(address, port, _):
                text = endpoint_text(address, port)
                return self._add(f"end {text}", "end", text, "")
            case Refuse(how, reason):
                title = "refused" if how == "reject" else "dropped"
                return self._add(f"{how} {reason}", "end", title, reason)
            case Pass():
                return self._add("pass", "end", "left alone", "no Service's")

    def _endpoint(self, endpoint: Translate) -> None:
        text = endpoint_text(endpoint.address, endpoint.port)
        note = self._surroundings.owner(endpoint)
        self._add(f"end {text}", "end", text, note or ("on this node" if endpoint.local else ""))

    def _add(self, key: str, column: str, title: str, note: str) -> int:
        number = self._numbers.setdefault(key, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append({"column": column, "title": title, "note": note})
        return number


def _told(node: GraphNode, protocol: str) -> tuple[str, str, str]:
    """Return the column of a node, what it is, and a note."""
    match node:
        case Dispatch():
            where = endpoint_text(node.address or "*", node.port)
            return "frontend", where, f"{_FRONTENDS[node.frontend]}, {protocol}"
        case Firewall():
            more = len(node.ranges) - _MOST_RANGES
            ranges = ", ".join(node.ranges[:_MOST_RANGES])
            return "firewall", "source ranges", f"{ranges} and {more} more" if more > 0 else ranges
        case External():
            if node.keep_source:
                return "policy", "policy Local", "keeps the source; endpoints of this node only"
            return "policy", "policy Cluster", "hides the source; every endpoint will do"
        case Balance():
            return "choice", _choice(node), _stay(node)
        case _:
            return "end", node.id, ""


def _choice(node: Balance) -> str:
    count = len(node.targets)
    here = " on this node" if node.id == "local" else ""
    return f"one of {count}{here}" if count > 1 else f"the one endpoint{here}"


def _stay(node: Balance) -> str:
    return f"a client stays for {node.affinity:,} s" if node.affinity else "each as likely"


def _how(verdict: Verdict) -> str:
    match verdict:
        case Deliver(_, _, masquerade):
            return "source hidden" if masquerade else "source kept"
        case Refuse(_, reason):
            return reason
        case Pass():
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
