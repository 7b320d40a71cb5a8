"""What the flat layout has beside kube-proxy's frame: maps of endpoints, there always."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from svcnet.netfilter.nft import NFTSet
from svcnet.renderers.nftables.flat.endpoints import PROTOCOLS, endpoint_map
from svcnet.renderers.nftables.frame import FixedParts
from svcnet.renderers.nftables.words import NodeWords

NUMBER = "numgen random mod 65536"
"""What has the type of an endpoint's number, of which there are at most so many."""


def add_maps(parts: FixedParts, say: NodeWords) -> FixedParts:
    """Return the fixed part with the maps that buckets look into."""
    return evolve(parts, rest=(*parts.rest, *_maps(say)))


def _maps(say: NodeWords) -> Iterator[NFTSet]:
    for protocol in PROTOCOLS:
        port = f"{protocol} dport"
        value = f"{say.ip} daddr . {port}"
        for is_node_port in (False, True):
            key = port if is_node_port else value
            for is_local in (False, True):
                name = endpoint_map(protocol, is_node_port=is_node_port, is_local=is_local)
                yield NFTSet(name, f"typeof {key} . {NUMBER}", value)
