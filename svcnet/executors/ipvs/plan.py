"""What to do, given what is wanted and what is there. Pure.

The order is what keeps traffic whole. An address comes after the servers that answer on
it, and goes before them; sets come before the rules that name them; what is added is there
before what it replaces is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svcnet.executors.ipvs import rules
from svcnet.executors.ipvs.device import ALIAS
from svcnet.executors.ipvs.entries import (
    lines_down,
    lines_of,
    lines_resized,
    lines_up,
    wanted_entries,
)
from svcnet.executors.ipvs.excluded import Excluded
from svcnet.executors.ipvs.listing import Place, Real
from svcnet.executors.ipvs.names import DRAIN
from svcnet.executors.ipvs.observe import Observed
from svcnet.executors.ipvs.servers import ServerChanges, foreign_servers, unwanted_servers
from svcnet.executors.ipvs.steps import Plan, Step
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables
from svcnet.renderers.ipvs.messages import (
    DelDest,
    DelService,
    Message,
    SetConfig,
    SetDest,
    Timeouts,
)
from svcnet.renderers.ipvs.program import service_of
from svcnet.renderers.ipvs.sections import address_lines
from svcnet.renderers.ipvs.sets import IPVS_IPS
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE


def plan(wanted: IPVSTables, observed: Observed, drain: int = DRAIN) -> Plan:
    """Return what takes the `observed` state to the `wanted` one.

    `drain` is the time in seconds that connections of a removed TCP endpoint have to end;
    with 0 it goes at once.
    """
    family = wanted.family
    foreign = foreign_servers(wanted, observed)
    servers = {key: server for key, server in wanted.servers.items() if key not in foreign}
    entries = {
        each.name: (each, wanted_entries(each, foreign, servers)) for each in wanted.sets.values()
    }
    held = IPVS_IPS.name_in(family)
    addresses = entries[held][1]
    entries[held] = (entries[held][0], addresses - _foreign_addresses(observed))
    kept = Excluded(wanted.settings.ipvs.exclude_cidrs)
    work = ServerChanges(drain)
    for key, server in servers.items():
        there = observed.services.get(key)
        work.change(server, there, observed.real_servers(key) if there else {}, observed)
    written = Step("iptables", tuple(rules.changes(wanted.restore_text, observed.tables, family)))
    # While another mode serves, its rules do until everything of this mode is there.
    switches = rules.has_other_mode(observed.tables)
    return _plan(
        _sysctls(wanted, observed),
        Step("link", () if observed.device else _link_lines()),
        Step("ipset", (*lines_up(entries, observed), *work.entries(family))),
        *(() if switches else (written,)),
        Step("ipvs", messages=(*_timeouts(wanted, observed), *work.messages)),
        Step("address", _address_changes(addresses, observed, kept)),
        *((written,) if switches else ()),
        Step("ipvs", messages=tuple(unwanted_servers(wanted, observed, kept))),
        Step("ipset", tuple(lines_down(entries, observed, kept))),
        drained=work.drained,
        ended=work.ended,
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
    work = ServerChanges(drain)
    for _, before, after in delta.servers:
        if after is not None:
            there = service_of(before) if before else None
            known = before.real_servers if before else ()
            reals = {Place(a, p): Real(weight, 0, 0) for a, p, weight in known}
            work.change(after, there, reals, None)
    kept = Excluded(delta.settings.ipvs.exclude_cidrs)
    resized = {found.definition for found in delta.resized}
    added = [entry for entry in delta.added if entry[0] not in resized]
    removed = [entry for entry in delta.removed if not kept.has_entry(entry[1])]
    addresses = (
        *_addresses("add", (entry for definition, entry in delta.added if definition == IPVS_IPS)),
        *_addresses("del", (entry for definition, entry in removed if definition == IPVS_IPS)),
    )
    removed = [entry for entry in removed if entry[0] not in resized]
    timeouts = (SetConfig(Timeouts(*delta.timeouts)),) if any(delta.timeouts) else ()
    return _plan(
        Step("sysctl", tuple(f"{path}={value}\n" for path, value in delta.sysctls.items())),
        Step("ipset", tuple(line for found in delta.resized for line in lines_resized(found))),
        Step("ipset", (*lines_of("add", added, delta.family), *work.entries(delta.family))),
        Step("iptables", (delta.rules,) if delta.rules else ()),
        Step("ipvs", messages=(*timeouts, *work.messages)),
        Step("address", addresses),
        Step("ipvs", messages=tuple(_gone(delta, kept))),
        Step("ipset", tuple(lines_of("del", removed, delta.family))),
        drained=work.drained,
    )


def _gone(delta: IPVSDelta, kept: Excluded) -> Iterator[Message]:
    for key, before, after in delta.servers:
        if before is not None and after is None and key.address not in kept:
            yield DelService(service_of(before))


def _plan(
    *steps: Step,
    drained: Iterable[SetDest] = (),
    ended: Iterable[DelDest] = (),
    warnings: tuple[str, ...] = (),
) -> Plan:
    done = tuple(step for step in steps if step.lines or step.messages)
    return Plan(done, tuple(drained), tuple(ended), warnings)


def _foreign_addresses(observed: Observed) -> frozenset[str]:
    """Return the addresses that others put on the device.

    On a device that svcnet made, one that is wanted is taken for svcnet's own.
    """
    if observed.device is None or observed.device.is_ours:
        return frozenset()
    return observed.device.addresses - observed.entries(IPVS_IPS.name_in(observed.family))


def _address_changes(wanted: frozenset[str], observed: Observed, kept: Excluded) -> tuple[str, ...]:
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
