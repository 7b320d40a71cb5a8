"""A picture: the nodes of a packet's ways, each in a column, from frontends to ends."""

from __future__ import annotations

from typing import Any

from svcnet.graph import (
    Balance,
    Deliver,
    Dispatch,
    External,
    Firewall,
    Fragment,
    Pass,
    Refuse,
    Translate,
)
from svcnet.graph.nodes import GraphNode
from svcnet.meaning.explanation.sentences import endpoint_text, source_text
from svcnet.meaning.outcome import FoundVerdict, Redirect, Rewrite, Unknown
from svcnet.page.surroundings import Surroundings
from svcnet.words import list_some

_FRONTENDS = {
    "cluster-ip": "cluster IP",
    "external-ip": "external IP",
    "load-balancer": "load balancer",
    "node-port": "node port",
}
_COLUMNS = {"firewall": "Who may", "policy": "Traffic policy", "choice": "Which one"}
_MOST_RANGES = 3


class Picture:
    """The nodes of one service port, or of one packet by rules, while they are put together.

    A node is meant by its number. ``frontends`` are the numbers of those that can be asked.
    """

    def __init__(self, surroundings: Surroundings, fragment: Fragment | None = None) -> None:
        self._surroundings = surroundings
        self._numbers: dict[str, int] = {}
        self._columns: dict[str, str] = {}
        self._nodes: list[dict[str, Any]] = []
        self._protocol = fragment.name.protocol if fragment else ""
        self.frontends: list[int] = []
        self.cells: list[dict[str, Any]] = []
        self.differences: list[dict[str, Any]] = []
        if fragment is not None:
            self.frontends += map(self.node, fragment.dispatches)
            for endpoint in fragment.translates:
                self._endpoint(endpoint)

    def document(self) -> dict[str, Any]:
        """Return the nodes, the columns between frontends and ends, and what becomes of packets."""
        columns = _COLUMNS | self._columns
        there = {node["column"] for node in self._nodes}
        return {
            "nodes": self._nodes,
            "columns": [(name, title) for name, title in columns.items() if name in there],
            "frontends": self.frontends,
            "cells": self.cells,
            "differences": self.differences,
        }

    def add_asked(self, where: str, note: str) -> int:
        """Return the number of a destination that is asked for, whether or not it is a frontend."""
        number = self._add(f"asked {where}", "frontend", where, note)
        self.frontends = [number]
        return number

    def other(self, where: str) -> int:
        """Return the number of what is asked for and is none of the frontends."""
        number = self._add(f"asked {where}", "frontend", where, "no frontend")
        if number not in self.frontends:
            self.frontends.append(number)
        return number

    def node(self, node: GraphNode) -> int:
        """Return the number of a node of the graph that decides."""
        known = self._numbers.get(node.id)
        if known is not None:
            return known
        column, title, note = _describe(node, self._protocol)
        return self._add(node.id, column, title, note)

    def step(self, depth: int, text: str) -> int:
        """Return the number of a step of which no node of a graph is known, so deep in the way."""
        self._columns[f"step-{depth}"] = f"Step {depth}"
        return self._add(f"step {depth} {text}", f"step-{depth}", text, "")

    def end(self, verdict: FoundVerdict) -> int:
        """Return the number of where packets end."""
        match verdict:
            case Deliver(address, port, _):
                return self._end(endpoint_text(address, port), "")
            case Refuse(how, reason):
                return self._end("refused" if how == "reject" else "dropped", reason)
            case Pass():
                return self._end("left alone", "goes on as it is")
            case Rewrite(source, address, port):
                where = endpoint_text(address, port) if address else "goes on"
                return self._end(where, f"the source becomes {source_text(source)}")
            case Redirect(port, source):
                note = f"the source becomes {source_text(source)}"
                return self._end(f"port {port}", note if source else "of the machine itself")
            case Unknown(rules):
                return self._end("nobody can say", "not understood" if rules else "nobody said")

    def _end(self, title: str, note: str) -> int:
        is_place = title[:1] in "[0123456789"
        key = f"end {title}" if is_place else f"end {title} {note}"
        return self._add(key, "end", title, note)

    def _endpoint(self, endpoint: Translate) -> None:
        note = self._surroundings.owner(endpoint)
        here = "on this node" if endpoint.local else ""
        self._end(endpoint_text(endpoint.address, endpoint.port), note or here)

    def _add(self, key: str, column: str, title: str, note: str) -> int:
        number = self._numbers.setdefault(key, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append({"column": column, "title": title, "note": note})
        return number


def _describe(node: GraphNode, protocol: str) -> tuple[str, str, str]:
    """Return the column of a node, what it is, and a note."""
    match node:
        case Dispatch():
            where = endpoint_text(node.address or "*", node.port)
            return "frontend", where, f"{_FRONTENDS[node.frontend]}, {protocol}"
        case Firewall():
            return "firewall", "source ranges", list_some(node.ranges, _MOST_RANGES)
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
