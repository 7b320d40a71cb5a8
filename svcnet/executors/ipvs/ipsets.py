"""What sets there are, and changes of them carried out."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import EBADMSG, EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT
from struct import Struct

from attrs import frozen

from svcnet.errors import MAX_PART, ApplyError, one_line
from svcnet.executors.children import Overdue
from svcnet.executors.commands import complaint, run
from svcnet.executors.ipvs.refusals import Refusal
from svcnet.executors.netlink import ask, reason
from svcnet.netfilter import ipset
from svcnet.netfilter.ipset import ObservedSet
from svcnet.netlink import attribute, attributes

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
        text = run("ipset", "ipset", "restore", stdin="".join(map(ipset.save, asked)))
        found = ipset.parse_save(text)
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
        found = ipset.refusal(told)
        number = found[0] - 1 if found else len(left)
        if not found or number >= len(left):
            yield from (Refusal("ipset", line.strip(), told, line) for line in left)
            return
        bad = left[number]
        verb, name, _ = ipset.read(bad)
        yield Refusal("ipset", bad.strip(), found[1], bad)
        refused[name] += 1
        begin = max((i + 1 for i in range(number) if _is_of_set(left[i])), default=0)
        left = left[begin:number] + left[number + 1 :]
        if verb in ("create", "destroy") or refused[name] >= MOST_REFUSED:
            same = [line for line in left if name in line.split()[1:3]]
            yield from (Refusal("ipset", line.strip(), found[1], line) for line in same)
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
