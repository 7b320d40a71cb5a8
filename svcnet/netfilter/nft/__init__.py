"""What nft reads: what a table has, as values, and the lines that make and remove it."""

from svcnet.netfilter.nft.objects import (
    NFTChain,
    NFTElement,
    NFTHook,
    NFTObject,
    NFTRule,
    NFTSet,
    NFTTable,
)
from svcnet.netfilter.nft.words import MOST_COMMENT, interface, quoted

__all__ = [
    "MOST_COMMENT",
    "NFTChain",
    "NFTElement",
    "NFTHook",
    "NFTObject",
    "NFTRule",
    "NFTSet",
    "NFTTable",
    "interface",
    "quoted",
]
