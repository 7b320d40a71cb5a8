"""Changes of sets, as lines of ``ipset restore``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from attrs import evolve

from svcnet.executors.ipvs.excluded import Excluded
from svcnet.executors.ipvs.names import DRAIN, MAX_DRAINING, draining
from svcnet.executors.ipvs.observe import Observed
from svcnet.netfilter import ipset
from svcnet.netfilter.ipset import ObservedSet
from svcnet.renderers.ipvs import ServerKey, VirtualServer
from svcnet.renderers.ipvs.part import Entry
from svcnet.renderers.ipvs.sections import RESIZED, create_line
from svcnet.renderers.ipvs.sets import IPVS_IPS, IPSet


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


def saved_entries(found: IPSet) -> frozenset[str]:
    """Return the entries of a set as ipset saves them."""
    return frozenset(part for entry in found.entries for part in ipset.saved(entry))


Put: TypeAlias = Callable[[str, str], str]
"""Writes a line about an entry of a set: :func:`svcnet.netfilter.ipset.add` or ``delete``."""

Wanted = Mapping[str, tuple[IPSet, frozenset[str]]]


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


def others_kind(wanted: Wanted, observed: Observed) -> list[str]:
    """Return the names of the sets that somebody made anew as sets of another kind."""
    return [
        name
        for name, (found, _) in wanted.items()
        if name in observed.sets and Kind.of(observed.sets[name]) != kind_of(found)
    ]


def lines_up(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield what makes each set be there with all its entries.

    It needs room for those that go as well, which stay until what they serve is gone.
    """
    if RESIZED in observed.sets:
        yield ipset.destroy(RESIZED)
    yield from _lines_of_draining(observed)
    for name, (each, entries) in wanted.items():
        there = observed.sets.get(name)
        together = evolve(each, entries=tuple(entries | observed.entries(name)))
        if there is None:
            yield create_line(each)
        elif not _fits(there, together):
            yield from lines_resized(together)
            continue
        yield from _each(ipset.add, name, entries - observed.entries(name))


def _lines_of_draining(observed: Observed) -> Iterator[str]:
    """Yield what makes the set of those that drain be there; one of another kind says nothing."""
    name = draining(observed.family)
    family = "inet6" if observed.family == "IPv6" else "inet"
    there = observed.sets.get(name)
    options = f"family {family} timeout {DRAIN} maxelem {MAX_DRAINING}"
    if there is None:
        yield ipset.create(name, _DRAINING, options)
    elif Kind.of(there) != Kind(_DRAINING, family):
        yield ipset.destroy(name)
        yield ipset.create(name, _DRAINING, options)
    elif (there.options.get("timeout"), there.max_elements) != (str(DRAIN), MAX_DRAINING):
        yield ipset.create(RESIZED, _DRAINING, options)
        yield from _each(ipset.add, RESIZED, there.entries)
        yield ipset.swap(RESIZED, name)
        yield ipset.destroy(RESIZED)


_DRAINING = "hash:ip,port,ip"


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


def lines_down(wanted: Wanted, observed: Observed, kept: Excluded) -> Iterator[str]:
    """Yield what takes the entries away that are not wanted, but for excluded addresses."""
    for name, (_, entries) in wanted.items():
        gone = observed.entries(name) - entries
        yield from _each(ipset.delete, name, (e for e in gone if not kept.has_entry(e)))


def _each(put: Put, name: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in sorted(entries):
        yield put(name, ipset.numbered(entry))


def lines_of(put: Put, entries: Iterable[Entry], family: str) -> Iterator[str]:
    """Yield what adds entries of any sets, or deletes them, as `put` does."""
    for definition, entry in entries:
        yield from _each(put, definition.name_in(family), ipset.saved(entry))
