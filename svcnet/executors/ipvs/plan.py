"""What to do, given what is wanted and what is there. Pure.

The order is what keeps traffic whole. An address comes after the servers that answer on
it, and goes before them; sets come before the rules that name them; what is added is there
before what it replaces is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from attrs import evolve, frozen
from netaddr import IPAddress, IPNetwork

from svcnet.executors.ipvs import rules
from svcnet.executors.ipvs.device import ALIAS
from svcnet.executors.ipvs.ipsets import as_saved, as_written
from svcnet.executors.ipvs.listing import MASQUERADE, Place, Real
from svcnet.executors.ipvs.names import draining
from svcnet.executors.ipvs.observe import Observed
from svcnet.renderers.ipvs import (
    IPVSDelta,
    IPVSTables,
    RealServer,
    ServerKey,
    VirtualServer,
)
from svcnet.renderers.ipvs.messages import (
    HASHED,
    DelDest,
    DelService,
    Dest,
    Message,
    NewDest,
    NewService,
    Service,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.renderers.ipvs.program import dest_of, service_of
from svcnet.renderers.ipvs.sections import RESIZED, address_lines
from svcnet.renderers.ipvs.sets import IPVS_IPS, IPSet, SetDefinition
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

Tool = Literal["sysctl", "link", "ipset", "iptables", "ipvs", "address"]

DRAIN = 900
"""Seconds after which a removed endpoint goes though it has connections."""


@frozen
class Step:
    """Work for one tool: lines that it reads, or for IPVS messages."""

    tool: Tool
    lines: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """The lines, or one for each message."""
        return "".join(self.lines) or "".join(f"{message}\n" for message in self.messages)

    @property
    def operations(self) -> int:
        """How many things are done; lines that only frame iptables rules do not count."""
        counted = [line for line in self.text.splitlines() if line[0] not in "*:C"]
        return len(counted)


@frozen
class Plan:
    """Steps in their order; ``warnings`` say what was left alone that is wanted.

    ``drained`` are those of the messages that tell an endpoint which is to go that it gets
    no more connections.
    """

    steps: tuple[Step, ...]
    drained: tuple[SetDest, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def operations(self) -> int:
        """How many things are done in all steps."""
        return sum(step.operations for step in self.steps)

    @property
    def text(self) -> str:
        """Every step under a heading that names its tool."""
        return "".join(f"# {step.tool}\n{step.text}" for step in self.steps)


def plan(wanted: IPVSTables, observed: Observed, drain: int = DRAIN) -> Plan:
    """Return what takes the `observed` state to the `wanted` one.

    `drain` is the time in seconds that connections of a removed TCP endpoint have to end;
    with 0 it goes at once.
    """
    family = wanted.family
    foreign = _foreign(wanted, observed)
    servers = {key: server for key, server in wanted.servers.items() if key not in foreign}
    entries = {each.name: (each, _entries(each, foreign, servers)) for each in wanted.sets.values()}
    held = IPVS_IPS.name_in(family)
    addresses = entries[held][1]
    entries[held] = (entries[held][0], addresses - _foreign_addresses(observed))
    kept = _Excluded(wanted.settings.ipvs.exclude_cidrs)
    work = _Servers(drain)
    for key, server in servers.items():
        there = observed.services.get(key)
        work.change(server, there, observed.real_servers(key) if there else {}, observed)
    written = Step("iptables", tuple(rules.changes(wanted.restore_text, observed.tables, family)))
    # While iptables mode serves, its rules do until everything of this mode is there.
    switches = rules.has_iptables_mode(observed.tables)
    return _plan(
        _sysctls(wanted, observed),
        Step("link", () if observed.device else _link_lines()),
        Step("ipset", (*_set_up(entries, observed), *work.entries(family))),
        *(() if switches else (written,)),
        Step("ipvs", messages=(*_timeouts(wanted, observed), *work.messages)),
        Step("address", _address_changes(addresses, observed, kept)),
        *((written,) if switches else ()),
        Step("ipvs", messages=tuple(_unwanted(wanted, observed, kept))),
        Step("ipset", tuple(_set_down(entries, observed, kept))),
        drained=work.drained,
        warnings=tuple(
            f"{key.address} port {key.port} {key.protocol} is a virtual server that svcnet did "
            "not make: it is left alone, and the Service that wants it is not served there"
            for key in foreign
        ),
    )


def plan_step(delta: IPVSDelta, drain: int = DRAIN) -> Plan:
    """Return what takes a machine through `delta`, without a look at it.

    Costs what the change costs. It is for a machine that has the state before: where
    another program has changed it, a step is refused, and :func:`plan` finds why.
    """
    work = _Servers(drain)
    for change in delta.servers:
        before = change.before
        if change.after is not None:
            there = service_of(before) if before else None
            reals = (
                {Place(a, p): Real(w, 0, 0) for a, p, w in before.real_servers} if before else {}
            )
            work.change(change.after, there, reals, None)
    family = delta.family
    kept = _Excluded(delta.settings.ipvs.exclude_cidrs)
    gone = [
        change.before
        for change in delta.servers
        if change.before is not None and change.after is None and change.key.address not in kept
    ]
    resized = {found.definition for found in delta.resized}
    added = [(d, entry) for d, entry in delta.added if d not in resized]
    removed = [(d, e) for d, e in delta.removed if not kept.has_entry(e)]
    timeouts = (SetConfig(Timeouts(*delta.timeouts)),) if any(delta.timeouts) else ()
    return _plan(
        Step("sysctl", tuple(f"{path}={value}\n" for path, value in delta.sysctls.items())),
        Step(
            "ipset",
            (
                *(line for found in delta.resized for line in _resized(found, _saved(found))),
                *_lines("add", added, family),
                *work.entries(family),
            ),
        ),
        Step("iptables", (delta.rules,) if delta.rules else ()),
        Step("ipvs", messages=(*timeouts, *work.messages)),
        Step(
            "address",
            (
                *_addresses("add", (e for d, e in delta.added if d == IPVS_IPS)),
                *_addresses("del", (e for d, e in removed if d == IPVS_IPS)),
            ),
        ),
        Step("ipvs", messages=tuple(DelService(service_of(server)) for server in gone)),
        Step(
            "ipset", tuple(_lines("del", ((d, e) for d, e in removed if d not in resized), family))
        ),
        drained=work.drained,
    )


def _plan(*steps: Step, drained: Iterable[SetDest] = (), warnings: tuple[str, ...] = ()) -> Plan:
    return Plan(tuple(s for s in steps if s.lines or s.messages), tuple(drained), warnings)


class _Servers:
    """The messages that put virtual servers right, and the entries of those that drain."""

    def __init__(self, drain: int) -> None:
        self.messages: list[Message] = []
        self.drained: list[SetDest] = []
        self._drain = drain
        self._draining: list[str] = []

    def entries(self, family: str) -> list[str]:
        name = draining(family)
        return [
            f"add {name} {as_written(entry)} timeout {self._drain} -exist\n"
            for entry in self._draining
        ]

    def change(
        self,
        wanted: VirtualServer,
        there: Service | None,
        reals: Mapping[Place, Real],
        observed: Observed | None,
    ) -> None:
        """Add what takes a virtual server from what is `there` to what is `wanted`."""
        service = service_of(wanted)
        if there is None:
            self.messages.append(NewService(service))
        elif _differs(service, there):
            self.messages.append(SetService(service))
        self.messages += [
            message
            for real in wanted.real_servers
            for message in _real_server(service, real, reals.get(Place(real.address, real.port)))
        ]
        kept = {(real.address, real.port) for real in wanted.real_servers}
        for place, real in reals.items():
            if place not in kept:
                self._remove(service, place, real, observed)

    def _remove(
        self, service: Service, place: Place, real: Real, observed: Observed | None
    ) -> None:
        """Take a real server away: one of TCP takes no more connections first.

        Datagrams have no end to wait for (https://issue.k8s.io/76664). Scheduler dh goes on
        sending its clients to a server that takes none.
        """
        entry = f"{place.address},tcp:{place.port},{service.address}"
        dest = Dest(place.address, place.port, 0)
        drains = service.protocol == "TCP" and service.scheduler != "dh" and self._drain
        if drains and real.weight:
            self._draining.append(entry)
            self.drained.append(SetDest(service, dest))
            self.messages.append(self.drained[-1])
        elif not (drains and real.connections and observed and observed.is_draining(entry)):
            self.messages.append(DelDest(service, dest))


def _real_server(service: Service, wanted: RealServer, there: Real | None) -> Iterator[Message]:
    if there is None:
        yield NewDest(service, dest_of(wanted))
    elif there.weight != wanted.weight or there.forward != MASQUERADE:
        yield SetDest(service, dest_of(wanted))


def _differs(wanted: Service, there: Service) -> bool:
    """Whether anything of a virtual server but the kernel's own mark is other than wanted."""
    return (
        there.scheduler != wanted.scheduler
        or there.flags & ~HASHED != wanted.flags
        or there.timeout != wanted.timeout
        or there.netmask != wanted.netmask
        or there.pe_name != wanted.pe_name
    )


def _foreign(wanted: IPVSTables, observed: Observed) -> set[ServerKey]:
    """Return the wanted virtual servers that are there already and others' work."""
    there = wanted.servers.keys() & observed.services.keys()
    return {key for key in there if not observed.owns(key)}


def _foreign_addresses(observed: Observed) -> frozenset[str]:
    """Return the addresses that others put on the device.

    On a device that svcnet made, one that is wanted is taken for svcnet's own.
    """
    if observed.device is None or observed.device.is_ours:
        return frozenset()
    return observed.device.addresses - observed.entries(IPVS_IPS.name_in(observed.family))


def _unwanted(wanted: IPVSTables, observed: Observed, kept: _Excluded) -> Iterator[Message]:
    """Delete the virtual servers that svcnet made and that are not wanted."""
    for key, service in observed.services.items():
        if key not in wanted.servers and observed.owns(key) and key.address not in kept:
            yield DelService(service)


class _Excluded:
    """The addresses in excludeCIDRs: what is there of them is never removed."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = [IPNetwork(cidr) for cidr in cidrs]

    def __contains__(self, address: object) -> bool:
        return any(IPAddress(address) in network for network in self._networks)

    def has_entry(self, entry: str) -> bool:
        """Return whether an entry of a set is of such an address; a bare port is of none."""
        address = entry.split(",", 1)[0]
        return not address.isdigit() and address in self


def _entries(
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
    return _saved(evolve(found, entries=tuple(entries)))


def _saved(found: IPSet) -> frozenset[str]:
    return frozenset(part for entry in found.entries for part in as_saved(entry))


Wanted = Mapping[str, tuple[IPSet, frozenset[str]]]


def _set_up(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield what makes each set be there, with room for its entries, and with all of them."""
    if RESIZED in observed.sets:
        yield f"destroy {RESIZED}\n"
    name = draining(observed.family)
    if name not in observed.sets:
        family = "inet6" if observed.family == "IPv6" else "inet"
        yield f"create {name} hash:ip,port,ip family {family} timeout {DRAIN}\n"
    for name, (each, entries) in wanted.items():
        there = observed.sets.get(name)
        create = f"{each.definition.type} {each.options}\n"
        if there is None:
            yield f"create {name} {create}"
        elif there.max_elements < each.max_elements and there.max_elements:
            yield from _resized(each, entries)
            continue
        yield from _set_lines("add", name, entries - observed.entries(name))


def _resized(found: IPSet, entries: Iterable[str]) -> Iterator[str]:
    """Yield what gives a set another bound: only a new one has."""
    yield f"create {RESIZED} {found.definition.type} {found.options}\n"
    yield from _set_lines("add", RESIZED, entries)
    yield f"swap {RESIZED} {found.name}\ndestroy {RESIZED}\n"


def _set_down(wanted: Wanted, observed: Observed, kept: _Excluded) -> Iterator[str]:
    for name, (_, entries) in wanted.items():
        gone = observed.entries(name) - entries
        yield from _set_lines("del", name, (e for e in gone if not kept.has_entry(e)))


def _set_lines(verb: str, name: str, entries: Iterable[str]) -> Iterator[str]:
    for entry in sorted(entries):
        yield f"{verb} {name} {as_written(entry)} -exist\n"


def _lines(verb: str, entries: Iterable[tuple[SetDefinition, str]], family: str) -> Iterator[str]:
    for definition, entry in entries:
        yield from _set_lines(verb, definition.name_in(family), as_saved(entry))


def _address_changes(
    wanted: frozenset[str], observed: Observed, kept: _Excluded
) -> tuple[str, ...]:
    """Put the wanted addresses on the device, and take off those that svcnet put there."""
    there = observed.device.addresses if observed.device else frozenset()
    gone = [address for address in own_addresses(observed) - wanted if address not in kept]
    return (*_addresses("add", wanted - there), *_addresses("del", gone))


def own_addresses(observed: Observed) -> frozenset[str]:
    """Return the addresses that svcnet put on the device: the set of the rules has them too."""
    there = observed.device.addresses if observed.device else frozenset()
    return there & observed.entries(IPVS_IPS.name_in(observed.family))


def _addresses(verb: str, addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address_lines(verb, sorted(addresses)).splitlines(True))


def _link_lines() -> tuple[str, ...]:
    return (
        f"link add {DUMMY_DEVICE} type dummy\n",
        f"link set {DUMMY_DEVICE} alias {ALIAS}\n",
    )


def _sysctls(wanted: IPVSTables, observed: Observed) -> Step:
    changed = {
        path: value for path, value in wanted.sysctls.items() if observed.sysctls.get(path) != value
    }
    return Step("sysctl", tuple(f"{path}={value}\n" for path, value in changed.items()))


def _timeouts(wanted: IPVSTables, observed: Observed) -> Iterator[Message]:
    asked = Timeouts(*wanted.settings.ipvs.timeouts)
    there = observed.timeouts
    pairs = ((asked.tcp, there.tcp), (asked.tcp_fin, there.tcp_fin), (asked.udp, there.udp))
    if any(want and want != have for want, have in pairs):
        yield SetConfig(asked)
