"""From the objects of a cluster and one node's view of them to a rule graph. All pure."""

from svcnet.compiler.compile import compile_state, recompile
from svcnet.compiler.exposure import compile_service_port
from svcnet.compiler.node import NodeView, node_families, node_name, node_view
from svcnet.compiler.service_ports import ServicePortSpec, service_ports

__all__ = [
    "NodeView",
    "ServicePortSpec",
    "compile_service_port",
    "compile_state",
    "node_families",
    "node_name",
    "node_view",
    "recompile",
    "service_ports",
]
