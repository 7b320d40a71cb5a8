"""The rule graph as iptables-restore text, byte for byte what kube-proxy v1.36 writes."""

from svcnet.renderers.iptables.artifact import Delta, RestoreText, Table
from svcnet.renderers.iptables.block import Block, RuleCount
from svcnet.renderers.iptables.jumps import JUMPS
from svcnet.renderers.iptables.render import delta, full

__all__ = ["JUMPS", "Block", "Delta", "RestoreText", "RuleCount", "Table", "delta", "full"]
