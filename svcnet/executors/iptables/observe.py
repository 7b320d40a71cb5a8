"""Which chains are ours."""

from __future__ import annotations

import re

from svcnet.renderers.iptables import names

_PREFIXES = {
    "filter": (names.TREE_PREFIX,),
    "nat": (*names.SERVICE_PREFIXES, names.TREE_PREFIX),
}
_OWN = {
    table: re.compile(rf"(?:{'|'.join(prefixes)})[A-Z2-7]{{16}}")
    for table, prefixes in _PREFIXES.items()
}
_FIXED = {
    "filter": frozenset((*names.FILTER_CHAINS, names.FIREWALL)),
    "nat": frozenset(names.NAT_CHAINS),
}


def is_own_chain(table: str, chain: str) -> bool:
    """Return whether a chain has a name that only a service port's has, or one of a tree."""
    pattern = _OWN.get(table)
    if pattern is None or not chain.startswith("KUBE-"):
        return False
    return pattern.fullmatch(chain) is not None


def is_ours(table: str, chain: str) -> bool:
    """Return whether a chain is one that svcnet, or kube-proxy in its place, makes."""
    return chain in _FIXED.get(table, ()) or is_own_chain(table, chain)
