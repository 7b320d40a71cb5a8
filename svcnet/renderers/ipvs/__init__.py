"""IPVS mode: virtual servers, sets, addresses and a few rules, as kube-proxy v1.36 has them."""

from svcnet.renderers.ipvs.delta import IPVSDelta, ServerChange
from svcnet.renderers.ipvs.document import document
from svcnet.renderers.ipvs.part import HealthCheckPort, Part, RealServer, ServerKey, VirtualServer
from svcnet.renderers.ipvs.program import additions, listing, program, removals
from svcnet.renderers.ipvs.render import advance, delta, full
from svcnet.renderers.ipvs.sections import section, step_text, text
from svcnet.renderers.ipvs.sets import IPSet, SetDefinition
from svcnet.renderers.ipvs.tables import IPVSTables

__all__ = [
    "HealthCheckPort",
    "IPSet",
    "IPVSDelta",
    "IPVSTables",
    "Part",
    "RealServer",
    "ServerChange",
    "ServerKey",
    "SetDefinition",
    "VirtualServer",
    "additions",
    "advance",
    "delta",
    "document",
    "full",
    "listing",
    "program",
    "removals",
    "section",
    "step_text",
    "text",
]
