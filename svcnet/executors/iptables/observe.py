"""What iptables-save prints, as chains and rules; and which chains are ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import frozen

from svcnet.netfilter import Chains, read_listing
from svcnet.renderers.iptables import names

BUILT_IN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
)
"""The chains that each of the tables that ours are in has of itself."""

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


@frozen
class Observed:
    """The filter and nat tables as iptables-save prints them.

    ``tables`` has, for each table and chain, the rules without ``-A CHAIN``.
    """

    tables: Mapping[str, Chains]

    def chains(self, table: str) -> Chains:
        """Return the chains of a table, none if the kernel does not have it yet."""
        return self.tables.get(table, {})

    def without(self, is_gone: Callable[[str, str], bool]) -> Observed:
        """Return the tables without the chains that `is_gone` knows, and with all other rules."""
        return Observed(
            {
                table: {
                    chain: rules for chain, rules in chains.items() if not is_gone(table, chain)
                }
                for table, chains in self.tables.items()
            }
        )

    def has(self, is_ours: Callable[[str, str], bool]) -> bool:
        """Return whether any chain is there that `is_ours` knows by its table and name."""
        return any(is_ours(table, chain) for table in self.tables for chain in self.chains(table))


def parse_save(text: str, tool: str = "iptables-save") -> Observed:
    """Return the tables in what `tool` printed.

    Raises ApplyError where that is damaged, and Unprinted without a table that ours may be in.
    """
    return Observed(read_listing(text, tool, _FIXED))
