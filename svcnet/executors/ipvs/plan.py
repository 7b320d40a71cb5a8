"""What to do, given what is wanted and what is there, as values. Pure.

The order is what keeps traffic whole. An address comes after the servers that answer on
it, and goes before them; sets come before the rules that name them; what is added is there
before what it replaces is taken away.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Literal

from attrs import evolve, frozen

from svcnet import checks
from svcnet.addresses import network_of
from svcnet.executors.iptables import Ownership
from svcnet.executors.ipvs import device, rules, sets
from svcnet.executors.ipvs.observe import IPVSState
from svcnet.executors.ipvs.servers import Real, ServerChanges
from svcnet.executors.ipvs.sets import DRAIN, SetContents
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    DestKey,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
)
from svcnet.netfilter.restore import chains_by_table
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables, ServerKey
from svcnet.renderers.ipvs.part import Entry
from svcnet.renderers.ipvs.program import service_of, timeout_changes
from svcnet.renderers.ipvs.rules import with_servers, with_set
from svcnet.renderers.ipvs.sections import RESIZED
from svcnet.renderers.ipvs.sets import IPVS_IPS, IPSet

_WORDS = re.compile(r"[\s,/]+")

Tool = Literal["sysctl", "link", "ipset", "iptables", "ipvs", "address"]


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
class IPVSPlan:
    """Steps in their order; ``warnings`` say what was left alone that is wanted.

    ``drained`` are those of the messages that tell an endpoint which is to go that it gets
    no more connections, and ``ended`` those that take one away which got none. ``beside`` are
    others' virtual servers on addresses of Services, which the rules let in; ``others`` are the
    addresses of all that others made.
    """

    steps: tuple[Step, ...]
    drained: tuple[SetDest, ...] = ()
    ended: tuple[DelDest, ...] = ()
    beside: tuple[ServerKey, ...] = ()
    others: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    @property
    def operations(self) -> int:
        """How many things are done in all steps."""
        return sum(step.operations for step in self.steps)

    @property
    def changes(self) -> Mapping[str, int]:
        """How many things are changed, by kind; endpoints that have drained are none.

        Of iptables they are chains, by table; of sets those that are made or change.
        """
        found: Counter[str] = Counter()
        for step in self.steps:
            found.update(_changes(step, self.ended))
        sets = {name for step in self.steps if step.tool == "ipset" for name in _sets(step)}
        if sets:
            found["ip sets"] = len(sets)
        return dict(found)

    @property
    def text(self) -> str:
        """Every step under a heading that names its tool."""
        return "".join(f"# {step.tool}\n{step.text}" for step in self.steps)


_KINDS: Mapping[type[Message], str] = MappingProxyType(
    {
        NewService: "virtual servers",
        SetService: "virtual servers",
        DelService: "virtual servers",
        NewDest: "real servers",
        SetDest: "real servers",
        DelDest: "real servers",
        SetConfig: "timeouts",
    }
)


def _changes(step: Step, ended: Iterable[Message]) -> Mapping[str, int]:
    match step.tool:
        case "iptables":
            return {f"iptables {table}": len(c) for table, c in chains_by_table(step.lines).items()}
        case "ipvs":
            no_changes = set(ended)
            return Counter(_KINDS[type(m)] for m in step.messages if m not in no_changes)
        case "ipset":
            return {}
        case "link":
            return {"devices": 1}
        case "sysctl":
            return {"sysctls": len(step.lines)}
        case "address":
            return {"addresses": len({line.address for line in map(ip.read, step.lines) if line})}


def _sets(step: Step) -> Iterator[str]:
    """Yield the sets that lines are about; endpoints that begin to drain are no change of one."""
    for line in step.lines:
        verb, name, _ = ipset.read(line)
        if verb == "create" or " timeout " not in line:
            yield name


class Exclusions:
    """The addresses in excludeCIDRs: what is there of them is never removed."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks = [network_of(cidr) for cidr in cidrs]

    def __contains__(self, address: object) -> bool:
        return any(ip_address(str(address)) in network for network in self._networks)


