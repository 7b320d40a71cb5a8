"""Which chains are ours."""

from __future__ import annotations

import re

from svcnet.renderers.iptables import names

_OWN = re.compile(rf"(?:{'|'.join(names.SERVICE_PREFIXES)})[A-Z2-7]{{16}}")
_FIXED = {
    "filter": frozenset((*names.FILTER_CHAINS, names.FIREWALL)),
    "nat": frozenset(names.NAT_CHAINS),
}


def is_own_chain(chain: str) -> bool:
    """Return whether a chain of the nat table has a name that only a service port's has."""
    return chain.startswith("KUBE-") and _OWN.fullmatch(chain) is not None


def is_ours(table: str, chain: str) -> bool:
    """Return whether a chain is one that svcnet, or kube-proxy in its place, makes."""
    return chain in _FIXED.get(table, ()) or (table == "nat" and is_own_chain(chain))
