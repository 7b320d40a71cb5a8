"""What iptables-save will print for a rule that our renderer wrote.

Wanted and observed rules are compared as text in this form. It covers exactly the
renderer's grammar, as iptables 1.8 prints it, both variants alike. Should another
version print a rule in another way, that rule is needlessly written again; nothing
worse follows.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_RULE = re.compile(
    r"(?P<head>(?:-m conntrack --ctstate NEW )?)"
    r"(?:-m comment --comment (?P<comment>\"[^\"]*\"|\S+) )?"
    r"(?P<type>-m addrtype --\w+-type LOCAL )?"
    r"(?:-m recent --name (?P<recent>\S+) (?P<how>--set|--rcheck --seconds \d+ --reap) )?"
    r"(?:-m (?P<protocol>tcp|udp|sctp) -p \w+ )?"
    r"(?P<not_d>! )?(?:-d (?P<d>\S+) )?"
    r"(?P<dport>--dport \d+ )?"
    r"(?P<not_s>! )?(?:-(?P<side>[si]) (?P<s>\S+) )?"
    r"(?P<rest>.*)"
)
_MARK = re.compile(r"--(?P<how>mark|xor-mark|or-mark) 0x0*(?P<bits>[0-9a-f]+)(?:/0x[0-9a-f]+)?")
_BRACKETS = re.compile(r"\[([^]]+)\]")
_PROBABILITY = re.compile(r"--probability (\S+)")
_MASKS = {"IPv4": "255.255.255.255", "IPv6": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
_REJECT = {"IPv4": "icmp-port-unreachable", "IPv6": "icmp6-port-unreachable"}


def saved(rule: str, family: str) -> str:
    """Return how iptables-save prints a rule, both without ``-A CHAIN``."""
    match = _RULE.fullmatch(rule)
    if match is None:
        return rule
    part = match.groupdict(default="")
    source = ""
    if part["side"] == "s":
        source = saved_address(part["s"], family, negated=bool(part["not_s"]))
    destination = saved_address(part["d"], family, negated=bool(part["not_d"]))
    comment = part["comment"]
    if comment and not comment.startswith('"'):
        comment = f'"{comment}"'
    protocol = part["protocol"]
    pieces = [
        f"{part['not_s']}-s {source} " if source else "",
        f"{part['not_d']}-d {destination} " if destination else "",
        f"{part['not_s']}-i {part['s']} " if part["side"] == "i" else "",
        f"-p {protocol} " if protocol else "",
        part["head"],
        f"-m comment --comment {comment} " if comment else "",
        part["type"],
        f"-m recent {part['how']} --name {part['recent']} --mask {_MASKS[family]} --rsource "
        if part["recent"]
        else "",
        f"-m {protocol} " if protocol else "",
        part["dport"],
        _rest(part["rest"], family),
    ]
    return "".join(pieces).rstrip()


def saved_address(text: str, family: str, *, negated: bool = False) -> str:
    """Return an address or network with its prefix length, as the kernel has it.

    One that is always matched is not printed.
    """
    if not text:
        return ""
    if family == "IPv4" and "/" not in text:
        # Its text is one, whoever wrote it: iptables takes 010 for 8, so nobody does.
        return f"{text}/32"
    network = _network(text, family)
    return "" if network.endswith("/0") and not negated else network


@lru_cache(1024)
def _network(text: str, family: str) -> str:
    """Return a network by its first address, in the text that the C library makes of it.

    Host bits are gone, and so are capital letters and zeros; what is no address stays.
    """
    number = AF_INET6 if family == "IPv6" else AF_INET
    address, _, length = text.partition("/")
    try:
        packed = inet_pton(number, address)
        width = len(packed) * 8
        prefix = int(length) if length else width
        mask = (1 << width) - (1 << (width - prefix))
        first = (int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big")
    except (OSError, ValueError):
        return text
    return f"{inet_ntop(number, first)}/{prefix}"


def _rest(rest: str, family: str) -> str:
    if rest.endswith("-j REJECT"):
        return f"{rest} --reject-with {_REJECT[family]}"
    if "--to-destination [" in rest:
        return saved_destination(rest, family)
    if "--probability " in rest:
        return _PROBABILITY.sub(lambda m: f"--probability {_probability(m[1])}", rest)
    if "mark 0x" in rest:
        return _MARK.sub(_mark, rest)
    return rest


def saved_destination(text: str, family: str) -> str:
    """Return a text with an address in brackets, such as ``[fd00::1]:80``, as it is printed."""
    return _BRACKETS.sub(lambda m: f"[{_network(m[1], family).partition('/')[0]}]", text)


@cache
def _probability(text: str) -> str:
    """Return a chance as the kernel holds it, in units of 2**-31 (xt_statistic.h)."""
    return f"{round(float(text) * 0x80000000) / 0x80000000:.11f}"


def _mark(match: re.Match[str]) -> str:
    bits = f"0x{match['bits']}"
    match match["how"]:
        case "mark":
            return f"--mark {bits}/{bits}"
        case "or-mark":
            return f"--set-xmark {bits}/{bits}"
        case _:
            return f"--set-xmark {bits}/0x0"
