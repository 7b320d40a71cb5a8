"""A dump of a machine with one thing changed: each line taken away, moved, altered, or one more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

Lines = Sequence[str]


class Mutation(NamedTuple):
    """What was done to which line, from 1, and the text after it."""

    kind: str
    line: int
    what: str
    lines: list[str]

    def __str__(self) -> str:
        return f"{self.kind} {self.line}: {self.what}"


XT_FOREIGN = (
    *("-j ACCEPT", "-j RETURN", "-j DROP", "-s 203.0.113.0/24 -j DROP", "-p tcp -j REJECT"),
    *("-m mark --mark 0x4000/0x4000 -j ACCEPT", "-m conntrack --ctstate NEW -j LOG", "-p icmp"),
)
XT_FOREIGN_6 = tuple(each.replace("203.0.113.0/24", "2001:db8::/32") for each in XT_FOREIGN)
NFT_FOREIGN = (
    *("accept", "return", "drop", "ip saddr 203.0.113.0/24 drop", "meta l4proto tcp reject"),
    *("meta mark & 0x4000 == 0x4000 accept", "ct state new counter", "meta l4proto icmp drop"),
)
NFT_FOREIGN_6 = tuple(
    each.replace("ip saddr 203.0.113.0/24", "ip6 saddr 2001:db8::/32") for each in NFT_FOREIGN
)
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(
    r"(?<![\w-])(?:0x[0-9a-f]+|\d+\.\d+(?!\.\d)|\d+)(?![\w-]|\.\d+\.\d)|(?<=:)[0-9a-f]+(?=[:/ ])"
)


def mutations(lines: Lines, foreign: Sequence[str]) -> Iterator[Mutation]:
    """Yield every mutation of a dump; `foreign` are rules that are put before each of its own."""
    yield from deletions(lines)
    yield from swaps(lines)
    yield from numbers(lines)
    yield from insertions(lines, foreign)


def is_said(line: str) -> bool:
    """Return whether a line says anything: neither empty nor a remark."""
    return bool(line.strip()) and not line.startswith("#")


def deletions(lines: Lines) -> Iterator[Mutation]:
    """Yield the dump without one of its lines, each in turn."""
    for at, line in enumerate(lines):
        if is_said(line):
            yield Mutation("delete", at + 1, line, [*lines[:at], *lines[at + 1 :]])


def swaps(lines: Lines) -> Iterator[Mutation]:
    """Yield the dump with two neighbours in each other's place."""
    for at, (one, other) in enumerate(pairwise(lines)):
        if is_said(one) and is_said(other) and one != other:
            yield Mutation("swap", at + 1, one, [*lines[:at], other, one, *lines[at + 2 :]])


def numbers(lines: Lines) -> Iterator[Mutation]:
    """Yield the dump with one number another, wherever it stands but in quoted text."""
    for at, line in enumerate(lines):
        if not is_said(line):
            continue
        blank = _QUOTED.sub(lambda found: "\0" * len(found[0]), line)
        for found in _NUMBER.finditer(blank):
            changed = f"{line[: found.start()]}{another(found[0])}{line[found.end() :]}"
            yield Mutation("number", at + 1, changed, [*lines[:at], changed, *lines[at + 1 :]])


def another(number: str) -> str:
    """Return a number near to one, as text of the same kind."""
    if number.startswith("0x"):
        return hex(int(number, 16) ^ 0x2000)
    if "." in number:
        return "0.12500000000" if number != "0.12500000000" else "0.25000000000"
    if re.search("[a-f]", number):
        return f"{int(number, 16) + 1:x}"
    return str(int(number) - 1) if number in ("32", "128", "255", "65535") else str(int(number) + 1)


def insertions(lines: Lines, foreign: Sequence[str]) -> Iterator[Mutation]:
    """Yield the dump with somebody else's rule before each of its own, and behind the last."""
    is_xt = any(line.startswith("*") for line in lines)
    inside = False
    for at, line in enumerate(lines):
        if is_xt:
            if not line.startswith("-A "):
                continue
            chain = line.split(" ", 2)[1]
            found = [f"-A {chain} {rule}" for rule in foreign]
        else:
            inside = line.startswith("\tchain ") or (inside and line != "\t}")
            if not inside or not line.startswith("\t\t") or line.strip()[:4] in ("type", "comm"):
                continue
            found = [f"\t\t{rule}" for rule in foreign]
        for rule in found:
            yield Mutation("insert", at + 1, rule.strip(), [*lines[:at], rule, *lines[at:]])
            yield Mutation(
                "append", at + 1, rule.strip(), [*lines[: at + 1], rule, *lines[at + 1 :]]
            )
