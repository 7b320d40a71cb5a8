"""Sets: what there are, the lines that change them, and that ipset carries them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from errno import EBADMSG, EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT
from typing import NamedTuple, TypeAlias

from attrs import evolve

from svcnet.errors import MAX_PART, ApplyError, one_line
from svcnet.executors.children import Overdue
from svcnet.executors.commands import complaint, run
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, reason
from svcnet.family import IPFamily
from svcnet.netfilter import ipset
from svcnet.netfilter.ipset import ObservedSet, wire
from svcnet.netfilter.ipset.wire import Header
from svcnet.netlink import NETLINK_NETFILTER
from svcnet.renderers.ipvs import ServerKey, VirtualServer
from svcnet.renderers.ipvs.part import Entry
from svcnet.renderers.ipvs.sections import RESIZED, create_line
from svcnet.renderers.ipvs.sets import IPVS_IPS, SETS, IPSet
from svcnet.words import count_noun

DRAIN = 900
"""Seconds after which a removed endpoint goes though it has connections."""
MAX_DRAINING = 1 << 22
"""How many endpoints may be removed in that time; a bound costs the kernel nothing."""

LOOKS = 3
"""How often sets are listed anew that are not what the kernel says: they may just have changed."""

NOT_DONE = "the kernel has not got what it says is done"

MOST_REFUSED = 8
"""How many lines about one set may be refused before the rest of them is not tried."""

_DRAINING = "hash:ip,port,ip"
_NO_IP_SET = (EINVAL, EPROTONOSUPPORT, EOPNOTSUPP)
"""With what a kernel answers that has no sets, or no nfnetlink at all."""

Put: TypeAlias = Callable[[str, str], str]
"""Writes a line about an entry of a set: :func:`svcnet.netfilter.ipset.add` or ``delete``."""

SetContents: TypeAlias = Mapping[str, tuple[IPSet, frozenset[str]]]
"""Each set that is to be, and its entries as ipset saves them."""


def draining(family: IPFamily) -> str:
    """Return the set of real servers that wait for their connections to end.

    An entry goes when the wait is over: the kernel counts its seconds, whoever is there to
    see it. That the set exists says that svcnet has made the others.
    """
    return "SVCNET-DRAINING" if family == "IPv4" else "SVCNET-6-DRAINING"


def all_sets(family: IPFamily) -> tuple[str, ...]:
    """Return the names of all sets of a family."""
    return (draining(family), *(definition.name_in(family) for definition in SETS))


def headers(machine: Machine, names: Iterable[str]) -> Mapping[str, Header]:
    """Return what the sets of these names are that there are. Raises ApplyError.

    The kernel is asked for each: a list of all sets is text, in which a name may hold anything.
    A kernel without ip_set has none; what it lacks is for :mod:`.probe` to say.
    """
    found = ((name, _header(machine, name)) for name in names)
    return {name: header for name, header in found if header is not None}


def _header(machine: Machine, name: str) -> Header | None:
    kind, body = wire.header_request(name)
    try:
        for answer in ask(NETLINK_NETFILTER, kind, body, dump=True, machine=machine):
            return _read_header(answer)
    except OSError as error:
        if error.errno == ENOENT or error.errno in _NO_IP_SET:
            return None
        raise complaint("ipset", reason(error), machine=machine) from None
    return None


def _read_header(answer: bytes) -> Header:
    """Return what an answer says. Raises OSError for one that is none."""
    try:
        return wire.parse_header(answer)
    except ValueError as error:
        raise OSError(EBADMSG, f"an answer that is no set: {error}") from None


def mark(machine: Machine, family: IPFamily) -> Iterator[bytes]:
    """Yield what all sets of a family are and have; equal bytes mean that nobody changed them.

    Seconds that endpoints which drain still have are left out. Raises OSError, and ValueError for
    what is no answer.
    """
    for name in all_sets(family):
        kind, body = wire.save_request(name)
        has_times = name == draining(family)
        try:
            for answer in ask(NETLINK_NETFILTER, kind, body, dump=True, machine=machine):
                yield from wire.fingerprint(answer, has_times=has_times)
        except OSError as error:
            if error.errno != ENOENT:
                raise
            yield b"no set"


def save(machine: Machine, wanted: Iterable[str]) -> Mapping[str, ObservedSet]:
    """Return those of the `wanted` sets that exist. Raises ApplyError.

    That is also for a listing that is not what the kernel itself says of them.
    """
    wanted = tuple(wanted)
    untrue = ""
    for _ in range(LOOKS):
        asked = headers(machine, wanted)
        if not asked:
            return {}
        text = _ipset(machine, "".join(map(ipset.save, asked)))
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
            yield f"has {count_noun(listed, 'entry')} of {name}, and the kernel {header.entries:,}"
        lines += 1 + listed
    printed = text.count("\n")
    if printed != lines and not any(each.has_comments for each in asked.values()):
        yield f"has {count_noun(printed, 'line')} in place of {lines:,}"


def wanted_entries(
    found: IPSet, foreign: set[ServerKey], servers: Mapping[ServerKey, VirtualServer]
) -> frozenset[str]:
    """Return the entries of a set as ipset saves them, without those of foreign servers."""
    entries: Iterable[str] = found.entries
    if foreign and found.definition == IPVS_IPS:
        addresses = {key.address for key in servers}
        entries = [entry for entry in entries if entry in addresses]
    elif foreign:
        portals = {f"{key.address},{key.protocol.lower()}:{key.port}" for key in foreign}
        entries = [entry for entry in entries if ",".join(entry.split(",")[:2]) not in portals]
    return saved_entries(evolve(found, entries=tuple(entries)))


def entries_in(observed: Mapping[str, ObservedSet], name: str) -> frozenset[str]:
    """Return the entries of a set that was observed, none if it does not exist."""
    found = observed.get(name)
    return found.entries if found else frozenset()


def saved_entries(found: IPSet) -> frozenset[str]:
    """Return the entries of a set as ipset saves them."""
    return frozenset(map(ipset.save_entry, found.entries))


class Kind(NamedTuple):
    """What the kernel cannot change of a set that is there, and what two sets share to be swapped.

    That is a type and a family; what else a set is created with comes with the swap.
    """

    type: str
    family: str

    @classmethod
    def of(cls, there: ObservedSet) -> Kind:
        return cls(there.type, there.options.get("family", ""))


def kind_of(found: IPSet) -> Kind:
    """Return the kind of a set as svcnet makes it."""
    return Kind(found.definition.type, _options(found).get("family", ""))


def others_kind(wanted: SetContents, there: Mapping[str, ObservedSet]) -> list[str]:
    """Return the names of the sets that somebody made anew as sets of another kind."""
    return [
        name
        for name, (found, _) in wanted.items()
        if name in there and Kind.of(there[name]) != kind_of(found)
    ]


def lines_up(
    wanted: SetContents, observed: Mapping[str, ObservedSet], family: IPFamily
) -> Iterator[str]:
    """Yield what makes each set be there with all its entries.

    It needs room for those that go as well, which stay until what they serve is gone.
    """
    if RESIZED in observed:
        yield ipset.destroy(RESIZED)
    yield from _lines_of_draining(observed, family)
    for name, (each, entries) in wanted.items():
        there = observed.get(name)
        held = entries_in(observed, name)
        together = evolve(each, entries=tuple(entries | held))
        if there is None:
            yield create_line(each)
        elif not _fits(there, together):
            yield from lines_resized(together)
            continue
        yield from _each(ipset.add, name, entries - held)


def _lines_of_draining(observed: Mapping[str, ObservedSet], family: IPFamily) -> Iterator[str]:
    """Yield what makes the set of those that drain be there; one of another kind says nothing."""
    name = draining(family)
    inet = "inet6" if family == "IPv6" else "inet"
    there = observed.get(name)
    options = f"family {inet} timeout {DRAIN} maxelem {MAX_DRAINING}"
    if there is None:
        yield ipset.create(name, _DRAINING, options)
    elif Kind.of(there) != Kind(_DRAINING, inet):
        yield ipset.destroy(name)
        yield ipset.create(name, _DRAINING, options)
    elif (there.options.get("timeout"), there.max_elements) != (str(DRAIN), MAX_DRAINING):
        yield ipset.create(RESIZED, _DRAINING, options)
        yield from _each(ipset.add, RESIZED, there.entries)
        yield ipset.swap(RESIZED, name)
        yield ipset.destroy(RESIZED)


def _fits(there: ObservedSet, wanted: IPSet) -> bool:
    """Return whether a set of the right kind is as svcnet makes it, and has room."""
    has_room = not there.max_elements or there.max_elements >= wanted.max_elements
    return has_room and there.is_plain and there.options == _options(wanted)


def _options(found: IPSet) -> dict[str, str]:
    """Return the options of a set that say what it does."""
    words = found.options.split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    return {name: value for name, value in given.items() if name in ("family", "range")}


def lines_resized(found: IPSet) -> Iterator[str]:
    """Yield what gives a set other options: only a new one has."""
    yield from lines_beside(found)
    yield ipset.swap(RESIZED, found.name)
    yield ipset.destroy(RESIZED)


def lines_beside(found: IPSet) -> Iterator[str]:
    """Yield what makes a set with other options beside the one that is there."""
    yield create_line(found, RESIZED)
    yield from _each(ipset.add, RESIZED, saved_entries(found))


def lines_anew(found: IPSet) -> Iterator[str]:
    """Yield what makes a set anew that no rule names."""
    yield ipset.destroy(found.name)
    yield create_line(found)
    yield from _each(ipset.add, found.name, saved_entries(found))


def lines_down(
    wanted: SetContents, observed: Mapping[str, ObservedSet], kept: Container[str]
) -> Iterator[str]:
    """Yield what takes the entries away that are not wanted, but for addresses that are kept."""
    for name, (_, entries) in wanted.items():
        gone = entries_in(observed, name) - entries
        yield from _each(ipset.delete, name, (e for e in gone if not is_kept(e, kept)))


def is_kept(entry: str, kept: Container[str]) -> bool:
    """Return whether an entry is of an address that is kept; a bare port is of none."""
    address = entry.partition(",")[0]
    return not address.isdigit() and address in kept


def lines_that_drain(entries: Iterable[str], family: IPFamily, seconds: int) -> Iterator[str]:
    """Yield what begins the time that real servers have for their connections to end."""
    name = draining(family)
    yield from (ipset.add(name, ipset.number_protocol(entry), seconds) for entry in entries)


def _each(put: Put, name: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in sorted(entries):
        yield put(name, ipset.number_protocol(entry))


def lines_of(put: Put, entries: Iterable[Entry], family: IPFamily) -> Iterator[str]:
    """Yield what adds entries of any sets, or deletes them, as `put` does."""
    for definition, entry in entries:
        yield put(definition.name_in(family), ipset.number_protocol(ipset.save_entry(entry)))


def restore(machine: Machine, text: str) -> None:
    """Carry out lines of ``ipset restore``. Raises ApplyError; lines before a bad one are done."""
    if told := _ipset(machine, text):
        # It says nothing there: whatever this is, it has not changed sets.
        raise ApplyError(f"ipset: printed what it never prints: {one_line(told.strip(), MAX_PART)}")


def _ipset(machine: Machine, text: str) -> str:
    return run("ipset", "ipset", "restore", stdin=text, machine=machine)


def carry_out(machine: Machine, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Carry out lines of ``ipset restore``, and yield those that are refused, and why.

    ipset stops at the first that is. What it holds back then, entries since the last line that
    was about a set itself, is given to it again with what follows. A set that cannot be made has
    no entries either.
    """
    refused: Counter[str] = Counter()
    left = list(lines)
    before = headers(machine, _set_names(lines))
    while left:
        try:
            restore(machine, "".join(left))
            if not refused:
                yield from ((line, NOT_DONE) for line in _not_done(machine, left, before))
            return
        except Overdue:
            raise
        except ApplyError as error:
            told = str(error)
        found = ipset.refusal(told)
        number = found[0] - 1 if found else len(left)
        if not found or number >= len(left):
            yield from ((line, told) for line in left)
            return
        bad = left[number]
        verb, name, _ = ipset.read(bad)
        yield bad, found[1]
        refused[name] += 1
        begin = max((i + 1 for i in range(number) if _is_of_set(left[i])), default=0)
        left = left[begin:number] + left[number + 1 :]
        if verb in ("create", "destroy") or refused[name] >= MOST_REFUSED:
            same = [line for line in left if name in line.split()[1:3]]
            yield from ((line, found[1]) for line in same)
            left = [line for line in left if name not in line.split()[1:3]]


