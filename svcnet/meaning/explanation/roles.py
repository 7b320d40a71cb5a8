"""What rules are there for, by the objects: told by the names of chains, and by comments.

Names of chains are those of kube-proxy, so what a node of its own has is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

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
from svcnet.meaning.explanation.explanation import SourcePlace
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.sentences import endpoint_text
from svcnet.meaning.nftables.tables import is_for_services
from svcnet.netfilter.rules import target
from svcnet.renderers.iptables.names import SERVICES, TREE_PREFIX
from svcnet.words import one_of

FOREIGN = "no rule for Services: somebody else's"
"""What is told of rules of others."""

STALE = "a rule for Services, which these objects do not ask for"
"""What is told of rules in chains with names of kube-proxy's that the objects do not have."""

SERVER = "a virtual server"
"""What is told of a virtual server, and of those behind it, where there are no objects."""

_CHAIN = re.compile(r"^(?::|add chain \w+ \S+ )(\S+)", re.MULTILINE)

_SHARED = re.compile(
    r"(?:nodeport-)?(cluster|local|external|external-local)-(?:tcp|udp|sctp)-\d+(?:-\d+)?"
)
"""Chains of the flat layout, each for all Services with so many endpoints."""

_OTHER = re.compile(r"(.+-endpoints-(?:tcp|udp|sctp))-\d+")
"""A map of endpoints while it gets more room: with the new size behind its name."""


class RuleRole(NamedTuple):
    """What a rule is for: a sentence, and the service port and field that caused it."""

    told: str
    service: FragmentName | None = None
    origin: Origin | None = None
    place: SourcePlace | None = None


class RuleRoles:
    """Says of rules what they are for, by what the objects come to on the node."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._places: dict[Origin, SourcePlace | None] = {}

    def of_iptables(self, chain: str, rule: str) -> RuleRole:
        """Return what a rule is for that stands as ``-A CHAIN RULE``."""
        leads_to = target(rule)
        is_named = chain.startswith("KUBE-") or leads_to.startswith("KUBE-")
        lines = [f"-A {chain} {rule}", f":{leads_to} - [0:0]"]
        chains = {chain, leads_to}
        if chain.startswith(TREE_PREFIX) and leads_to.startswith(TREE_PREFIX):
            # In whichever layout the objects are asked for, it leads to rules of several.
            chains = {SERVICES}
        return self._of(lines, chains, is_named=is_named)

    def of_nft(self, table: str, chain: str, rule: str, leads_to: str) -> RuleRole:
        """Return what a rule of nft is for; `leads_to` is the chain that it sent the packet to."""
        lines = [f"add rule {table} {chain} {rule}\n"]
        lines += [f"add chain {table} {leads_to}\n"] if leads_to else []
        return self._of(lines, {chain, leads_to}, is_named=is_for_services(table))

    def of_element(self, table: str, container: str, element: str) -> RuleRole:
        """Return what an element of a map of nft is for."""
        container = _OTHER.sub(r"\1", container)
        value = element.removesuffix(" }").rpartition(" : ")[2]
        chain = value.partition(" ")[2]
        lines = [f"add element {table} {container} {element}\n"]
        lines += [f"add chain {table} {chain}\n"] if chain else []
        return self._of(lines, {container, chain}, is_named=is_for_services(table))

    def of_node(self, node: GraphNode, fragment: Fragment) -> RuleRole:
        """Return what a rule is for that a node of the graph made."""
        return RuleRole(_role(node, fragment), fragment.name, node.origin, self.place(node.origin))

    def of_shared(self, table: str, chain: str, leads_to: str, headed: RuleRole) -> RuleRole | None:
        """Return what a rule is for in a chain that Services share, or that leads to one.

        It is met by a packet that is `headed` for one of them. None for other chains.
        """
        if not is_for_services(table) or headed.service is None:
            return None
        found = _SHARED.fullmatch(chain)
        if found is None:
            return headed if _SHARED.fullmatch(leads_to) else None
        fragment = self.question.graph.fragments[headed.service]
        own = {"cluster": fragment.cluster, "local": fragment.local}
        node = own.get(found[1], fragment.external)
        return None if node is None else self.of_node(node, fragment)

    def of_server(self, line: str) -> RuleRole:
        """Return what a line is for that ``ipvsadm -S`` prints."""
        origin = self.question.origin_of_line(line)
        if origin is None:
            return RuleRole(f"{SERVER}, which these objects do not ask for")
        return self._of_service(origin, self.question.service_port_of_line(line))

    def place(self, origin: Origin) -> SourcePlace | None:
        """Return where a field is."""
        if origin not in self._places:
            (self._places[origin],) = self.question.locate([origin])
        return self._places[origin]

    def _of(self, lines: list[str], chains: set[str], *, is_named: bool) -> RuleRole:
        """Return what a rule is for; `lines` are it, and the chain that it leads to."""
        for line in lines:
            origin = self.question.origin_of_line(line)
            if origin is not None:
                names = map(self.question.service_port_of_line, lines)
                return self._of_service(origin, next(filter(None, names), None))
        if chains & self._chains:
            return RuleRole("a rule for packets of all Services")
        return RuleRole(STALE if is_named else FOREIGN)

    def _of_service(self, origin: Origin, name: FragmentName | None) -> RuleRole:
        """Return what a rule is for: one field may have made rules of several service ports."""
        found = self._nodes.get(origin, ())
        chosen = [pair for pair in found if name in (None, pair[0].name)]
        place = self.place(origin)
        if len(chosen) == 1:
            fragment, node = chosen[0]
            return self.of_node(node, fragment)
        service = name.service_port if name else f"{origin.namespace}/{origin.name}"
        told = f"a rule of {'Service' if name else origin.kind} {service}"
        return RuleRole(told, name, origin, place)

    @cached_property
    def _nodes(self) -> Mapping[Origin, list[tuple[Fragment, GraphNode]]]:
        """The nodes of the graph that each field makes."""
        found: dict[Origin, list[tuple[Fragment, GraphNode]]] = {}
        for fragment in self.question.graph:
            for node in fragment.nodes():
                found.setdefault(node.origin, []).append((fragment, node))
        return found

    @cached_property
    def _chains(self) -> frozenset[str]:
        """The names of all chains that the mode has."""
        return frozenset(name for text in self.question.texts() for name in _CHAIN.findall(text))


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
            return f"{one_of(len(node.targets), 'endpoint')} of {name}"
        case Translate():
            return f"the endpoint {node.id} of {name}"
        case Reject() | Drop():
            return f"{name} {node.reason}"
        case _:
            return f"the health check of {name}"
