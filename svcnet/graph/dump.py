"""The canonical text of a graph: one line a node, the same bytes for equal graphs."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import asdict

from svcnet.graph.fragment import Fragment, Policy
from svcnet.graph.nodes import (
    Accept,
    Balance,
    Dispatch,
    Drop,
    External,
    Firewall,
    GraphNode,
    Reject,
    Translate,
)
from svcnet.graph.rule_graph import RuleGraph
from svcnet.graph.settings import IPVSSettings, LocalDetector, NodeSettings


def dump(graph: RuleGraph) -> str:
    """Return the text: the node's settings, then each fragment with its nodes and origins."""
    return "".join([*_settings(graph.settings), *(line for f in graph for line in _fragment(f))])


def _settings(settings: NodeSettings) -> Iterator[str]:
    yield f"node {settings.node_name or '-'} {settings.family}\n"
    for key, value in asdict(settings, recurse=False).items():
        if key not in ("node_name", "family"):
            yield f"  {key} {_value(key, value)}\n"


def _value(key: str, value: object) -> str:
    if key == "masquerade_mark":
        return f"{value:#010x}"
    if isinstance(value, tuple):
        return " ".join(value) or "-"
    if value is None:
        return "any"
    if isinstance(value, IPVSSettings):
        return _ipvs(value)
    if isinstance(value, LocalDetector):
        return f"{value.kind} {value.value}".rstrip()
    return str(value).lower() if isinstance(value, bool) else str(value) or "-"


def _ipvs(settings: IPVSSettings) -> str:
    parts = [
        f"scheduler {settings.scheduler}",
        "strict-arp" if settings.strict_arp else "",
        f"exclude {' '.join(settings.exclude_cidrs)}" if settings.exclude_cidrs else "",
        f"timeouts {' '.join(map(str, settings.timeouts))}" if any(settings.timeouts) else "",
    ]
    return " ".join(filter(None, parts))


def _fragment(fragment: Fragment) -> Iterator[str]:
    yield f"service-port {fragment.name} endpoints {fragment.endpoint_count}\n"
    for node in fragment.nodes():
        field = "endpoints" if isinstance(node, Translate) else node.origin.path
        yield f"  {describe(node)}    # {fragment.name.service_port} {field}\n"
    if fragment.policy != Policy():
        yield f"  asks for {_policy(fragment.policy)}\n"
    shown = {(node.address, node.port) for node in fragment.translates if node.local}
    for address, port, ready, _, _ in fragment.local_endpoints:
        if not ready or (address, port) not in shown:
            yield f"  on this node {address} port {port}{'' if ready else ' not ready'}\n"
    for address, port in fragment.unused:
        yield f"  unused {address} port {port}\n"


def _policy(policy: Policy) -> str:
    parts = [
        f"affinity {policy.affinity}s" if policy.affinity else "",
        "local endpoints for outside traffic" if policy.external_local else "",
        f"sources {' '.join(policy.source_ranges)}" if policy.source_ranges else "",
        f"scheduler {policy.scheduler}" if policy.scheduler else "",
        "local endpoints for inside traffic" if policy.internal_local else "",
        "the PROXY protocol" if policy.proxy_protocol else "",
    ]
    return ", ".join(filter(None, parts))


def describe(node: GraphNode) -> str:
    """Return what a node decides, on one line, without its origin."""
    match node:
        case Dispatch():
            where = f"{node.address or 'any node address'} port {node.port}"
            masquerade = "" if node.masquerade == "never" else f" masquerade {node.masquerade}"
            return f"dispatch {node.frontend} {where} -> {node.target}{masquerade}"
        case Firewall():
            sources = " ".join(node.ranges + node.own_addresses)
            return f"firewall {sources} -> {node.target} else {node.otherwise}"
        case External():
            if node.keep_source:
                return f"external -> {node.target}, pods and node -> {node.cluster}"
            return f"external masquerade -> {node.target}"
        case Balance():
            affinity = f" affinity {node.affinity}s" if node.affinity else ""
            return f"balance {node.id}{affinity} -> {' '.join(node.targets)}"
        case Translate():
            weight = "" if node.weight == 1 else f" weight {node.weight}"
            return f"translate {node.id}{' local' if node.local else ''}{weight}"
        case Accept():
            return f"accept any node address port {node.port}"
        case Reject():
            return f"reject: {node.reason}"
        case Drop():
            return f"drop {node.id}: {node.reason}"
