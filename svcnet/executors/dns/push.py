"""Bringing an authoritative server to the wanted records by updates (RFC 2136).

The server's zone is read by a transfer (RFC 5936), compared, and only the difference is
sent. So a push that was killed half way is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.update
from attrs import frozen
from dns.rdtypes.ANY.PTR import PTR

from svcnet.discovery.dns import Zones
from svcnet.discovery.dns.rdata import Rdatas, to_name
from svcnet.errors import ApplyError
from svcnet.executors.dns.transfer import TIMEOUT_SECONDS, Record, TransferError, transfer
from svcnet.executors.dns.tsig import Key
from svcnet.servers.dns.sockets import write_address

__all__ = [
    "RECORDS_AT_ONCE",
    "NameChange",
    "Owns",
    "PrimaryServer",
    "UpdatePlan",
    "owner",
    "plan",
    "push",
    "wanted_records",
]

RECORDS_AT_ONCE = 500
"""How many records one update changes at most, unless a single name has more."""

Owns: TypeAlias = Callable[[dns.name.Name, dns.rdata.Rdata], bool]
"""Whether a record of the server's, by absolute name and data, is one of ours."""

# What others refer to comes first and goes last: no SRV record names a host that is not there.
_LAST = (dns.rdatatype.SRV, dns.rdatatype.PTR)


def owner(zones: Iterable[str]) -> Owns:
    """Return who tells the records of Services in the cluster domains `zones`.

    In a domain those are all names that the DNS specification gives to Kubernetes: below
    ``svc`` and ``pod``, and ``dns-version``. In a reverse zone they are the pointers to
    names below ``svc``. Everything else is somebody else's.
    """
    origins = tuple(to_name(zone) for zone in zones)
    services = tuple(_below("svc", zone) for zone in origins)
    names = (*services, *(_below("pod", zone) for zone in origins))
    versions = frozenset(_below("dns-version", zone) for zone in origins)

    def owns(name: dns.name.Name, data: dns.rdata.Rdata) -> bool:
        if isinstance(data, PTR):
            return any(data.target.is_subdomain(ours) for ours in services)
        return name in versions or any(name.is_subdomain(ours) for ours in names)

    return owns


def wanted_records(zones: Zones, owns: Owns) -> dict[dns.name.Name, list[Record]]:
    """Return the records of each zone that are for us to keep; the zone's own are the server's."""
    rdatas = Rdatas()
    found: dict[dns.name.Name, list[Record]] = {rdatas.name(o): [] for o in zones.options.zones}
    for record in zones:
        origin = zones.zone_of(record.name)
        name, data = rdatas.name(record.name), rdatas.rdata(record)
        if origin is not None and owns(name, data):
            found[rdatas.name(origin)].append((name, record.ttl, data))
    return found


def _below(label: str, zone: dns.name.Name) -> dns.name.Name:
    return dns.name.from_text(label, zone)


@frozen
class PrimaryServer:
    """An authoritative server, and the key that it knows us by; without one, by address."""

    address: str
    port: int = 53
    key: Key | None = None

    def __str__(self) -> str:
        return write_address((self.address, self.port))


@frozen
class NameChange:
    """What changes at one name: all of it is in one update."""

    name: dns.name.Name
    removed: tuple[Record, ...]
    added: tuple[Record, ...]

    @property
    def size(self) -> int:
        """The number of records that an update has for it."""
        return len(self.removed) + len(self.added)

    def lines(self) -> Iterator[str]:
        """Yield a line for each record, with ``-`` or ``+`` in front."""
        for sign, records in (("-", self.removed), ("+", self.added)):
            for name, ttl, data in records:
                kind = dns.rdatatype.to_text(data.rdtype)
                yield f"{sign} {name} {ttl} IN {kind} {data.to_text()}"


@frozen
class UpdatePlan:
    """The difference between a server's zone and what is wanted, as updates in their order."""

    origin: dns.name.Name
    updates: tuple[tuple[NameChange, ...], ...]

    def __str__(self) -> str:
        return "".join(
            f"{line}\n" for update in self.updates for change in update for line in change.lines()
        )

    @property
    def additions(self) -> int:
        """The number of records that come."""
        return sum(len(change.added) for update in self.updates for change in update)

    @property
    def removals(self) -> int:
        """The number of records that go."""
        return sum(len(change.removed) for update in self.updates for change in update)


def push(
    server: PrimaryServer,
    origin: dns.name.Name,
    wanted: Iterable[Record],
    owns: Owns,
    *,
    dry_run: bool = False,
) -> UpdatePlan:
    """Bring the server's zone `origin` to have `wanted` and nothing else that is ours.

    Records that `owns` says no to are left alone. Each update is atomic, and a name
    changes in one. Raises ApplyError when the server cannot be reached or refuses; what
    was sent before that is in force.
    """
    try:
        there = transfer((server.address, server.port), origin, server.key)
    except (dns.exception.DNSException, OSError, EOFError, TransferError) as error:
        raise ApplyError(f"{server}: zone {origin} cannot be read: {_describe(error)}") from None
    made = plan(origin, there, wanted, owns)
    if not dry_run:
        for changes in made.updates:
            _send(server, origin, changes)
    return made


def plan(
    origin: dns.name.Name, there: Iterable[Record], wanted: Iterable[Record], owns: Owns
) -> UpdatePlan:
    """Return the updates that lead from the records `there` to those `wanted`."""
    ours = {record for record in there if owns(record[0], record[2])}
    aim = set(wanted)
    gone: dict[dns.name.Name, list[Record]] = {}
    come: dict[dns.name.Name, list[Record]] = {}
    for record in ours - aim:
        gone.setdefault(record[0], []).append(record)
    for record in aim - ours:
        come.setdefault(record[0], []).append(record)
    changes = [
        NameChange(name, _sort(gone.get(name, ())), _sort(come.get(name, ())))
        for name in {**gone, **come}
    ]
    changes.sort(key=_order)
    return UpdatePlan(origin, tuple(_split(changes)))


def _sort(records: Iterable[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda record: (record[2].rdtype, record[2].to_text())))


def _order(change: NameChange) -> tuple[bool, bool, dns.name.Name]:
    """Names that get records come before those that only lose some; by what refers to what."""
    only_loses = not change.added
    refers = any(data.rdtype in _LAST for _, _, data in (*change.added, *change.removed))
    return only_loses, refers != only_loses, change.name


def _split(changes: Iterable[NameChange]) -> Iterator[tuple[NameChange, ...]]:
    batch: list[NameChange] = []
    for change in changes:
        if batch and sum(each.size for each in batch) + change.size > RECORDS_AT_ONCE:
            yield tuple(batch)
            batch = []
        batch.append(change)
    if batch:
        yield tuple(batch)


def _send(server: PrimaryServer, origin: dns.name.Name, changes: Iterable[NameChange]) -> None:
    update = dns.update.UpdateMessage(origin, keyring=server.key.signer if server.key else None)
    for change in changes:
        for name, _, data in change.removed:
            update.delete(name, data)
        for name, ttl, data in change.added:
            update.add(name, ttl, data)
    try:
        answer = dns.query.tcp(update, server.address, TIMEOUT_SECONDS, server.port)
    except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
        raise ApplyError(f"{server}: zone {origin} cannot be changed: {_describe(error)}") from None
    if answer.rcode() != dns.rcode.NOERROR:
        code = dns.rcode.to_text(answer.rcode())
        raise ApplyError(f"{server}: zone {origin} cannot be changed: the server answers {code}")
    if server.key and not answer.had_tsig:
        raise ApplyError(f"{server}: zone {origin}: the answer is not signed with the key")


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
