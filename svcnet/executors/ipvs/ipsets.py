"""What sets there are, and the one reader and the one writer of ipset's text."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT
from struct import Struct
from types import MappingProxyType

from attrs import field, frozen

from svcnet.errors import ApplyError
from svcnet.executors.children import Overdue
from svcnet.executors.commands import hint, run
from svcnet.executors.ipvs.refusals import Refusal
from svcnet.executors.netlink import ask, reason
from svcnet.netlink import attribute
from svcnet.renderers.ipvs.sections import kernel_entries
from svcnet.renderers.ipvs.wire import canonical_address

MOST_REFUSED = 8
"""How many lines about one set may be refused before the rest of them is not tried."""

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h
_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_IPSET = 6
_NFGENMSG = Struct("=BBH")
_IPSET_PROTOCOL = 6  # the oldest that kernels of today speak
_IPSET_CMD_HEADER = 12
_IPSET_ATTR_PROTOCOL = 1
_IPSET_ATTR_SETNAME = 2
_NO_IP_SET = (EINVAL, EPROTONOSUPPORT, EOPNOTSUPP)
"""With what a kernel answers that has no sets, or no nfnetlink at all."""

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


def question(command: int, name: str) -> tuple[int, bytes]:
    """Return the kind and body of a netlink message about a set."""
    body = (
        _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)
        + attribute(_IPSET_ATTR_PROTOCOL, bytes([_IPSET_PROTOCOL]))
        + attribute(_IPSET_ATTR_SETNAME, name.encode() + b"\0")
    )
    return _NFNL_SUBSYS_IPSET << 8 | command, body


def there(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names that are of sets in this network namespace. Raises ApplyError.

    The kernel is asked for each: a list of all sets is text, in which a name may hold anything.
    A kernel without ip_set has none; what it lacks is for :mod:`.probe` to say.
    """
    return tuple(name for name in names if _is_there(name))


def _is_there(name: str) -> bool:
    kind, body = question(_IPSET_CMD_HEADER, name)
    try:
        return bool(list(ask(_NETLINK_NETFILTER, kind, body)))
    except OSError as error:
        if error.errno == ENOENT or error.errno in _NO_IP_SET:
            return False
        raise ApplyError(f"ipset: {reason(error)}{hint(reason(error))}") from None


def save(wanted: Iterable[str]) -> Mapping[str, ObservedSet]:
    """Return those of the `wanted` sets that exist. Raises ApplyError.

    That is also for a listing that lacks one of them: the kernel has said that it is there.
    """
    asked = there(wanted)
    if not asked:
        return {}
    commands = "".join([f"save {name}\n" for name in asked])
    found = parse_save(run("ipset", "ipset", "restore", stdin=commands))
    lacking = [name for name in asked if name not in found]
    if lacking:
        raise ApplyError(f"ipset: its listing lacks {lacking[0]}, which the kernel has")
    return found


def restore(text: str) -> None:
    """Carry out lines of ``ipset restore``. Raises ApplyError; lines before a bad one are done."""
    run("ipset", "ipset", "restore", stdin=text)


def carry_out(lines: Sequence[str]) -> Iterator[Refusal]:
    """Carry out lines of ``ipset restore``, and yield those that are refused.

    ipset stops at the first that is. What it holds back then, entries since the last line that
    was about a set itself, is given to it again with what follows. A set that cannot be made has
    no entries either.
    """
    refused: Counter[str] = Counter()
    left = list(lines)
    while left:
        try:
            restore("".join(left))
            return
        except Overdue:
            raise
        except ApplyError as error:
            told = str(error)
        found = _LINE.search(told)
        number = int(found[1]) - 1 if found else len(left)
        if not found or number >= len(left):
            yield from (Refusal("ipset", line.strip(), told, line) for line in left)
            return
        bad = left[number]
        verb, name, *_ = bad.split()
        yield Refusal("ipset", bad.strip(), found[2], bad)
        refused[name] += 1
        begin = max((i + 1 for i in range(number) if _is_of_set(left[i])), default=0)
        left = left[begin:number] + left[number + 1 :]
        if verb in ("create", "destroy") or refused[name] >= MOST_REFUSED:
            same = [line for line in left if name in line.split()[1:3]]
            yield from (Refusal("ipset", line.strip(), found[2], line) for line in same)
            left = [line for line in left if name not in line.split()[1:3]]


def _is_of_set(line: str) -> bool:
    return not line.startswith(("add ", "del "))


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
        _address(head) + slash + tail if "." in head and ":" in head else head + slash + tail
        for head, slash, tail in parts
    )


def _address(text: str) -> str:
    try:
        return canonical_address(text)
    except OSError:
        return text
