"""The families that tables of nf_tables have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

NFTFamily: TypeAlias = Literal["ip", "ip6", "inet", "arp", "bridge", "netdev"]
"""What packets a table is for, in nft's word."""

FAMILIES: Mapping[str, NFTFamily] = MappingProxyType({each: each for each in get_args(NFTFamily)})
"""The families by their words: what a text says is one if it is here."""
