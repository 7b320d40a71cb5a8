"""Changes of sets, as lines of ``ipset restore``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve

from svcnet.executors.ipvs.excluded import Excluded
from svcnet.executors.ipvs.ipsets import as_saved, as_written
from svcnet.executors.ipvs.names import DRAIN, MAX_DRAINING, draining
from svcnet.executors.ipvs.observe import Observed
from svcnet.renderers.ipvs import ServerKey, VirtualServer
from svcnet.renderers.ipvs.part import Entry
from svcnet.renderers.ipvs.sections import RESIZED
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
    return frozenset(part for entry in found.entries for part in as_saved(entry))


Wanted = Mapping[str, tuple[IPSet, frozenset[str]]]


def lines_up(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield what makes each set be there with all its entries.

    It needs room for those that go as well, which stay until what they serve is gone.
    """
    if RESIZED in observed.sets:
        yield f"destroy {RESIZED}\n"
    name = draining(observed.family)
    if name not in observed.sets:
        family = "inet6" if observed.family == "IPv6" else "inet"
        options = f"timeout {DRAIN} maxelem {MAX_DRAINING}"
        yield f"create {name} hash:ip,port,ip family {family} {options}\n"
    for name, (each, entries) in wanted.items():
        there = observed.sets.get(name)
        together = evolve(each, entries=tuple(entries | observed.entries(name)))
        if there is None:
            yield f"create {name} {each.definition.type} {each.options}\n"
        elif there.max_elements < together.max_elements and there.max_elements:
            yield from lines_resized(together)
            continue
        yield from _each("add", name, entries - observed.entries(name))


def lines_resized(found: IPSet) -> Iterator[str]:
    """Yield what gives a set another bound: only a new one has."""
    yield f"create {RESIZED} {found.definition.type} {found.options}\n"
    yield from _each("add", RESIZED, saved_entries(found))
    yield f"swap {RESIZED} {found.name}\n"
    yield f"destroy {RESIZED}\n"


def lines_down(wanted: Wanted, observed: Observed, kept: Excluded) -> Iterator[str]:
    """Yield what takes the entries away that are not wanted, but for excluded addresses."""
    for name, (_, entries) in wanted.items():
        gone = observed.entries(name) - entries
        yield from _each("del", name, (e for e in gone if not kept.has_entry(e)))


def _each(verb: str, name: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in sorted(entries):
        yield f"{verb} {name} {as_written(entry)} -exist\n"


def lines_of(verb: str, entries: Iterable[Entry], family: str) -> Iterator[str]:
    """Yield what adds entries of any sets, or deletes them."""
    for definition, entry in entries:
        yield from _each(verb, definition.name_in(family), as_saved(entry))
