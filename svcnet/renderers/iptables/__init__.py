"""The rule graph as iptables-restore text, byte for byte what kube-proxy v1.36 writes."""

from svcnet.renderers.iptables.artifact import Block, Delta, RestoreText, RuleCount, Table
from svcnet.renderers.iptables.jumps import JUMPS
from svcnet.renderers.iptables.render import delta, full

__all__ = ["JUMPS", "Block", "Delta", "RestoreText", "RuleCount", "Table", "delta", "full"]
