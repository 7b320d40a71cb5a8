"""Running ipset: what sets there are, and how an entry is written for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.commands import find, run
from svcnet.renderers.ipvs.sections import kernel_entries
from svcnet.renderers.ipvs.wire import canonical_address

_MAX_ELEMENTS = re.compile(r" maxelem (\d+)")
_NO_IP_SET = ("Kernel error received: Invalid argument", "Cannot open session to kernel")
_NUMBERS = {"tcp": "6", "udp": "17", "sctp": "132"}
_NAMES = {number: name for name, number in _NUMBERS.items()}


@frozen
class ObservedSet:
    """A set as ipset saves it; entries without their options, such as a timeout."""

    type: str
    max_elements: int
    entries: frozenset[str]


def is_installed() -> bool:
    """Return whether the command is there."""
    return find("ipset") is not None


def names() -> frozenset[str]:
    """Return the names of all sets of this network namespace. Raises ApplyError.

    A kernel without ip_set has none; what it lacks is for :mod:`.probe` to say.
    """
    try:
        return frozenset(run("ipset", "ipset", "list", "-n").split())
    except ApplyError as error:
        if any(words in str(error) for words in _NO_IP_SET):
            return frozenset()
        raise


def save(wanted: Iterable[str]) -> Mapping[str, ObservedSet]:
    """Return those of the `wanted` sets that exist. Raises ApplyError."""
    there = names()
    commands = "".join([f"save {name}\n" for name in wanted if name in there])
    return parse_save(run("ipset", "ipset", "restore", stdin=commands)) if commands else {}


def restore(text: str) -> None:
    """Carry out lines of ``ipset restore``. Raises ApplyError; lines before a bad one are done."""
    run("ipset", "ipset", "restore", stdin=text)


def parse_save(text: str) -> Mapping[str, ObservedSet]:
    """Return the sets in the output of ``ipset save``, by name."""
    heads: dict[str, str] = {}
    entries: dict[str, list[str]] = {}
    for line in text.splitlines():
        verb, name, *rest = line.split(" ", 2)
        if verb == "create":
            heads[name], entries[name] = rest[0], []
        elif verb == "add":
            entries[name].append(rest[0].split(" ", 1)[0])
    return {
        name: ObservedSet(
            head.split(" ", 1)[0],
            int(found[1]) if (found := _MAX_ELEMENTS.search(head)) else 0,
            frozenset(map(_canonical, entries[name])),
        )
        for name, head in heads.items()
    }


def as_saved(entry: str) -> Iterable[str]:
    """Return how ipset saves an entry: a network of one address is that address, /0 two halves."""
    if "/" not in entry:
        return (entry,)
    host = "/128" if ":" in entry.rpartition(",")[2] else "/32"
    return [part.removesuffix(host) for part in kernel_entries(entry)]


def as_written(entry: str) -> str:
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
        canonical_address(head) + slash + tail
        if "." in head and ":" in head
        else head + slash + tail
        for head, slash, tail in parts
    )
