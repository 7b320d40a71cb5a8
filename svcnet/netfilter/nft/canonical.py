"""The one form of a rule or an element that nft reads and prints in several.

nft says ``meta mark & 0x00004000`` of what was written ``mark and 0x4000``, sorts the elements of a
set without a name and joins those that touch, and has numbers for protocols on a machine without
``/etc/protocols``. Two texts that mean the same to it are the same here:

- words have one blank between them, operators are signs, numbers decimal, addresses in their
  shortest form, times in seconds (with up to three digits behind the point), protocols names;
- a name is in quotation marks only if it needs them;
- ``meta`` is there where nft prints it, ``==`` only behind a calculation;
- what nft says without being told is left out: ``counter`` has no numbers, ``reject`` no reason
  that it has anyhow, ``numgen`` no offset of 0, and a set of one element is that element;
- elements are sorted, and of addresses the smallest set of networks and ranges.

Words are not understood, only written alike: what a rule does is for others to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from svcnet.netfilter.nft.numbers import (
    MOST_DIGITS,
    OPERATORS,
    ROUTES,
    STATES,
    STATUSES,
    protocol,
    seconds,
)
from svcnet.netfilter.nft.spans import join_spans, shortest
from svcnet.netfilter.nft.words import interface

_WORD = re.compile(
    r'"[^"]*"\*?|@(?:ll|nh|th|ih),\d+,\d+|[{}(),;|]|\[[^]\s]*\][^\s{}(),;|"]*|[^\s{}(),;|"]+|"'
)
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}")
_MASKED = re.compile(r"(0x[0-9a-f]{1,8})/(\d{1,2})")
"""A mark and how many of its first bits count, which nft 1.0.6 prints for a mask of these."""
_MARK_BITS = 32
_ALONE = frozenset(("iif", "iifname", "iifgroup", "oif", "oifname", "oifgroup"))
"""What nft prints without ``meta``."""

_META = frozenset(
    (
        *("mark", "skuid", "skgid", "nftrace", "rtclassid", "pkttype", "cpu", "cgroup"),
        *("iiftype", "oiftype", "ibrname", "obrname", "ibriport", "obriport"),
    )
)
"""What may be written without ``meta``, with which nft prints it."""

_CALCULATION = frozenset(("&", "|", "^", "<<", ">>"))
_TIMES = frozenset(("timeout", "expires"))
_PROTOCOL_FIELDS = frozenset(("l4proto", "protocol", "nexthdr"))

Words: TypeAlias = list[str]


def words_of(text: str) -> Words:
    """Return the words of a text in its own spelling; an unended quotation is a word of its own."""
    return _WORD.findall(text)


def canonical(text: str) -> str:
    """Return a rule in its one form, without a comment; `text` has none either."""
    return " ".join(_statement([_plain(word) for word in words_of(text)]))


def canonical_key(text: str, types: Sequence[str]) -> str:
    """Return the key of an element, whose parts are of `types`, in its one form."""
    if " " not in text and types != ("inet_proto",):
        return _plain(text)
    parts = [" ".join(_plain(word) for word in words_of(part)) for part in text.split(" . ")]
    for at, type_ in enumerate(types):
        if type_ == "inet_proto" and at < len(parts):
            parts[at] = protocol(parts[at])
    return " . ".join(parts)


@lru_cache(1 << 16)
def _plain(word: str) -> str:
    """Return the one form of a word that needs no other words to be understood."""
    first = word[:1]
    if first == '"':
        return _name(word)
    if found := OPERATORS.get(word):
        return found
    if first == "0" and _HEX.fullmatch(word):
        return str(int(word, 16))
    if ":" in word or "/" in word or ("-" in word and first.isdigit()):
        return shortest(word)
    return word


def _name(word: str) -> str:
    """Return a quoted word without its quotation marks, where it means the same without."""
    if len(word) < 2 or word[-1] != '"':
        return word
    text = word[1:-1]
    return word if text in _PUT or text in OPERATORS else interface(text)


def _statement(words: Words) -> Words:
    """Return the words of a statement in their one form."""
    printed: Words = []
    at, end = 0, len(words)
    get = _PUT.get
    while at < end:
        word = words[at]
        put = get(word)
        if put is None:
            printed.append(word)
            at += 1
        else:
            at = put(words, at, printed)
    return printed


_Put: TypeAlias = Callable[[Words, int, Words], int]
"""Prints a word, and what belongs to it, behind what is printed; returns where it goes on."""


def _meta(words: Words, at: int, printed: Words) -> int:
    """Have ``meta`` before a word, unless that is what it already has, or something else."""
    if not printed or printed[-1] not in ("meta", "ct", "socket"):
        printed.append("meta")
    printed.append(words[at])
    at += 1
    is_not = words[at : at + 1] == ["!="]
    if masked := _MASKED.fullmatch("".join(words[at + is_not : at + is_not + 1])):
        value, bits = int(masked[1], 16), min(int(masked[2]), _MARK_BITS)
        mask = (1 << bits) - 1 << _MARK_BITS - bits
        printed += ("&", str(mask), "!=" if is_not else "==", str(value))
        at += 1 + is_not
    return at


def _fib(words: Words, at: int, printed: Words) -> int:
    """Copy what is asked about a route: the fields have no ``meta``."""
    printed.append("fib")
    at += 1
    while at < len(words) and words[at] in _FIB:
        printed.append(words[at])
        at += 1
    if printed[-1] == "check":  # nft 1.1 for what was an interface
        printed[-1] = "oif"
    if printed[-1] == "type" and words[at : at + 1] == ["!="]:
        printed.append("!=")
        at += 1
    if at < len(words) and words[at] in ROUTES:
        printed.append(ROUTES[words[at]])
        at += 1
    return at


_FIB = frozenset(("saddr", "daddr", "mark", "iif", "oif", ".", "check", "oifname", "type"))


def _bare(words: Words, at: int, printed: Words) -> int:
    """Leave ``meta`` out where nft does."""
    if at + 1 < len(words) and words[at + 1] in _ALONE:
        return at + 1
    printed.append("meta")
    return at + 1


def _equals(_words: Words, at: int, printed: Words) -> int:
    """Say ``==`` behind a calculation only."""
    if len(printed) > 1 and (printed[-2] in _CALCULATION or printed[-1] == ")"):
        printed.append("==")
    return at + 1


def _counter(words: Words, at: int, printed: Words) -> int:
    """Leave out what was counted."""
    printed.append("counter")
    if words[at + 1 : at + 2] == ["packets"] and words[at + 3 : at + 4] == ["bytes"]:
        return at + 5
    return at + 1


def _reject(words: Words, at: int, printed: Words) -> int:
    """Leave out the reason that a rejection has without saying so."""
    printed.append("reject")
    rest = words[at + 1 : at + 5]
    if rest[:1] == ["with"] and rest[1:2] in (["icmp"], ["icmpv6"], ["icmpx"]):
        skip = 1 if rest[2:3] == ["type"] else 0
        if rest[2 + skip : 3 + skip] == ["port-unreachable"]:
            return at + 4 + skip
        if skip:
            printed += rest[:2]
            return at + 4
    return at + 1


def _translation(words: Words, at: int, printed: Words) -> int:
    """Leave out that a translation is of address and port, which its values show."""
    printed.append(words[at])
    at += 1
    if at < len(words) and words[at] in ("ip", "ip6"):
        printed.append(words[at])
        at += 1
    if words[at : at + 3] == ["addr", ".", "port"]:
        at += 3
    return at


def _protocol(words: Words, at: int, printed: Words) -> int:
    """Name the protocols that a field is compared with."""
    printed.append(words[at])
    at += 1
    if at < len(words) and words[at] in ("==", "!="):
        if words[at] == "!=":
            printed.append("!=")
        at += 1
    if at < len(words) and words[at] not in ("{", "."):
        printed.append(protocol(words[at]))
        at += 1
    return at


def _number_generator(words: Words, at: int, printed: Words) -> int:
    """Leave out an offset that is none."""
    if words[at + 1 : at + 2] == ["0"]:
        return at + 2
    printed.append("offset")
    return at + 1


def _burst(words: Words, at: int, printed: Words) -> int:
    """Leave out the burst that a limit has without one."""
    if words[at + 1 : at + 3] == ["5", "packets"]:
        return at + 3
    printed.append("burst")
    return at + 1


def _time(words: Words, at: int, printed: Words) -> int:
    """Have a time in seconds."""
    printed.append(words[at])
    at += 1
    if at < len(words):
        found = seconds(words[at])
        printed.append(words[at] if found is None else f"{found:.3f}".rstrip("0").rstrip(".") + "s")
        at += 1
    return at


def _state(words: Words, at: int, printed: Words) -> int:
    """Have states that are said as flags in one order."""
    names = STATES if words[at] == "state" else STATUSES
    printed.append(words[at])
    at += 1
    if at < len(words) and words[at] in ("==", "!="):
        if words[at] == "!=":
            printed.append("!=")
        at += 1
    flags = words[at : at + 1]
    if not flags or flags[0] in ("{", "vmap", "set", "&", "."):
        return at
    at += 1
    while words[at : at + 1] in ([","], ["|"]) and at + 1 < len(words):
        flags.append(words[at + 1])
        at += 2
    printed.append(",".join(sorted(names.get(each, each) for each in flags)))
    return at


def _braces(words: Words, at: int, printed: Words) -> int:
    """Print a set or map without a name: its elements in order, joined where they touch."""
    end = _closing(words, at)
    if end is None:
        printed += words[at:]
        return len(words)
    before = printed[-1] if printed else ""
    if before[:1] == "@":
        printed += ("{", *_statement(words[at + 1 : end]), "}")
        return end + 1
    named = _protocols_at(printed)
    elements = [_element(part, named) for part in _split(words, at + 1, end)]
    is_map = before in ("map", "vmap")
    if not is_map:
        elements = join_spans(elements)
    if is_map or len(elements) != 1:
        elements.sort(key=_order if _is_counted(elements) else None)
        printed += ("{", " , ".join(elements), "}") if elements else ("{", "}")
    else:
        printed.append(elements[0])
    return end + 1


def _closing(words: Words, at: int) -> int | None:
    """Return where the braces that begin at a place end; None if nowhere, or others begin first."""
    try:
        end = words.index("}", at)
    except ValueError:
        return None
    return None if "{" in words[at + 1 : end] else end


def _split(words: Words, begin: int, end: int) -> Iterator[Words]:
    """Yield the words of each element."""
    part: Words = []
    for word in words[begin:end]:
        if word == ",":
            yield part
            part = []
        else:
            part.append(word)
    if part:
        yield part


def _element(words: Words, named: Iterable[int]) -> str:
    """Return an element; `named` are the places, from the end of its key, where protocols are."""
    if not _PUT.keys().isdisjoint(words):
        words = _statement([word for word in words if word != "{"])
    if named:
        end = words.index(":") if ":" in words else len(words)
        parts = " ".join(words[:end]).split(" . ")
        for place in named:
            if place < len(parts):
                parts[-1 - place] = protocol(parts[-1 - place])
        return " ".join([" . ".join(parts), *words[end:]])
    return " ".join(words)


def _protocols_at(printed: Words) -> tuple[int, ...]:
    """Return where, counted from the end, the fields before a set are protocols."""
    found = []
    place = gap = 0
    begin = -2 if printed[-1:] in (["map"], ["vmap"], ["!="]) else -1
    after = ""
    for word in reversed(printed[: begin + 1] if begin < -1 else printed):
        if word == ".":
            place, gap = place + 1, 0
        elif word in _PROTOCOL_FIELDS and after in ("", "."):
            found.append(place)
        gap += 1
        after = word
        if gap > 3:
            break
    return tuple(found)


def _is_counted(elements: Iterable[str]) -> bool:
    """Return whether the key of every element is a number."""
    return all(each.partition(" ")[0].isdecimal() for each in elements)


def _order(element: str) -> tuple[int, str]:
    key = element.partition(" ")[0]
    return (int(key) if len(key) < MOST_DIGITS else 0), element


_PUT: Mapping[str, _Put] = MappingProxyType(
    {
        **dict.fromkeys(_META, _meta),
        **dict.fromkeys(_TIMES, _time),
        **dict.fromkeys(_PROTOCOL_FIELDS, _protocol),
        **dict.fromkeys(("state", "status"), _state),
        **dict.fromkeys(("dnat", "snat"), _translation),
        "meta": _bare,
        "fib": _fib,
        "==": _equals,
        "counter": _counter,
        "reject": _reject,
        "burst": _burst,
        "offset": _number_generator,
        "{": _braces,
    }
)
"""How words are printed that are not printed as they are."""
