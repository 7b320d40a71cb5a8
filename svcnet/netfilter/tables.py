"""Tables of chains of rules, as they are at one time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from attrs import frozen

Chains: TypeAlias = Mapping[str, list[str]]
"""The rules of each chain of a table, in their order, without ``-A CHAIN``."""

Tables: TypeAlias = Mapping[str, Chains]
"""The chains of each table."""

BUILT_IN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    }
)
"""The chains that each of the tables that ours are in has of itself."""


@frozen
class SavedTables:
    """The filter and nat tables as iptables-save prints them.

    ``tables`` has, for each table and chain, the rules without ``-A CHAIN``.
    """

    tables: Tables

    def chains(self, table: str) -> Chains:
        """Return the chains of a table, none if the kernel does not have it yet."""
        return self.tables.get(table, {})

    def without(self, is_gone: Callable[[str, str], bool]) -> SavedTables:
        """Return the tables without the chains that `is_gone` knows, and with all other rules."""
        return SavedTables(
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

    def names_set(self, name: str) -> bool:
        """Return whether a rule may name an ipset."""
        return any(
            f"--match-set {name} " in rule
            for chains in self.tables.values()
            for rules in chains.values()
            for rule in rules
        )

    def differences(self, other: SavedTables) -> int:
        """Return how many chains are not the same in both."""
        return sum(
            self.chains(table).get(chain) != other.chains(table).get(chain)
            for table in {**self.tables, **other.tables}
            for chain in {**self.chains(table), **other.chains(table)}
        )
