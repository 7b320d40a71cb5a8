"""The rule graph: what a node should do with a packet, as data.

It knows no Kubernetes object and no tool's language. :func:`evaluate` is its meaning;
renderers are tested against it.
"""

from svcnet.graph.diff import GraphDiff, diff
from svcnet.graph.dot import dot
from svcnet.graph.dump import dump
from svcnet.graph.evaluate import (
    Decision,
    Deliver,
    Outcome,
    Pass,
    Refuse,
    Way,
    evaluate,
    ways,
)
from svcnet.graph.fragment import Fragment, FragmentName, LocalEndpoint, Policy
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
from svcnet.graph.origin import EndpointSource, Origin, OriginList, SliceSource
from svcnet.graph.packet import Packet
from svcnet.graph.rule_graph import RuleGraph
from svcnet.graph.settings import IPVSSettings, LocalDetector, NodeSettings

__all__ = [
    "Accept",
    "Balance",
    "Decision",
    "Deliver",
    "Dispatch",
    "Drop",
    "EndpointSource",
    "External",
    "Firewall",
    "Fragment",
    "FragmentName",
    "GraphDiff",
    "GraphNode",
    "IPVSSettings",
    "LocalDetector",
    "LocalEndpoint",
    "NodeSettings",
    "Origin",
    "OriginList",
    "Outcome",
    "Packet",
    "Pass",
    "Policy",
    "Refuse",
    "Reject",
    "RuleGraph",
    "SliceSource",
    "Translate",
    "Way",
    "diff",
    "dot",
    "dump",
    "evaluate",
    "ways",
]