def plan(
    wanted: IPVSTables,
    observed: IPVSState,
    drain: int = DRAIN,
    other_modes: Collection[Ownership] = (),
) -> IPVSPlan:
    """Return what takes the `observed` state to the `wanted` one.

    `drain` is the time in seconds that connections of a removed TCP endpoint have to end;
    with 0 it goes at once. What belongs to `other_modes` goes once this one serves.
    """
    foreign = {key for key in wanted.servers if key in observed.services and not observed.owns(key)}
    servers = {key: server for key, server in wanted.servers.items() if key not in foreign}
    work = ServerChanges(drain, observed.entries(sets.draining(wanted.family)))
    for key, server in servers.items():
        there = observed.services.get(key)
        work.change(server, there, observed.real_servers(key) if there else {})
    entries = {
        each.name: (each, sets.wanted_entries(each, foreign, servers))
        for each in wanted.sets.values()
    }
    others = [key for key in observed.services if not observed.owns(key)]
    addresses = entries[IPVS_IPS.name_in(wanted.family)][1]
    beside = tuple(sorted(key for key in others if key.address in addresses))
    return IPVSPlan(
        steps=_without_idle(_steps(wanted, observed, entries, beside, work, other_modes)),
        drained=tuple(work.drained),
        ended=tuple(work.ended),
        beside=beside,
        others=frozenset(key.address for key in others),
        warnings=tuple(
            checks.MACHINE_STATE.line(
                f"{key.address} port {key.port} {key.protocol} is a virtual server that svcnet did "
                "not make: it is left alone, and the Service that wants it is not served there"
            )
            for key in foreign
        ),
    )


def _steps(
    wanted: IPVSTables,
    observed: IPVSState,
    entries: SetContents,
    beside: tuple[ServerKey, ...],
    work: ServerChanges,
    other_modes: Collection[Ownership],
) -> Iterator[Step]:
    """Yield the steps in their order, some with nothing to do."""
    family, kept = wanted.family, Exclusions(wanted.settings.ipvs.exclude_cidrs)
    text = with_servers(wanted.restore_text, beside)
    written = Step("iptables", tuple(rules.changes(text, observed.tables, family, other_modes)))
    # While another mode serves, its rules do until everything of this mode is there.
    switches = observed.tables.has(rules.of_others(other_modes, family).chain)
    held = IPVS_IPS.name_in(family)
    addresses = entries[held][1]
    ours = {**entries, held: (entries[held][0], addresses - _foreign_addresses(observed))}
    anew = [_set_of(ours, name) for name in sets.others_kind(ours, observed.sets)]
    names = {found.name for found in anew}
    named = {name for name in names if observed.tables.names_set(name)}
    same_kind = {name: each for name, each in ours.items() if name not in names}
    # What a set of another kind holds is none of the wanted set's entries.
    there = {name: found for name, found in observed.sets.items() if name not in names}
    observed = evolve(observed, sets=there)
    yield _sysctls(wanted, observed)
    yield Step("link", () if observed.device else device.link_lines())
    up = [*sets.lines_up(same_kind, there, family)]
    up += [line for found in anew if found.name not in named for line in sets.lines_anew(found)]
    up += sets.lines_that_drain(work.draining, family, work.drain)
    yield Step("ipset", tuple(up))
    for found in anew:
        if found.name in named:
            yield from _under_rules(found, text)
    if not switches:
        yield written
    yield Step("ipvs", messages=(*_timeouts(wanted, observed), *work.messages))
    yield Step("address", _address_changes(addresses, observed, kept))
    if switches:
        yield written
    yield Step("ipvs", messages=tuple(_unwanted_servers(wanted, observed, kept)))
    yield Step("ipset", tuple(sets.lines_down(ours, there, kept)))


def is_of_steps(planned: IPVSPlan, deltas: Iterable[IPVSDelta]) -> bool:
    """Return whether all of a plan is about what steps change.

    It was made of what they led from, and of a listing that may have seen any of them.
    """
    addresses: set[str] = set()
    for delta in deltas:
        if delta.resized or delta.rules or delta.sysctls or any(delta.timeouts):
            return False
        addresses.update(entry.partition(",")[0] for _, entry in delta.added + delta.removed)
        for key, *servers in delta.servers:
            addresses.add(key.address)
            for server in filter(None, servers):
                addresses.update(each.address for each in server.real_servers)
    return all(
        all(addresses & set(_WORDS.split(line)) for line in step.lines)
        and all(_address(message) in addresses for message in step.messages)
        for step in planned.steps
    )


def _address(message: Message) -> str:
    """Return the address of the virtual server that a message is about, if it is about one."""
    service: IPVSService | None = getattr(message, "service", None)
    return service.address if service else ""


def plan_step(delta: IPVSDelta, drain: int = DRAIN) -> IPVSPlan:
    """Return what takes a machine through `delta`, without a look at it.

    Costs what the change costs. It is for a machine that has the state before: where
    another program has changed it, a step is refused, and :func:`plan` finds why.
    """
    work = ServerChanges(drain)
    for _, before, after in delta.servers:
        if after is not None:
            there = service_of(before) if before else None
            known = before.real_servers if before else ()
            reals = {DestKey(each.address, each.port): Real(each.weight) for each in known}
            work.change(after, there, reals)
    steps = _without_idle(_steps_of(delta, work))
    return IPVSPlan(steps, tuple(work.drained))


