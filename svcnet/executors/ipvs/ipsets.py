"""What sets there are, and the one reader and the one writer of ipset's text."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import EBADMSG, EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT
from struct import Struct
from types import MappingProxyType

from attrs import field, frozen

from svcnet.addresses import canonical_address
from svcnet.errors import MAX_PART, ApplyError, one_line
from svcnet.executors.children import Overdue
from svcnet.executors.commands import complaint, run
from svcnet.executors.ipvs.refusals import Refusal
from svcnet.executors.netlink import ask, reason
from svcnet.netlink import attribute, attributes
from svcnet.renderers.ipvs.sections import kernel_entries

LOOKS = 3
"""How often sets are listed anew that are not what the kernel says: they may just have changed."""

NOT_DONE = "the kernel has not got what it says is done"

MOST_REFUSED = 8
"""How many lines about one set may be refused before the rest of them is not tried."""

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h
_NETLINK_NETFILTER = 12
_NFNL_SUBSYS_IPSET = 6
_NFGENMSG = Struct("=BBH")
_IPSET_PROTOCOL = 6  # the oldest that kernels of today speak
_IPSET_CMD_LIST = 7
_IPSET_ATTR_PROTOCOL = 1
_IPSET_ATTR_SETNAME = 2
_IPSET_ATTR_TYPENAME = 3
_IPSET_ATTR_FAMILY = 5
_IPSET_ATTR_FLAGS = 6
_IPSET_ATTR_DATA = 7
_IPSET_FLAG_LIST_HEADER = 1 << 2
# Of what is in IPSET_ATTR_DATA.
_IPSET_ATTR_TIMEOUT = 6
_IPSET_ATTR_CADT_FLAGS = 8
_IPSET_ATTR_MAXELEM = 19
_IPSET_ATTR_ELEMENTS = 24
_IPSET_ATTR_REFERENCES = 25
_IPSET_FLAG_WITH_COMMENT = 1 << 4
_FAMILIES = {int(socket.AF_INET): "inet", int(socket.AF_INET6): "inet6"}
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


@frozen
class Header:
    """What the kernel itself says of a set.

    ``entries`` is how many it has, None where the kernel is too old to say. With comments a
    listing may hold anything. ``references`` counts what uses it, such as rules.
    """

    type: str
    family: str
    max_elements: int
    timeout: str
    entries: int | None
    references: int
    has_comments: bool


def question(command: int, name: str) -> tuple[int, bytes]:
    """Return the kind and body of a netlink message about a set."""
    body = (
        _NFGENMSG.pack(socket.AF_UNSPEC, 0, 0)
        + attribute(_IPSET_ATTR_PROTOCOL, bytes([_IPSET_PROTOCOL]))
        + attribute(_IPSET_ATTR_SETNAME, name.encode() + b"\0")
    )
    return _NFNL_SUBSYS_IPSET << 8 | command, body


def there(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the names that are of sets in this network namespace. Raises ApplyError."""
    return tuple(headers(names))


def headers(names: Iterable[str]) -> Mapping[str, Header]:
    """Return what the sets of these names are that there are. Raises ApplyError.

    The kernel is asked for each: a list of all sets is text, in which a name may hold anything.
    A kernel without ip_set has none; what it lacks is for :mod:`.probe` to say.
    """
    found = ((name, _header(name)) for name in names)
    return {name: header for name, header in found if header is not None}


def _header(name: str) -> Header | None:
    kind, body = question(_IPSET_CMD_LIST, name)
    body += attribute(_IPSET_ATTR_FLAGS, _IPSET_FLAG_LIST_HEADER.to_bytes(4, "big"))
    try:
        for answer in ask(_NETLINK_NETFILTER, kind, body, dump=True):
            return _read_header(answer)
    except OSError as error:
        if error.errno == ENOENT or error.errno in _NO_IP_SET:
            return None
        raise complaint("ipset", reason(error)) from None
    return None


