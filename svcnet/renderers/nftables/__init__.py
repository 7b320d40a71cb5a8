"""The rule graph as a table of nftables, as kube-proxy v1.36 has it."""

from svcnet.renderers.nftables.block import NFTablesBlock, NFTRow
from svcnet.renderers.nftables.delta import NFTablesDelta
from svcnet.renderers.nftables.document import document
from svcnet.renderers.nftables.frame import FixedParts
from svcnet.renderers.nftables.load import load, replacement
from svcnet.renderers.nftables.render import TABLE, advance, between, delta, full
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.text import text, transaction

__all__ = [
    "TABLE",
    "FixedParts",
    "NFTRow",
    "NFTablesBlock",
    "NFTablesDelta",
    "Ruleset",
    "advance",
    "between",
    "delta",
    "document",
    "full",
    "load",
    "replacement",
    "text",
    "transaction",
]
