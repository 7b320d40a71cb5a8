"""The rule graph as iptables-restore text, byte for byte what kube-proxy v1.36 writes, or flat."""

from svcnet.renderers.iptables.artifact import Delta, RestoreText
from svcnet.renderers.iptables.block import Block, RuleCount
from svcnet.renderers.iptables.forest import Forest, Piece
from svcnet.renderers.iptables.frame import Table
from svcnet.renderers.iptables.jumps import JUMPS
from svcnet.renderers.iptables.layout import FLAT, KUBE_PROXY, Layout
from svcnet.renderers.iptables.render import advance, delta, full

__all__ = [
    "FLAT",
    "JUMPS",
    "KUBE_PROXY",
    "Block",
    "Delta",
    "Forest",
    "Layout",
    "Piece",
    "RestoreText",
    "RuleCount",
    "Table",
    "advance",
    "delta",
    "full",
]
