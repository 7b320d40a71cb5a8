"""Whether a machine can have mode nftables: nft, the kernel, and each kind of rule.

The kernel is asked whether it would take a rule of each kind (``nft --check``); it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from svcnet import checks
from svcnet.errors import ApplyError, Lacking
from svcnet.executors.commands import not_installed
from svcnet.executors.machine import Machine
from svcnet.executors.nftables.commands import NFT, PACKAGE, NFTError
from svcnet.executors.nftables.netlink import NFTSocket, OvertakenBatch, RefusedBatch
from svcnet.netfilter.nft import NFTTable
from svcnet.netfilter.nft.wire import delete_table
from svcnet.renderers.nftables import Ruleset

LEAST_NFT = (1, 0, 1)
"""Earlier ones read all tables of a machine before they change one, and may fail at what is new."""
LEAST_LINUX = (5, 13)
"""What the distributions that have it have comes with an nft of this age, too."""
FLAT_NFT = (1, 0, 6)
"""The oldest nft that was tried with maps of the flat layout: it lists what it was given."""
DELETES_AT_ONCE = (6, 2)
"""From this Linux on a chain goes in the transaction that removes the element which leads to it."""

_RELEASE = Path("/proc/sys/kernel/osrelease")
_NUMBERS = re.compile(r"(\d+)\.(\d+)")

_TABLE = "svcnet-probe"
_BEFORE = """\
add table {ip} {table}
add chain {ip} {table} filter {{ type filter hook prerouting priority -110 ; }}
add chain {ip} {table} nat {{ type nat hook prerouting priority -100 ; }}
add chain {ip} {table} after {{ type nat hook postrouting priority 100 ; }}
add chain {ip} {table} c
add set {ip} {table} s {{ type {address} ; }}
add set {ip} {table} clients {{ type {address} ; flags dynamic,timeout ; timeout 10s ; }}
add set {ip} {table} pairs {{ type {address} . {address} . inet_proto . inet_service ; }}
add map {ip} {table} m {{ type {address} . inet_proto . inet_service : verdict ; }}
"""
_KINDS = (
    ("filter chains (CONFIG_NF_TABLES)", "add rule {ip} {table} filter accept"),
    ("nat chains (nft_chain_nat)", "add rule {ip} {table} nat accept"),
    ("ct state (nft_ct)", "add rule {ip} {table} filter ct state new jump c"),
    ("ct status (nft_ct)", "add rule {ip} {table} after ct status dnat accept"),
    ("sets", "add rule {ip} {table} filter {ip} daddr @s accept"),
    (
        "maps of concatenations",
        "add rule {ip} {table} filter {ip} daddr . meta l4proto . th dport vmap @m",
    ),
    (
        "sets of concatenations",
        "add rule {ip} {table} after {ip} saddr . {ip} daddr . meta l4proto . th dport @pairs drop",
    ),
    ("reject (nft_reject)", "add rule {ip} {table} c reject"),
    ("fib (nft_fib)", "add rule {ip} {table} nat fib daddr type local accept"),
    ("masquerade (nft_masq)", "add rule {ip} {table} after masquerade fully-random"),
    ("mark", "add rule {ip} {table} nat mark set mark or 0x00004000"),
    (
        "dnat, and numgen (nft_nat, nft_numgen)",
        "add rule {ip} {table} nat meta l4proto tcp dnat {ip} addr . port to {ends}",
    ),
    (
        "numgen (nft_numgen)",
        "add rule {ip} {table} nat numgen random mod 1 vmap {{ 0 : goto c }}",
    ),
    ("dynamic sets", "add rule {ip} {table} nat update @clients {{ {ip} saddr }}"),
    ("ranges in sets", "add rule {ip} {table} filter {ip} saddr != {{ {net} , {one} }} drop"),
)
"""For each kind of rule that the mode has, what the kernel has it in, and one of them."""
_FLAT = (
    "maps of endpoints, of the flat layout",
    (
        "add map {ip} {table} e {{ typeof {ip} daddr . tcp dport . numgen random mod 65536 : "
        "{ip} daddr . tcp dport ; size 1024 ; }}\n"
        "add rule {ip} {table} nat dnat {ip} to {ip} daddr . tcp dport . numgen inc mod 1 map @e"
    ),
)
_WORDS = {
    "ip": {
        "ip": "ip",
        "address": "ipv4_addr",
        "one": "192.0.2.1",
        "net": "192.0.2.64/26",
        "ends": "numgen random mod 1 map { 0 : 192.0.2.1 . 80 }",
    },
    "ip6": {
        "ip": "ip6",
        "address": "ipv6_addr",
        "one": "2001:db8::1",
        "net": "2001:db8:1::/48",
        "ends": "numgen random mod 1 map { 0 : 2001:db8::1 . 80 }",
    },
}


def require(ruleset: Ruleset, nft: NFT) -> None:
    """Raise Lacking unless a machine has all that the mode takes."""
    if nft.machine.find("nft") is None:
        error = not_installed("nft", PACKAGE)
        raise Lacking(str(error), ("nft",), error.check)
    found = lacking(ruleset, machine=nft.machine)
    if found:
        raise _lacks(found)


def lacking(ruleset: Ruleset, *, machine: Machine) -> tuple[str, ...]:
    """Return what a machine lacks, by name; none if it has it all.

    Raises ApplyError where that cannot be told, such as without nft, or the right to use it.
    """
    nft, is_flat = NFT(machine), ruleset.layout == "flat"
    kinds = (*_KINDS, _FLAT) if is_flat else _KINDS
    least = FLAT_NFT if is_flat else LEAST_NFT
    return tuple(_versions(nft, least)) or tuple(_lacking_kinds(ruleset.table.family, nft, kinds))


def takes_flat(machine: Machine) -> bool:
    """Return whether a machine takes the flat layout; not, where that cannot be told."""
    nft = NFT(machine)
    try:
        return not any(_versions(nft, FLAT_NFT)) and not any(_lacking_kinds("ip", nft, (_FLAT,)))
    except ApplyError:
        return False


def deletes_late(machine: Machine) -> bool:
    """Return whether chains that lose their last element can be deleted only some time later."""
    return _linux(machine) < DELETES_AT_ONCE


def takes_batches(opened: NFTSocket) -> bool:
    """Return whether a table can be written to by netlink, without nft.

    The kernel is asked to delete a table that is not there, if there was another number of commits
    than there was: it is to say no for that. To fail in a transaction would take some milliseconds.
    """
    try:
        opened.commit([delete_table(NFTTable("ip", _TABLE))], _far_from(opened.generation()))
    except OvertakenBatch:
        return True
    except (OSError, RefusedBatch):
        return False
    return False


def _far_from(generation: int) -> int:
    """Return a generation that comes long after another; 0 would be any."""
    return (generation + (1 << 31)) % (1 << 32) or 1


def _lacks(found: Iterable[str]) -> Lacking:
    found = tuple(found)
    return Lacking(
        f"this machine lacks what mode nftables needs: {', '.join(found)}. Nothing was changed. "
        "Mode iptables may do",
        found,
        checks.MISSING_MODULE,
    )


def _versions(nft: NFT, least: tuple[int, ...]) -> Iterator[str]:
    """Yield which of nft and Linux are too old."""
    if (version := nft.version()) < least:
        yield f"nft {_join_numbers(least)} (this is {_join_numbers(version)})"
    if (linux := _linux(nft.machine)) < LEAST_LINUX:
        yield f"Linux {_join_numbers(LEAST_LINUX)} (this is {_join_numbers(linux)})"


def _lacking_kinds(family: str, nft: NFT, kinds: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield which kinds of rules the kernel does not take: first all are tried, then each."""
    words = {**_WORDS[family], "table": _TABLE}
    before = _BEFORE.format(**words)
    rules = [(name, f"{rule.format(**words)}\n") for name, rule in kinds]
    if _takes(nft, before + "".join(rule for _, rule in rules)):
        return
    if not _takes(nft, before):
        yield "tables of nftables (CONFIG_NF_TABLES), with chains of nat and maps"
        return
    for name, rule in rules:
        if not _takes(nft, before + rule):
            yield name


def _takes(nft: NFT, text: str) -> bool:
    try:
        nft.load(text, check=True)
    except NFTError as error:
        if not error.line:
            # It is nft that fails, and not the kernel.
            raise ApplyError(str(error)) from None
        return False
    return True


def _linux(machine: Machine) -> tuple[int, int]:
    """Return the release of Linux; without one, that of any in use today."""
    try:
        found = _NUMBERS.match(machine.read(_RELEASE))
    except OSError:
        found = None
    return (int(found[1]), int(found[2])) if found else DELETES_AT_ONCE


def _join_numbers(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))
