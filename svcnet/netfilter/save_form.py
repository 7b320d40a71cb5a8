"""The form in which iptables-save prints a rule that was written in another.

Rules that are wanted and rules that are there are compared as text in this form. It is that of
iptables 1.8, both variants alike, for the matches and targets that svcnet writes. Should another
version print a rule in another way, that rule is needlessly written again; nothing worse follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from types import MappingProxyType
from typing import TypeAlias

from svcnet.family import IPFamily
from svcnet.netfilter.words import NAMES, OpenQuote, quote, unquote, words

_HEAD = MappingProxyType({"-s": 0, "-d": 1, "-i": 2, "-o": 3, "-p": 4})
"""What is printed before all else, in this order, wherever it was written."""
_ENDS = ("-m", "-j", "-g")
_RECENT = ("--set", "--rcheck", "--seconds", "--reap", "--name", "--mask", "--rsource")
_IPVS = ("--vproto", "--vaddr", "--vport")
_PROTOCOLS = MappingProxyType({"tcp": "6", "udp": "17", "sctp": "132"})
_MASKS = MappingProxyType(
    {"IPv4": "255.255.255.255", "IPv6": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
)
_REJECT = MappingProxyType({"IPv4": "icmp-port-unreachable", "IPv6": "icmp6-port-unreachable"})
_BRACKETS = re.compile(r"\[([^]]+)\]")


def save_rule(rule: str, family: IPFamily) -> str:
    """Return how iptables-save prints a rule, both without ``-A CHAIN``.

    What is in that form already stays as it is.
    """
    found = _words(rule)
    if found is None:
        return rule
    rest = iter(found)
    printed = [""] * len(_HEAD)
    get = _PRINTERS.get
    for word in rest:
        put = get(word)
        if put is None:
            printed.append(word)
        else:
            put(word, rest, printed, family)
    return " ".join(filter(None, printed))


def _words(rule: str) -> list[str] | None:
    """Return the words of a rule; None for what only somebody else can have written."""
    if '"' not in rule:
        return rule.split(" ")
    before, opening, text = rule.partition(' "')
    text, closing, after = text.partition('"')
    if opening and closing and (not after or after[0] == " "):
        rest = before + after
        if '"' not in rest and "\\" not in rule:
            return [*before.split(" "), f'"{text}"', *after.split(" ")]
    if "\n" in rule:
        return None
    try:
        return [rule[begin:end] for begin, end in words(rule)]
    except OpenQuote:
        return None


_Print: TypeAlias = Callable[[str, Iterator[str], list[str], IPFamily], None]
"""Prints a word, and what follows it of `rest`, to the end of what is printed already."""


def _head(option: str, rest: Iterator[str], printed: list[str], family: IPFamily) -> None:
    """Print an address, an interface or a protocol, but no address that always matches."""
    value = next(rest, "")
    is_negated = printed[-1] == "!"
    if is_negated:
        printed.pop()
    if option in ("-s", "-d"):
        value = _address(value, family, is_negated=is_negated)
    if value:
        printed[_HEAD[option]] = f"! {option} {value}" if is_negated else f"{option} {value}"


def _address(text: str, family: IPFamily, *, is_negated: bool) -> str:
    """Return an address or network with its prefix length; nothing for one that has them all."""
    if family == "IPv4" and "/" not in text:
        # Its text is one, whoever wrote it: iptables takes 010 for 8, so nobody does.
        return f"{text}/32"
    network = _network(text, family)
    return "" if network.endswith("/0") and not is_negated else network


@lru_cache(1024)
def _network(text: str, family: IPFamily) -> str:
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
    except (OSError, ValueError, OverflowError):
        return text
    return f"{inet_ntop(number, first)}/{prefix}"


def _name(option: str, rest: Iterator[str], printed: list[str], _: IPFamily) -> None:
    """Print a name as it is, also one that looks like an option."""
    printed += (option, next(rest, ""))


def _comment(option: str, rest: Iterator[str], printed: list[str], _: IPFamily) -> None:
    printed += (option, quote(unquote(next(rest, ""))))


def _destination(option: str, rest: Iterator[str], printed: list[str], family: IPFamily) -> None:
    """Print where to translate to; an address of IPv6 is in brackets, as in ``[fd00::1]:80``."""
    place = next(rest, "")
    if "[" in place:
        place = _BRACKETS.sub(lambda m: f"[{_network(m[1], family).partition('/')[0]}]", place)
    printed += (option, place)


def _counter(option: str, rest: Iterator[str], printed: list[str], _: IPFamily) -> None:
    """Print the name of a counter, before which there are two blanks."""
    printed.append(f"{option}  {next(rest, '') or next(rest, '')}")


def _chance(option: str, rest: Iterator[str], printed: list[str], _: IPFamily) -> None:
    printed += (option, _probability(next(rest, "")))


@cache
def _probability(text: str) -> str:
    """Return a chance as the kernel holds it, in units of 2**-31 (xt_statistic.h)."""
    try:
        return f"{round(float(text) * 0x80000000) / 0x80000000:.11f}"
    except (ValueError, OverflowError):
        return text


def _mark(option: str, rest: Iterator[str], printed: list[str], _: IPFamily) -> None:
    """Print what a mark has to be, or how it is changed: there is one way to say each change."""
    value, _slash, mask = next(rest, "").partition("/")
    bits = _number(value)
    match option:
        case "--mark":
            printed += (option, f"{bits}/{_number(mask)}" if mask else bits)
        case "--or-mark":
            printed += ("--set-xmark", f"{bits}/{bits}")
        case _:
            printed += ("--set-xmark", f"{bits}/0x0")


@cache
def _number(text: str) -> str:
    try:
        return f"{int(text, 0):#x}"
    except ValueError:
        return text


def _reject(target: str, rest: Iterator[str], printed: list[str], family: IPFamily) -> None:
    """Print with what a packet is rejected, also where that was left to be the usual."""
    printed.append(target)
    if printed[-2] == "-j":
        printed += (next(rest, "--reject-with"), next(rest, _REJECT[family]))


def _recent(match: str, rest: Iterator[str], printed: list[str], family: IPFamily) -> None:
    found, end = _options(match, rest, printed, family)
    if found:
        found = {"--mask": f"--mask {_MASKS[family]}", "--rsource": "--rsource", **found}
    printed += (*_in_order(found, _RECENT), end)


def _ipvs(match: str, rest: Iterator[str], printed: list[str], family: IPFamily) -> None:
    found, end = _options(match, rest, printed, family)
    for name, number in _PROTOCOLS.items():
        if found.get("--vproto") == f"--vproto {name}":
            found["--vproto"] = f"--vproto {number}"
    printed += (*_in_order(found, _IPVS), end)


def _options(
    match: str, rest: Iterator[str], printed: list[str], family: IPFamily
) -> tuple[dict[str, str], str]:
    """Return the options of a match with their values, and the word that ends them.

    They are none where the word only looks like the match's name.
    """
    printed.append(match)
    found: dict[str, str] = {}
    option = negation = ""
    for word in rest if printed[-2] == "-m" else ():
        if word in _ENDS:
            return found, word
        if word == "!":
            negation = "! "
        elif word in _HEAD:
            printed += negation.split()
            _head(word, rest, printed, family)
            negation = ""
        elif word.startswith("--"):
            option = word
            found[option] = f"{negation}{word}"
            negation = ""
        else:
            found[option] = f"{found.get(option, '')} {word}"
    return found, ""


def _in_order(options: dict[str, str], order: Iterable[str]) -> Iterator[str]:
    """Yield options with their values: those of an order in that, and others behind."""
    yield from (options.pop(option) for option in order if option in options)
    yield from options.values()


_PRINTERS: Mapping[str, _Print] = MappingProxyType(
    {
        **dict.fromkeys(NAMES - {"-j"}, _name),
        **dict.fromkeys(_HEAD, _head),
        "--comment": _comment,
        "--to-destination": _destination,
        "--nfacct-name": _counter,
        "--probability": _chance,
        "--mark": _mark,
        "--or-mark": _mark,
        "--xor-mark": _mark,
        "REJECT": _reject,
        "recent": _recent,
        "ipvs": _ipvs,
    }
)
"""How words are printed that are not printed as they were written."""
