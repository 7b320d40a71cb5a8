"""The rule graph as a table of nftables, as kube-proxy v1.36 has it."""

from svcnet.renderers.nftables.block import NFTablesBlock, NFTRow
from svcnet.renderers.nftables.delta import (
    Edit,
    NFTablesDelta,
    NFTEdit,
    NFTGrowth,
    NFTRuleDeletion,
    NFTStatement,
)
from svcnet.renderers.nftables.document import document
from svcnet.renderers.nftables.flat.buckets import Bucket, buckets_ahead, named_buckets
from svcnet.renderers.nftables.flat.endpoints import ENDPOINT_MAPS, EndpointRow, endpoint_map
from svcnet.renderers.nftables.flat.leads import Lead
from svcnet.renderers.nftables.flat.sizes import size_of
from svcnet.renderers.nftables.frame import FixedParts
from svcnet.renderers.nftables.layout import Layout
from svcnet.renderers.nftables.load import frame, load, replacement
from svcnet.renderers.nftables.render import TABLE, advance, between, delta, full
from svcnet.renderers.nftables.ruleset import Ruleset
from svcnet.renderers.nftables.text import text, transaction
from svcnet.renderers.nftables.turns import other_name, turn

__all__ = [
    "ENDPOINT_MAPS",
    "TABLE",
    "Bucket",
    "Edit",
    "EndpointRow",
    "FixedParts",
    "Layout",
    "Lead",
    "NFTEdit",
    "NFTGrowth",
    "NFTRow",
    "NFTRuleDeletion",
    "NFTStatement",
    "NFTablesBlock",
    "NFTablesDelta",
    "Ruleset",
    "advance",
    "between",
    "buckets_ahead",
    "delta",
    "document",
    "endpoint_map",
    "frame",
    "full",
    "load",
    "named_buckets",
    "other_name",
    "replacement",
    "size_of",
    "text",
    "transaction",
    "turn",
]
