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
    Dispatch,
    Fragment,
    FragmentName,
    Origin,
    Translate,
)
from svcnet.graph.packet import PROTOCOLS
from svcnet.meaning.explanation.explanation import SourcePlace, source_of
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.roles import RuleRole, RuleRoles
from svcnet.meaning.explanation.sentences import endpoint_text

_NFT = re.compile(r"trace id (\w+) (\w+) (\S+) (\S+) (packet:|rule|verdict|policy)\s?(.*)")
_NFT_RULE = re.compile(r"(.*) \(verdict ([^()]*)\)")
_XT = re.compile(r"TRACE: \d+ (\w+) (\w+):([^:\s]+):(rule|return|policy)\S*\s*(.*)")
_XT_PACKET = re.compile(r"PACKET: \d+ (\w+) (.*)")
_XT_RULE = re.compile(r"(?:-[46] )?-t \w+ -A (\S+) ?(.*)")
_NFT_HEAD = re.compile(r"\bip6? daddr (\S+) .*?\b(tcp|udp|sctp) (?:sport \d+ \2 )?dport (\d+)")
MOST_PACKETS = 1024
"""So many packets are remembered while others are traced between their lines."""

_XT_HEAD = re.compile(r"\bDST=(\S+) .*\bDPORT=(\d+)")


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
        self._roles = RuleRoles(question)
        # Where the last packets are headed, by the numbers that traces give them.
        self._headed: dict[str, RuleRole] = {}

    def read(self, line: str) -> TraceLine:
        """Return what a line tells of; one that is of no trace is told as that."""
        text = line.strip()
        if found := _NFT.match(text):
            packet, family, table, chain, kind, rest = found.groups()
            if kind == "packet:":
                return self._explain_head(text, _NFT_HEAD.search(rest), packet)
            if kind == "rule":
                return self._nft_rule(text, packet, f"{family} {table}", chain, rest)
            return TraceLine(text)
        if found := _XT_PACKET.match(text):
            return self._explain_head(text, _XT_HEAD.search(found[2]))
        if found := _XT.match(text):
            rule = _XT_RULE.match(found[5]) if found[4] == "rule" else None
            if rule is None:
                return TraceLine(text)
            return self._explain_line(text, self._roles.of_iptables(rule[1], rule[2]))
        return TraceLine(text, "this is no line of a trace" if text else "")

    def _nft_rule(self, text: str, packet: str, table: str, chain: str, rest: str) -> TraceLine:
        found = _NFT_RULE.fullmatch(rest)
        rule, verdict = found.groups() if found else (rest, "")
        leads_to = verdict.partition(" ")[2]
        role = self._roles.of_nft(table, chain, rule, leads_to)
        headed = self._headed.get(packet)
        if role.service is None and headed is not None:
            role = self._roles.of_shared(table, chain, leads_to, headed) or role
        return self._explain_line(text, role)

    def _note(self, packet: str, role: RuleRole) -> None:
        """Note where a packet is headed."""
        self._headed.pop(packet, None)
        self._headed[packet] = role
        if len(self._headed) > MOST_PACKETS:
            del self._headed[next(iter(self._headed))]

    def _explain_line(self, text: str, role: RuleRole) -> TraceLine:
        return TraceLine(text, role.told, role.service, role.origin, role.place)

    def _explain_head(self, text: str, found: re.Match[str] | None, packet: str = "") -> TraceLine:
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
                self._note(packet, self._roles.of_node(dispatch, fragment))
                told = f"headed for {where}, which is {fragment.name.service_port}'s"
                return self._locate_line(text, told, fragment.name, dispatch.origin)
            endpoint = self._endpoints.get((address, number, protocol))
            if endpoint is not None:
                fragment, node = endpoint
                told = f"headed for {where}, an endpoint of {fragment.name.service_port}"
                return self._locate_line(text, told, fragment.name, node.origin)
        return TraceLine(text, f"headed for {where}, which is no Service's")

    def _frontends(
        self, address: str, protocol: str, port: int
    ) -> Iterator[tuple[Fragment, Dispatch]]:
        graph = self.question.graph
        yield from graph.frontends.get((address, protocol, port), ())
        if graph.settings.is_node_address(address) and graph.settings.answers_node_ports(address):
            yield from graph.frontends.get(("", protocol, port), ())

    def _locate_line(
        self, text: str, told: str, name: FragmentName | None, origin: Origin
    ) -> TraceLine:
        return TraceLine(text, told, name, origin, self._roles.place(origin))

    @cached_property
    def _endpoints(self) -> Mapping[tuple[str, int, str], tuple[Fragment, Translate]]:
        return {
            (node.address, node.port, fragment.name.protocol): (fragment, node)
            for fragment in self.question.graph
            for node in fragment.translates
        }
