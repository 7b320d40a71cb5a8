"""What is remarked both of a mode's own rules and of those that a machine has."""

from __future__ import annotations

from svcnet.graph import Packet, Pass, Refuse, RuleGraph, ways
from svcnet.graph.evaluate import Verdict
from svcnet.meaning.claims import is_handed_on
from svcnet.meaning.explanation.account import Remark

SOURCE_OF_SERVICE = Remark(
    "a process of the node that binds to no address has the Service's address as its source",
    "source-is-the-service",
)
REFUSAL_DECIDES = Remark(
    "a Service that refuses a packet decides, whoever else claims its address and port",
    "refusals-decide",
)
LAST_CLAIM = Remark(
    "of several Services that claim one address and port the last in order has it",
    "last-claim-answers",
)
HEALTH_CHECK = Remark(
    "a health-check port that is a node port without endpoints too is refused as that one is"
)


def remark_of_claims(graph: RuleGraph, packet: Packet, end: Verdict) -> Remark:
    """Return why a packet of several Services' has another end than a graph says."""
    if isinstance(end, Refuse):
        if is_handed_on(graph, packet):
            return REFUSAL_DECIDES
        if isinstance(ways(graph, packet)[0].verdict, Pass):
            return HEALTH_CHECK
    return LAST_CLAIM
