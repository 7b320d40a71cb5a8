"""What ``nft monitor trace`` and ``xtables-monitor -t`` tell of packets, line by line: and why.

Names of chains are those of kube-proxy, so what a node of its own traces is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import field, frozen

from svcnet.addresses import canonical_address, is_address
from svcnet.graph import (
    Balance,
    Dispatch,
    Drop,
    External,
    Firewall,
    Fragment,
    FragmentName,
    GraphNode,
    Origin,
    Reject,
    Translate,
)
from svcnet.graph.packet import PROTOCOLS
from svcnet.meaning.explanation.explanation import SourcePlace, source_of
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.netfilter.rules import target

_NFT = re.compile(r"trace id (\w+) (\w+) (\S+) (\S+) (packet:|rule|verdict|policy)\s?(.*)")
_NFT_RULE = re.compile(r"(.*) \(verdict ([^()]*)\)")
_XT = re.compile(r"TRACE: \d+ (\w+) (\w+):([^:\s]+):(rule|return|policy)\S*\s*(.*)")
_XT_PACKET = re.compile(r"PACKET: \d+ (\w+) (.*)")
_XT_RULE = re.compile(r"(?:-[46] )?-t \w+ -A (\S+) ?(.*)")
_NFT_HEAD = re.compile(r"\bip6? daddr (\S+) .*?\b(tcp|udp|sctp) (?:sport \d+ \2 )?dport (\d+)")
_XT_HEAD = re.compile(r"\bDST=(\S+) .*\bDPORT=(\d+)")

_CHAIN = re.compile(r"^(?::|add chain \w+ \S+ )(\S+)", re.MULTILINE)


@frozen
class TraceLine:
    """A line of a trace, and what it tells of.

    ``told`` says that in a sentence, empty for a line that says nothing of rules. ``origin`` is the
    field that caused the rule, or that has the address that the packet is headed for.
    """

    text: str
    told: str = ""
    service: FragmentName | None = None
    origin: Origin | None = None
    place: SourcePlace | None = field(default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``line``, ``decision``, ``service``, ``field`` and ``source``."""
        origin = self.origin
        return {
            "line": self.text,
            "decision": self.told or None,
            "service": None if self.service is None else str(self.service),
            "field": None if origin is None else origin.path,
            "source": None if origin is None else source_of(origin, self.place),
        }


def is_of_trace(line: str) -> bool:
    """Return whether a line is one that the two tools print of a packet."""
    text = line.strip()
    return any(form.match(text) for form in (_NFT, _XT, _XT_PACKET))