def _read_header(answer: bytes) -> Header:
    """Return what an answer says. Raises OSError for one that is none."""
    try:
        told = attributes(answer, _NFGENMSG.size)
        data = attributes(told.get(_IPSET_ATTR_DATA, b""))
    except ValueError as error:
        raise OSError(EBADMSG, f"an answer that is no set: {error}") from None

    def number(kind: int) -> int:
        return int.from_bytes(data.get(kind, b""), "big")

    return Header(
        type=told.get(_IPSET_ATTR_TYPENAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        family=_FAMILIES.get(int.from_bytes(told.get(_IPSET_ATTR_FAMILY, b""), "big"), ""),
        max_elements=number(_IPSET_ATTR_MAXELEM),
        timeout=str(number(_IPSET_ATTR_TIMEOUT)) if _IPSET_ATTR_TIMEOUT in data else "",
        entries=number(_IPSET_ATTR_ELEMENTS) if _IPSET_ATTR_ELEMENTS in data else None,
        references=number(_IPSET_ATTR_REFERENCES),
        has_comments=bool(number(_IPSET_ATTR_CADT_FLAGS) & _IPSET_FLAG_WITH_COMMENT),
    )


def save(wanted: Iterable[str]) -> Mapping[str, ObservedSet]:
    """Return those of the `wanted` sets that exist. Raises ApplyError.

    That is also for a listing that is not what the kernel itself says of them.
    """
    wanted = tuple(wanted)
    untrue = ""
    for _ in range(LOOKS):
        asked = headers(wanted)
        if not asked:
            return {}
        text = run("ipset", "ipset", "restore", stdin="".join(f"save {name}\n" for name in asked))
        found = parse_save(text)
        untrue = next(_untrue(text, found, asked), "")
        if not untrue:
            return found
    raise ApplyError(f"ipset: its listing {untrue}")


def _untrue(
    text: str, found: Mapping[str, ObservedSet], asked: Mapping[str, Header]
) -> Iterator[str]:
    """Yield what is wrong with a listing, given what the kernel says of the sets in it."""
    lines = 0
    for name, header in asked.items():
        if name not in found:
            yield f"lacks {name}, which the kernel has"
            return
        head, options = found[name], found[name].options
        family = options.get("family", header.family)
        told = (head.type, family, head.max_elements, options.get("timeout", ""))
        if told != (header.type, header.family, header.max_elements, header.timeout):
            yield f"has another {name} than the kernel"
        listed = len(head.entries) if head.is_plain else text.count(f"\nadd {name} ")
        if header.entries not in (None, listed) and not header.has_comments:
            yield f"has {listed} entries of {name}, and the kernel {header.entries}"
        lines += 1 + listed
    printed = text.count("\n")
    if printed != lines and not any(each.has_comments for each in asked.values()):
        yield f"has {printed} lines in place of {lines}"


def restore(text: str) -> None:
    """Carry out lines of ``ipset restore``. Raises ApplyError; lines before a bad one are done."""
    if told := run("ipset", "ipset", "restore", stdin=text):
        # It says nothing there: whatever this is, it has not changed sets.
        raise ApplyError(f"ipset: printed what it never prints: {one_line(told.strip(), MAX_PART)}")


def carry_out(lines: Sequence[str]) -> Iterator[Refusal]:
    """Carry out lines of ``ipset restore``, and yield those that are refused.

    ipset stops at the first that is. What it holds back then, entries since the last line that
    was about a set itself, is given to it again with what follows. A set that cannot be made has
    no entries either.
    """
    refused: Counter[str] = Counter()
    left = list(lines)
    before = headers(_named(lines))
    while left:
        try:
            restore("".join(left))
            if not refused:
                yield from _not_done(left, before)
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


def _named(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the sets that lines are about."""
    return tuple(dict.fromkeys(line.split(maxsplit=2)[1] for line in lines))


def _not_done(lines: Sequence[str], before: Mapping[str, Header]) -> Iterator[Refusal]:
    """Yield the lines about each set with which the kernel surely has not done what they say.

    It shows in whether the set is there, and in how many entries it has where lines only add
    some, or only take some.
    """
    about: dict[str, list[str]] = {}
    for line in lines:
        about.setdefault(line.split(maxsplit=2)[1], []).append(line)
    swapped = {name for line in lines if line.startswith("swap ") for name in line.split()[1:]}
    after = headers(about)
    for name, own in about.items():
        if name not in swapped and not _is_done(own, before.get(name), after.get(name)):
            yield from (Refusal("ipset", line.strip(), NOT_DONE, line) for line in own)


def _is_done(lines: Sequence[str], had: Header | None, has: Header | None) -> bool:
    """Return whether lines about one set may be done, by what the set was and is."""
    verbs = {line.split(maxsplit=1)[0] for line in lines}
    if {"create", "destroy"} <= verbs:
        return True
    if "create" in verbs or "destroy" in verbs:
        return (has is None) is ("destroy" in verbs)
    # Entries of a set with a timeout go by themselves.
    if had is None or has is None or had.timeout or None in (had.entries, has.entries):
        return True
    assert had.entries is not None
    assert has.entries is not None
    if verbs == {"add"}:
        return has.entries > had.entries
    return verbs != {"del"} or has.entries < had.entries


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
        (canonical_address(head) if "." in head else head) + slash + tail
        for head, slash, tail in parts
    )