def _steps_of(delta: IPVSDelta, work: ServerChanges) -> Iterator[Step]:
    family, kept = delta.family, Exclusions(delta.settings.ipvs.exclude_cidrs)
    removed = [entry for entry in delta.removed if not sets.is_kept(entry[1], kept)]
    resized = {found.definition for found in delta.resized}
    added = [entry for entry in delta.added if entry[0] not in resized]
    yield Step("sysctl", tuple(map(_sysctl_line, delta.sysctls.items())))
    yield Step("ipset", tuple(line for each in delta.resized for line in sets.lines_resized(each)))
    up = [*sets.lines_of(ipset.add, added, family)]
    up += sets.lines_that_drain(work.draining, family, work.drain)
    yield Step("ipset", tuple(up))
    yield Step("iptables", (delta.rules,) if delta.rules else ())
    yield Step("ipvs", messages=(*timeout_changes(delta.timeouts), *work.messages))
    yield Step("address", _come_and_gone(delta.added, removed))
    yield Step("ipvs", messages=tuple(_removals(delta, kept)))
    down = (entry for entry in removed if entry[0] not in resized)
    yield Step("ipset", tuple(sets.lines_of(ipset.delete, down, family)))


def _without_idle(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(step for step in steps if step.lines or step.messages)


def _come_and_gone(added: Iterable[Entry], removed: Iterable[Entry]) -> tuple[str, ...]:
    """Return the lines about the addresses in a step's entries."""
    come = (entry for definition, entry in added if definition == IPVS_IPS)
    gone = (entry for definition, entry in removed if definition == IPVS_IPS)
    return device.address_lines("add", come) + device.address_lines("del", gone)


def _removals(delta: IPVSDelta, kept: Container[str]) -> Iterator[Message]:
    for key, before, after in delta.servers:
        if before is not None and after is None and key.address not in kept:
            yield DelService(service_of(before))


def _unwanted_servers(
    wanted: IPVSTables, observed: IPVSState, kept: Container[str]
) -> Iterator[Message]:
    """Delete the virtual servers that svcnet made and that are not wanted."""
    for key, service in observed.services.items():
        if key not in wanted.servers and observed.owns(key) and key.address not in kept:
            yield DelService(service)


def _set_of(entries: SetContents, name: str) -> IPSet:
    found, wanted = entries[name]
    return evolve(found, entries=tuple(sorted(wanted)))


def _under_rules(found: IPSet, text: str) -> Iterator[Step]:
    """Yield what makes a set of another kind anew while rules name it.

    The kernel swaps no sets of different kinds, and takes away none that a rule names. So the
    rules name a set beside it for as long as that takes: no packet meets rules without it.
    """
    yield Step("ipset", tuple(sets.lines_beside(found)))
    yield Step("iptables", (with_set(text, found.name, RESIZED),))
    yield Step("ipset", tuple(sets.lines_anew(found)))
    yield Step("iptables", (text,))
    yield Step("ipset", (ipset.destroy(RESIZED),))


def _foreign_addresses(observed: IPVSState) -> frozenset[str]:
    """Return the addresses that others put on the device.

    On a device that svcnet made, one that is wanted is taken for svcnet's own.
    """
    if observed.device is None or observed.device.is_ours:
        return frozenset()
    return observed.device.addresses - observed.entries(IPVS_IPS.name_in(observed.family))


def _address_changes(
    wanted: frozenset[str], observed: IPVSState, kept: Container[str]
) -> tuple[str, ...]:
    """Return the lines about addresses; those that svcnet put there are in a set, too."""
    own = observed.entries(IPVS_IPS.name_in(observed.family))
    held = observed.device.held if observed.device else ()
    return device.address_changes(wanted, own, held, kept)


def _sysctls(wanted: IPVSTables, observed: IPVSState) -> Step:
    differ = (each for each in wanted.sysctls.items() if observed.sysctls.get(each[0]) != each[1])
    return Step("sysctl", tuple(map(_sysctl_line, differ)))


def _sysctl_line(setting: tuple[str, int]) -> str:
    path, value = setting
    return f"{path}={value}\n"


def _timeouts(wanted: IPVSTables, observed: IPVSState) -> Iterator[Message]:
    """Yield a change of timeouts where one that is asked for is not as it is."""
    for message in timeout_changes(wanted.settings.ipvs.timeouts):
        asked, there = message.timeouts, observed.timeouts
        pairs = ((asked.tcp, there.tcp), (asked.tcp_fin, there.tcp_fin), (asked.udp, there.udp))
        if any(want and want != have for want, have in pairs):
            yield message