class TraceReading:
    """Reads lines of traces by what the objects come to on the node."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._places: dict[Origin, SourcePlace | None] = {}

    def read(self, line: str) -> TraceLine:
        """Return what a line tells of; one that is of no trace is told as that."""
        text = line.strip()
        if found := _NFT.match(text):
            _, family, table, chain, kind, rest = found.groups()
            if kind == "packet:":
                return self._headed(text, _NFT_HEAD.search(rest))
            if kind == "rule":
                return self._nft_rule(text, f"{family} {table}", chain, rest)
            return TraceLine(text)
        if found := _XT_PACKET.match(text):
            return self._headed(text, _XT_HEAD.search(found[2]))
        if found := _XT.match(text):
            rule = _XT_RULE.match(found[5]) if found[4] == "rule" else None
            return TraceLine(text) if rule is None else self._xt_rule(text, rule[1], rule[2])
        return TraceLine(text, "this is no line of a trace" if text else "")

    def _nft_rule(self, text: str, table: str, chain: str, rest: str) -> TraceLine:
        found = _NFT_RULE.fullmatch(rest)
        rule, verdict = found.groups() if found else (rest, "")
        _, _, leads_to = verdict.partition(" ")
        lines = [f"add rule {table} {chain} {rule}\n"]
        lines += [f"add chain {table} {leads_to}\n"] if leads_to else []
        return self._caused(text, lines, {chain, leads_to})

    def _xt_rule(self, text: str, chain: str, rule: str) -> TraceLine:
        leads_to = target(rule)
        lines = [f"-A {chain} {rule}", f":{leads_to} - [0:0]"]
        return self._caused(text, lines, {chain, leads_to})

    def _caused(self, text: str, lines: list[str], chains: set[str]) -> TraceLine:
        """Return what caused a rule; `lines` are it, and the chain that it leads to."""
        for line in lines:
            origin = self.question.origin_of_line(line)
            if origin is not None:
                return self._of_service(text, origin, self.question.service_port_of_line(line))
        if chains & self._chains:
            return TraceLine(text, "a rule for packets of all Services")
        return TraceLine(text, "no rule for Services: somebody else's")

    def _of_service(self, text: str, origin: Origin, name: FragmentName | None) -> TraceLine:
        """Return what a rule is for: one field may have made rules of several service ports."""
        found = self._nodes.get(origin, ())
        chosen = [pair for pair in found if name in (None, pair[0].name)]
        if len(chosen) == 1:
            fragment, node = chosen[0]
            return self._located(text, _role(node, fragment), fragment.name, origin)
        service = name.service_port if name else f"{origin.namespace}/{origin.name}"
        told = f"a rule of {'Service' if name else origin.kind} {service}"
        return self._located(text, told, name, origin)

    def _headed(self, text: str, found: re.Match[str] | None) -> TraceLine:
        """Return whose a packet's destination is."""
        if found is None:
            return TraceLine(text)
        groups = [group for group in found.groups() if group]
        address, port = groups[0], groups[-1]
        if not is_address(address) or len(port) > len("65535"):
            return TraceLine(text)
        address, number = canonical_address(address), int(port)
        named = [each.upper() for each in groups[1:-1] if each.upper() in PROTOCOLS]
        where = endpoint_text(address, number)
        for protocol in named or PROTOCOLS:
            for fragment, dispatch in self._frontends(address, protocol, number):
                told = f"headed for {where}, which is {fragment.name.service_port}'s"
                return self._located(text, told, fragment.name, dispatch.origin)
            endpoint = self._endpoints.get((address, number, protocol))
            if endpoint is not None:
                fragment, node = endpoint
                told = f"headed for {where}, an endpoint of {fragment.name.service_port}"
                return self._located(text, told, fragment.name, node.origin)
        return TraceLine(text, f"headed for {where}, which is no Service's")

    def _frontends(
        self, address: str, protocol: str, port: int
    ) -> Iterator[tuple[Fragment, Dispatch]]:
        graph = self.question.graph
        yield from graph.frontends.get((address, protocol, port), ())
        if graph.settings.is_node_address(address) and graph.settings.answers_node_ports(address):
            yield from graph.frontends.get(("", protocol, port), ())

    def _located(
        self, text: str, told: str, name: FragmentName | None, origin: Origin
    ) -> TraceLine:
        if origin not in self._places:
            (self._places[origin],) = self.question.locate([origin])
        return TraceLine(text, told, name, origin, self._places[origin])

    @cached_property
    def _nodes(self) -> Mapping[Origin, list[tuple[Fragment, GraphNode]]]:
        """The nodes of the graph that each field makes."""
        found: dict[Origin, list[tuple[Fragment, GraphNode]]] = {}
        for fragment in self.question.graph:
            for node in fragment.nodes():
                found.setdefault(node.origin, []).append((fragment, node))
        return found

    @cached_property
    def _endpoints(self) -> Mapping[tuple[str, int, str], tuple[Fragment, Translate]]:
        return {
            (node.address, node.port, fragment.name.protocol): (fragment, node)
            for fragment in self.question.graph
            for node in fragment.translates
        }

    @cached_property
    def _chains(self) -> frozenset[str]:
        """The names of all chains that the mode has."""
        return frozenset(_CHAIN.findall(self.question.text()))


def _role(node: GraphNode, fragment: Fragment) -> str:
    """Return what a node of the graph is there for, whatever the packet."""
    name = fragment.name.service_port
    match node:
        case Dispatch(frontend="node-port"):
            return f"port {node.port} of this node leads to {name}"
        case Dispatch():
            return f"{endpoint_text(node.address, node.port)} leads to {name}"
        case Firewall():
            return f"who may use the load balancer's address of {name}"
        case External():
            return f"what traffic from outside gets of {name}"
        case Balance():
            return f"one of {len(node.targets)} endpoints of {name}"
        case Translate():
            return f"the endpoint {node.id} of {name}"
        case Reject() | Drop():
            return f"{name} {node.reason}"
        case _:
            return f"the health check of {name}"
