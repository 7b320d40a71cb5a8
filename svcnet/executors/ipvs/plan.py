"""What to do, given what is wanted and what is there. Pure.

The order is what keeps traffic whole. An address comes after the servers that answer on
it, and goes before them; sets come before the rules that name them; what is added is there
before what it replaces is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve

from svcnet import checks
from svcnet.executors.ipvs import rules
from svcnet.executors.ipvs.device import ALIAS, GROUP, Held, held
from svcnet.executors.ipvs.entries import (
    Wanted,
    lines_anew,
    lines_beside,
    lines_down,
    lines_of,
    lines_resized,
    lines_up,
    others_kind,
    wanted_entries,
)
from svcnet.executors.ipvs.excluded import Excluded
from svcnet.executors.ipvs.names import DRAIN
from svcnet.executors.ipvs.observe import Observed
from svcnet.executors.ipvs.reals import Place, Real, Settings
from svcnet.executors.ipvs.servers import ServerChanges, foreign_servers, unwanted_servers
from svcnet.executors.ipvs.steps import Plan, Step
from svcnet.netfilter import ip, ipset
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Message,
    SetConfig,
    SetDest,
    Timeouts,
)
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables, ServerKey
from svcnet.renderers.ipvs.program import service_of
from svcnet.renderers.ipvs.sections import RESIZED
from svcnet.renderers.ipvs.sets import IPVS_IPS, IPSet
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
    others = [key for key in observed.services if not observed.owns(key)]
    beside = tuple(sorted(key for key in others if key.address in addresses))
    text = rules.with_servers(wanted.restore_text, beside)
    written = Step("iptables", tuple(rules.changes(text, observed.tables, family)))
    # While another mode serves, its rules do until everything of this mode is there.
    switches = rules.has_other_mode(observed.tables)
    anew = others_kind(entries, observed)
    named = [name for name in anew if rules.names_set(observed.tables, name)]
    # What such a set holds is none of the wanted set's entries.
    sets = {name: found for name, found in observed.sets.items() if name not in anew}
    observed = evolve(observed, sets=sets)
    same_kind = {name: each for name, each in entries.items() if name not in anew}
    return _plan(
        _sysctls(wanted, observed),
        Step("link", () if observed.device else _link_lines()),
        Step(
            "ipset",
            (
                *lines_up(same_kind, observed),
                *(line for name in anew if name not in named for line in _anew(entries, name)),
                *work.entries(family),
            ),
        ),
        *(step for name in named for step in _under_rules(_set_of(entries, name), text)),
        *(() if switches else (written,)),
        Step("ipvs", messages=(*_timeouts(wanted, observed), *work.messages)),
        Step("address", _address_changes(addresses, observed, kept)),
        *((written,) if switches else ()),
        Step("ipvs", messages=tuple(unwanted_servers(wanted, observed, kept))),
        Step("ipset", tuple(lines_down(entries, observed, kept))),
        drained=work.drained,
        ended=work.ended,
        beside=beside,
        others=frozenset(key.address for key in others),
        warnings=tuple(
            checks.MACHINE_STATE.told(
                f"{key.address} port {key.port} {key.protocol} is a virtual server that svcnet did "
                "not make: it is left alone, and the Service that wants it is not served there"
            )
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
            reals = {Place(a, p): Real(Settings(weight)) for a, p, weight in known}
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
        Step("ipset", (*lines_of(ipset.add, added, delta.family), *work.entries(delta.family))),
        Step("iptables", (delta.rules,) if delta.rules else ()),
        Step("ipvs", messages=(*timeouts, *work.messages)),
        Step("address", addresses),
        Step("ipvs", messages=tuple(_gone(delta, kept))),
        Step("ipset", tuple(lines_of(ipset.delete, removed, delta.family))),
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
    beside: tuple[ServerKey, ...] = (),
    others: frozenset[str] = frozenset(),
    warnings: tuple[str, ...] = (),
) -> Plan:
    done = tuple(step for step in steps if step.lines or step.messages)
    return Plan(done, tuple(drained), tuple(ended), beside, others, warnings)


def _set_of(entries: Wanted, name: str) -> IPSet:
    found, wanted = entries[name]
    return evolve(found, entries=tuple(sorted(wanted)))


def _anew(entries: Wanted, name: str) -> Iterator[str]:
    return lines_anew(_set_of(entries, name))


def _under_rules(found: IPSet, text: str) -> Iterator[Step]:
    """Yield what makes a set of another kind anew while rules name it.

    The kernel swaps no sets of different kinds, and takes away none that a rule names. So the
    rules name a set beside it for as long as that takes: no packet meets rules without it.
    """
    yield Step("ipset", tuple(lines_beside(found)))
    yield Step("iptables", (rules.with_set(text, found.name, RESIZED),))
    yield Step("ipset", tuple(lines_anew(found)))
    yield Step("iptables", (text,))
    yield Step("ipset", (ipset.destroy(RESIZED),))


def _foreign_addresses(observed: Observed) -> frozenset[str]:
    """Return the addresses that others put on the device.

    On a device that svcnet made, one that is wanted is taken for svcnet's own.
    """
    if observed.device is None or observed.device.is_ours:
        return frozenset()
    return observed.device.addresses - observed.entries(IPVS_IPS.name_in(observed.family))


def _address_changes(wanted: frozenset[str], observed: Observed, kept: Excluded) -> tuple[str, ...]:
    """Put the wanted addresses on the device, and take off those that svcnet put there.

    One that is there in another way, such as with another prefix length, is put right.
    """
    there = observed.device.held if observed.device else ()
    right = {each.address for each in there if each.plain}
    wrong = [each for each in there if not each.plain and each.address in wanted]
    gone = [
        each
        for each in own_addresses(observed)
        if each.address not in wanted and each.address not in kept
    ]
    put_right = frozenset(each.address for each in wrong)
    lines = [_line("add", held(address)) for address in sorted(wanted - right - put_right)]
    for address in sorted(put_right):
        ways = [each for each in wrong if each.address == address]
        lines += _in_place_of(ways, is_there=address in right)
    return (*lines, *(_line("del", each) for each in gone), *_put_back([*wrong, *gone], there))


def removed_addresses(observed: Observed) -> tuple[str, ...]:
    """Return what takes the addresses that svcnet put there off the device."""
    gone = own_addresses(observed)
    there = observed.device.held if observed.device else ()
    return (*(_line("del", each) for each in gone), *_put_back(gone, there))


def _put_back(gone: Iterable[Held], there: Iterable[Held]) -> Iterator[str]:
    """Yield what puts addresses of others back that the kernel takes with one that goes.

    Of the IPv4 addresses of one network the first takes all others along, unless the kernel is
    told to promote one (``promote_secondaries``): then they are there still.
    """
    gone = tuple(gone)
    networks = {each.network for each in gone} - {None}
    for each in there:
        if each.network in networks and each not in gone:
            yield _line("add", each)


def _in_place_of(ways: list[Held], *, is_there: bool) -> Iterator[str]:
    """Yield what has an address held in the one right way, and in none of others.

    With IPv6, or where the text of both is the same, the kernel takes the one for the other:
    then the wrong one goes first.
    """
    one = held(ways[0].address)
    added = () if is_there else (_line("add", one),)
    is_taken = ":" in one.address or any(each.text == one.text for each in ways)
    gone = [_line("del", each) for each in ways]
    yield from (*gone, *added) if is_taken else (*added, *gone)


def own_addresses(observed: Observed) -> list[Held]:
    """Return the addresses that svcnet put on the device: the set of the rules has them too."""
    own = observed.entries(IPVS_IPS.name_in(observed.family))
    return [
        each for each in (observed.device.held if observed.device else ()) if each.address in own
    ]


def _addresses(verb: str, addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(_line(verb, held(address)) for address in sorted(addresses))


def _line(verb: str, one: Held) -> str:
    return ip.address(verb, one.text, DUMMY_DEVICE)


def _link_lines() -> tuple[str, ...]:
    return ip.make_dummy(DUMMY_DEVICE, GROUP), ip.name_alias(DUMMY_DEVICE, ALIAS)


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
