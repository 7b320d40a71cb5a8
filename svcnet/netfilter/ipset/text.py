"""Sets and their entries as text: lines of ``ipset restore``, and what ``ipset save`` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from attrs import field, frozen

from svcnet.addresses import canonical_address

_NUMBERS = {"tcp": "6", "udp": "17", "sctp": "132"}
_NAMES = {number: name for name, number in _NUMBERS.items()}
_LINE = re.compile(r"Error in line (\d+): (.*)")
_VALUED = ("family", "range", "timeout", "netmask", "bitmask", "markmask", "maxelem", "size")
"""Options of ``create`` that have a value and say what the set does."""
_OF_NO_ACCOUNT = ("hashsize", "bucketsize", "initval")
"""Options of ``create`` with a value that is the kernel's own affair."""
_ADDRESS = r"[0-9A-Fa-f:.]+"
_PORTAL = rf"{_ADDRESS},\w+:\d+"
_ENTRIES = MappingProxyType(
    {
        "hash:ip": re.compile(_ADDRESS),
        "hash:ip,port": re.compile(_PORTAL),
        "hash:ip,port,ip": re.compile(rf"{_PORTAL},{_ADDRESS}"),
        "hash:ip,port,net": re.compile(rf"{_PORTAL},{_ADDRESS}(/\d+)?"),
        "bitmap:port": re.compile(r"\d+"),
    }
)
"""What an entry is of, for the types that svcnet uses."""


@frozen
class ObservedSet:
    """A set as ipset saves it.

    ``options`` are those of ``create`` that say what the set does, but for ``max_elements``,
    0 without a bound. ``entries`` are those of a form that svcnet writes. ``is_plain`` if they
    are all, and none has an option that svcnet does not give.
    """

    type: str
    options: Mapping[str, str]
    max_elements: int
    entries: frozenset[str]
    is_plain: bool = field(default=True)


class Line(NamedTuple):
    """What a line of ``ipset restore`` does; ``entry`` is empty for one about a set itself."""

    verb: str
    name: str
    entry: str


def create(name: str, kind: str, options: str) -> str:
    """Return the line that makes a set of a type where there is none of that name."""
    return f"create {name} {kind} {options} -exist\n"


def add(name: str, entry: str, timeout: int = 0) -> str:
    """Return the line that makes an entry be in a set, for `timeout` seconds if that is given."""
    end = f" timeout {timeout}" if timeout else ""
    return f"add {name} {entry}{end} -exist\n"


def delete(name: str, entry: str) -> str:
    """Return the line that makes an entry not be in a set."""
    return f"del {name} {entry} -exist\n"


def swap(name: str, other: str) -> str:
    """Return the line that has two sets change their names."""
    return f"swap {name} {other}\n"


def destroy(name: str) -> str:
    """Return the line that takes a set away."""
    return f"destroy {name}\n"


def flush(name: str) -> str:
    """Return the line that empties a set."""
    return f"flush {name}\n"


def save(name: str) -> str:
    """Return the line that has a set printed, to be read by :func:`parse_save`."""
    return f"save {name}\n"


def read(line: str) -> Line:
    """Return what a line does that one of these functions wrote; others have no entry."""
    verb, name, entry = (*line.split(" ", 3), "", "")[:3]
    return Line(verb, name.rstrip(), entry.rstrip() if verb in ("add", "del") else "")


def refusal(message: str) -> tuple[int, str] | None:
    """Return the number of the line, from 1, that ipset says it refuses, and why."""
    found = _LINE.search(message)
    return (int(found[1]), found[2]) if found else None


def parse_save(text: str) -> Mapping[str, ObservedSet]:
    """Return the sets in the output of ``ipset save``, by name.

    A line that is none of ipset's, such as one of a comment, leaves its set not plain.
    """
    heads: dict[str, tuple[str, dict[str, str], int]] = {}
    entries: dict[str, list[str]] = {}
    odd: set[str] = set()
    last = ""
    for line in text.split("\n"):
        words = line.split(" ", 3)
        match words:
            case ["create", name, kind, *rest] if name not in heads:
                heads[name], entries[name], last = _head(kind, " ".join(rest)), [], name
            case ["add", name, entry, *rest] if name in entries and _is_entry(entry, heads[name]):
                entries[name].append(entry)
                if rest and not rest[0].startswith("timeout "):
                    odd.add(name)
            case [""]:
                pass
            case _:
                odd.add(last)
    return {
        name: ObservedSet(
            kind, options, bound, frozenset(map(_canonical, entries[name])), name not in odd
        )
        for name, (kind, options, bound) in heads.items()
    }


def _head(kind: str, rest: str) -> tuple[str, dict[str, str], int]:
    """Return the type, the options and the bound of a set."""
    words = iter(rest.split())
    options: dict[str, str] = {}
    for word in words:
        if word in _OF_NO_ACCOUNT:
            next(words, "")
        else:
            options[word] = next(words, "") if word in _VALUED else ""
    bound = options.pop("maxelem", "")
    return kind, options, int(bound) if bound.isdecimal() and bound.isascii() else 0


def _is_entry(entry: str, head: tuple[str, dict[str, str], int]) -> bool:
    pattern = _ENTRIES.get(head[0])
    return pattern is not None and pattern.fullmatch(entry) is not None


def save_entry(entry: str) -> str:
    """Return how ipset saves an entry: a network of one address is that address.

    No network is /0, which the kernel does not take: a range of everybody is no firewall.
    """
    if "/" not in entry:
        return entry
    return entry.removesuffix("/128" if ":" in entry.rpartition(",")[2] else "/32")


def number_protocol(entry: str) -> str:
    """Return an entry with the number of its protocol in place of the name.

    ipset looks a name up in /etc/protocols for every entry, which takes it as long as all
    the rest.
    """
    place, comma, rest = entry.partition(",")
    protocol, colon, port = rest.partition(":")
    return f"{place}{comma}{_NUMBERS.get(protocol, protocol)}{colon}{port}"


def _canonical(entry: str) -> str:
    """Return an entry as it is compared, whatever the machine's ipset makes of it.

    Where there is no /etc/protocols it prints protocols as numbers. Some addresses of IPv6
    the C library prints as ::1.2.3.4, unlike RFC 5952.
    """
    place, comma, rest = entry.partition(",")
    protocol, colon, port = rest.partition(":")
    if protocol in _NAMES:
        entry = f"{place}{comma}{_NAMES[protocol]}{colon}{port}"
    if "." not in entry or "::" not in entry:
        return entry
    parts = (part.partition("/") for part in entry.split(","))
    return ",".join(
        (canonical_address(head) if "." in head else head) + slash + tail
        for head, slash, tail in parts
    )
