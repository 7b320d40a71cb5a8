"""What the kernel itself says of its tables, for listings to be held against.

A tool can print anything and call it a success. That costs nothing to find out where it matters:
whether there are chains of ours, and how many rules are beside our jumps.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import ENOENT
from pathlib import Path

from svcnet.executors.iptables.entries import count
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask
from svcnet.family import IPFamily
from svcnet.netfilter import BUILT_IN, SavedTables
from svcnet.netlink import NETLINK_NETFILTER, NFGENMSG, NFNL_SUBSYS_NFTABLES, attribute, attributes
from svcnet.renderers.iptables import names
from svcnet.words import count_noun

_OURS = {"filter": (*names.FILTER_CHAINS, names.FIREWALL), "nat": names.NAT_CHAINS}
_NAMES = {"IPv4": "ip_tables_names", "IPv6": "ip6_tables_names"}

# linux/netfilter/nf_tables.h
_NFT_MSG_GETCHAIN = 4
_NFTA_CHAIN_TABLE = 1
_NFTA_CHAIN_NAME = 3
_NFTA_CHAIN_HOOK = 4
_NFTA_CHAIN_USE = 6
_FAMILIES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}


def names_file(family: IPFamily) -> Path:
    """Return the file that has the names of the legacy variant's tables, if there are any."""
    return Path("/proc/thread-self/net", _NAMES[family])


def can_list(machine: Machine, family: IPFamily) -> bool:
    """Return whether this process may know which tables of the legacy variant there are.

    They are in a file for root's eyes only; without any there is no such file, and nothing to hide.
    """
    try:
        machine.read(names_file(family))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def untrue(machine: Machine, family: IPFamily, variant: str, observed: SavedTables) -> str:
    """Return what is wrong with a listing of `variant`, by what the kernel says; else nothing.

    Where the kernel says nothing, as to a user who may not ask, the listing is believed.
    """
    check = _untrue_nft if variant == "nft" else _untrue_legacy
    try:
        return next(check(machine, family, observed), "") or _of_other_family(family, observed)
    except OSError:
        return ""


def _of_other_family(family: IPFamily, observed: SavedTables) -> str:
    for rule in observed.chains("nat").get(names.SERVICES, ()):
        option, _, rest = rule.partition(" ")
        if option == "-d":
            is_ipv6 = ":" in rest.partition(" ")[0]
            return "" if is_ipv6 == (family == "IPv6") else f"is not of {family}"
    return ""


def _untrue_legacy(machine: Machine, family: IPFamily, observed: SavedTables) -> Iterator[str]:
    try:
        there = machine.read(names_file(family)).split()
    except FileNotFoundError:
        there = []
    for table, built_in in BUILT_IN.items():
        chains = observed.tables.get(table)
        if (chains is not None) != (table in there):
            yield f"has {'no' if chains is None else 'a'} table {table}, unlike the kernel"
        if chains is None:
            continue
        # Each chain ends with an entry of its own, and each that is not built in begins with one;
        # one more ends the table (``struct xt_standard`` and ``xt_error`` of x_tables.h).
        listed = 1 + sum(len(rules) + 2 - (chain in built_in) for chain, rules in chains.items())
        if listed < (entries := count(machine, family, table)):
            yield f"has {listed:,} of {count_noun(entries, 'entry')} of table {table}"


def _untrue_nft(machine: Machine, family: IPFamily, observed: SavedTables) -> Iterator[str]:
    for table, built_in in BUILT_IN.items():
        chains = observed.chains(table)
        for chain in (*built_in, *_OURS[table]):
            rules, listed = _rules(machine, family, table, chain), chains.get(chain)
            if rules is None:
                # The tool lists chains that are built in as if they were there.
                if listed is not None and chain not in built_in:
                    yield f"has chain {chain} of table {table}, unlike the kernel"
            elif listed is None:
                yield f"lacks chain {chain} of table {table}, unlike the kernel"
            elif len(listed) < rules:
                there = count_noun(rules, "rule")
                yield f"has {len(listed):,} of {there} of chain {chain} of table {table}"


def _rules(machine: Machine, family: IPFamily, table: str, chain: str) -> int | None:
    """Return how many rules a chain of nf_tables has; None if there is none of that name.

    It is 0 for one that is not built in: the kernel counts also what leads there.
    """
    body = (
        NFGENMSG.pack(_FAMILIES[family], 0, 0)
        + attribute(_NFTA_CHAIN_TABLE, table.encode() + b"\0")
        + attribute(_NFTA_CHAIN_NAME, chain.encode() + b"\0")
    )
    kind = NFNL_SUBSYS_NFTABLES << 8 | _NFT_MSG_GETCHAIN
    try:
        for answer in ask(NETLINK_NETFILTER, kind, body, machine=machine):
            told = attributes(answer, NFGENMSG.size)
            is_built_in = _NFTA_CHAIN_HOOK in told
            return int.from_bytes(told.get(_NFTA_CHAIN_USE, b""), "big") if is_built_in else 0
    except OSError as error:
        if error.errno != ENOENT:
            raise
    return None