def _set_names(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the sets that lines are about."""
    return tuple(dict.fromkeys(line.split(maxsplit=2)[1] for line in lines))


def _not_done(
    machine: Machine, lines: Sequence[str], before: Mapping[str, Header]
) -> Iterator[str]:
    """Yield the lines about each set with which the kernel surely has not done what they say.

    It shows in whether the set is there, and in how many entries it has where lines only add
    some, or only take some.
    """
    about: dict[str, list[str]] = {}
    for line in lines:
        about.setdefault(line.split(maxsplit=2)[1], []).append(line)
    swapped = {name for line in lines if line.startswith("swap ") for name in line.split()[1:]}
    after = headers(machine, about)
    for name, own in about.items():
        if name not in swapped and not _is_done(own, before.get(name), after.get(name)):
            yield from own


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


def own(family: IPFamily, there: Container[str]) -> list[str]:
    """Return the names of svcnet's sets that are there."""
    return [name for name in (RESIZED, *all_sets(family)) if name in there]


def remove(machine: Machine, family: IPFamily, there: Container[str]) -> Iterator[str]:
    """Destroy the sets that are there; yield what was done.

    One that a foreign rule uses cannot go, and is left empty.
    The one that tells that the others are ours goes last, and only when they are gone.
    """
    mark = draining(family)
    names = own(family, there)
    names.sort(key=mark.__eq__)
    restore(machine, "".join(map(ipset.flush, names)))
    used: list[str] = []
    for name in names:
        if (used and name == mark) or not _destroy(machine, name):
            used.append(name)
    yield f"{count_noun(len(names) - len(used), 'set')} removed"
    for name in used:
        if name != mark or used == [mark]:
            yield f"{name} is left, empty: a rule that is not svcnet's uses it"


def _destroy(machine: Machine, name: str) -> bool:
    """Return whether a set went, and not is used. Raises ApplyError where it is neither."""
    refused = ApplyError(f"ipset: destroy {name}: {NOT_DONE}")
    try:
        restore(machine, ipset.destroy(name))
    except ApplyError as error:
        refused = error
    stays = headers(machine, (name,)).get(name)
    if stays is None or stays.references:
        return stays is None
    raise refused
