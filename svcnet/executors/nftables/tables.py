"""Tables of nftables, by IP family."""

from __future__ import annotations

from svcnet.family import IPFamily
from svcnet.netfilter.nft import NFTTable


def table_of(family: IPFamily, name: str) -> NFTTable:
    """Return the table of a name in an IP family."""
    return NFTTable("ip6" if family == "IPv6" else "ip", name)


def family_of(table: NFTTable) -> IPFamily:
    """Return the IP family of a table."""
    return "IPv6" if table.family == "ip6" else "IPv4"
