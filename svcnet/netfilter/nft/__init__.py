"""What nft reads and prints: what tables have, as values; the lines that make and remove it."""

from svcnet.netfilter.nft.canonical import canonical, canonical_key
from svcnet.netfilter.nft.document import read_document
from svcnet.netfilter.nft.families import FAMILIES, NFTFamily
from svcnet.netfilter.nft.listing import read_listing
from svcnet.netfilter.nft.objects import (
    NFTChain,
    NFTElement,
    NFTHook,
    NFTObject,
    NFTRule,
    NFTSet,
    NFTTable,
)
from svcnet.netfilter.nft.places import NFTPlace, are_apart, key_of_element, places
from svcnet.netfilter.nft.script import Effect, ScriptError, effect, load
from svcnet.netfilter.nft.state import (
    ChainState,
    ElementState,
    HookState,
    ListingError,
    NFTState,
    OtherState,
    RuleState,
    SetState,
    TableKey,
    TableState,
    UnknownLine,
    types_of,
)
from svcnet.netfilter.nft.words import MOST_COMMENT, interface, quote_comment

__all__ = [
    "FAMILIES",
    "MOST_COMMENT",
    "ChainState",
    "Effect",
    "ElementState",
    "HookState",
    "ListingError",
    "NFTChain",
    "NFTElement",
    "NFTFamily",
    "NFTHook",
    "NFTObject",
    "NFTPlace",
    "NFTRule",
    "NFTSet",
    "NFTState",
    "NFTTable",
    "OtherState",
    "RuleState",
    "ScriptError",
    "SetState",
    "TableKey",
    "TableState",
    "UnknownLine",
    "are_apart",
    "canonical",
    "canonical_key",
    "effect",
    "interface",
    "key_of_element",
    "load",
    "places",
    "quote_comment",
    "read_document",
    "read_listing",
    "types_of",
]
