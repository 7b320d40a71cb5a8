"""What nft prints as a name, a sign or a number: which depends on its version and on options.

Sources: ``/etc/protocols``, which nft looks into, and ``src/ct.c``, ``src/fib.c`` and
``src/rule.c`` of nftables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from svcnet.netfilter.nft.families import NFTFamily

MOST_DIGITS = 20
"""More digits than a number of 64 bits has."""

OPERATORS: Mapping[str, str] = MappingProxyType(
    {
        "and": "&",
        "or": "|",
        "xor": "^",
        "lshift": "<<",
        "rshift": ">>",
        "eq": "==",
        "ne": "!=",
        "lt": "<",
        "gt": ">",
        "le": "<=",
        "ge": ">=",
    }
)
"""Signs by the words for them."""

STATES: Mapping[str, str] = MappingProxyType(
    {"1": "invalid", "2": "established", "4": "related", "8": "new", "64": "untracked"}
)
"""States of connections by number."""

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "1": "expected",
        "2": "seen-reply",
        "4": "assured",
        "8": "confirmed",
        "16": "snat",
        "32": "dnat",
        "512": "dying",
    }
)
"""What else is said of connections, by number."""

ROUTES: Mapping[str, str] = MappingProxyType(
    {
        "1": "unicast",
        "2": "local",
        "3": "broadcast",
        "4": "anycast",
        "5": "multicast",
        "6": "blackhole",
        "7": "unreachable",
        "8": "prohibit",
    }
)
"""Types of routes by number."""

_PROTOCOLS: Mapping[str, str] = MappingProxyType(
    {
        "1": "icmp",
        "2": "igmp",
        "4": "ipencap",
        "6": "tcp",
        "17": "udp",
        "33": "dccp",
        "41": "ipv6",
        "47": "gre",
        "50": "esp",
        "51": "ah",
        "58": "ipv6-icmp",
        "103": "pim",
        "108": "ipcomp",
        "112": "vrrp",
        "132": "sctp",
        "136": "udplite",
        "icmpv6": "ipv6-icmp",
        "comp": "ipcomp",
    }
)
_PRIORITIES = MappingProxyType(
    {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
)
_OF_BRIDGE = MappingProxyType({"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300})
_PRIORITY = re.compile(r"(?:(-?\d{1,10})|([a-z]+)(?: ?([+-]) ?(\d{1,10}))?)", re.ASCII)
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)


def is_number(text: str) -> bool:
    """Return whether a text is a number that nft could mean."""
    return text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS


def protocol(word: str) -> str:
    """Return the name of a protocol that may be a number."""
    return _PROTOCOLS.get(word, word)


def priority(text: str, family: NFTFamily) -> int | None:
    """Return the number of a priority such as ``-110`` or ``dstnat - 10``; None if it is none."""
    found = _PRIORITY.fullmatch(text)
    if found is None:
        return None
    number, name, sign, more = found.groups()
    if number is not None:
        return int(number)
    base = (_OF_BRIDGE if family == "bridge" else _PRIORITIES).get(name)
    return None if base is None else base + int(f"{sign or '+'}{more or 0}")


def seconds(text: str) -> float | None:
    """Return how long a time is, such as ``1d2h3m4s5ms`` or ``90``; None if it is no time."""
    if is_number(text):
        return int(text)
    found = _TIME.fullmatch(text)
    if not text or found is None or len(text) > 2 * MOST_DIGITS:
        return None
    days, hours, minutes, whole, thousandths = (int(part or 0) for part in found.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + whole
    return total + thousandths / 1000 if thousandths else total
