"""The plan of IPVS mode: where it leads, in what order, and what it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet import models
from svcnet.executors.ipvs import IPVSPlan, plan, plan_step
from svcnet.executors.ipvs.servers import Real
from svcnet.executors.ipvs.sets import DRAIN, all_sets, draining, saved_entries
from svcnet.models import IPVSConfiguration
from svcnet.models.service import Protocol
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipvs.messages import HASHED, TUNNEL, Dest, DestKey, IPVSService
from svcnet.renderers.ipvs import IPVSTables, ServerKey
from svcnet.renderers.ipvs.program import service_of
from svcnet.renderers.ipvs.render import between
from svcnet.renderers.ipvs.sections import RESIZED
from svcnet.renderers.ipvs.sets import MAX_ELEMENTS
from svcnet.testing import FakeIPVS, make_service, make_slice
from svcnet.testing.fake_ipvs import FakeSet
from tests import strategies
from tests.renderers.ipvs_model import tables_of

clusters = st.lists(strategies.objects, max_size=8)
KEY = ServerKey("10.96.0.10", 80, "TCP")
FIRST = DestKey("10.244.1.5", 8080)
SECOND = DestKey("10.244.2.6", 8080)
BOTH = (make_service(), make_slice("web", "10.244.1.5@node-a", "10.244.2.6@node-b"))
ONE = (make_service(), make_slice("web", "10.244.1.5@node-a"))


def applied(tables: IPVSTables, machine: FakeIPVS, drain: int = DRAIN) -> IPVSPlan:
    planned = plan(tables, machine.observe_state(), drain)
    machine.do(planned)
    return planned


def words(planned: IPVSPlan) -> list[str]:
    return [line for step in planned.steps for line in step.text.splitlines()]


def what_is_there(machine: FakeIPVS) -> object:
    """Return the machine's state without entries that end by themselves."""
    observed = machine.observe_state()
    name = draining(machine.family)
    return evolve(observed, sets={k: v for k, v in observed.sets.items() if k != name})


def takes_connections(machine: FakeIPVS, key: ServerKey) -> bool:
    return any(real.weight for real in machine.reals[key].values())


def fresh(tables: IPVSTables, sysctls: dict[str, int]) -> FakeIPVS:
    """Return a machine with nothing but `tables`, and settings that no plan takes back."""
    machine = FakeIPVS()
    machine.sysctls = dict(sysctls)
    applied(tables, machine)
    return machine


@settings(max_examples=60)
@given(st.lists(clusters, min_size=1, max_size=4), st.integers(0, 60))
def test_any_history_leads_to_the_last_state(history: list[list[ClusterObject]], stop: int) -> None:
    """Whatever was applied before, also in part, the last state is there; then nothing is left."""
    machine = FakeIPVS()
    for objects in history[:-1]:
        planned = plan(tables_of(*objects), machine.observe_state(), drain=0)
        for _, number in zip(machine.steps(planned.steps), range(stop), strict=False):
            assert number < stop
    last = tables_of(*history[-1])
    applied(last, machine, drain=0)
    assert what_is_there(machine) == what_is_there(fresh(last, machine.sysctls))
    assert plan(last, machine.observe_state()).steps == ()


@settings(max_examples=60)
@given(clusters, clusters)
def test_a_step_leads_where_an_apply_leads(
    before: list[ClusterObject], after: list[ClusterObject]
) -> None:
    """From a known state, the step that looks at nothing arrives at the same."""
    old, new = tables_of(*before), tables_of(*after)
    machine = FakeIPVS()
    applied(old, machine)
    machine.do(plan_step(between(old, new), drain=0))
    assert plan(new, machine.observe_state()).steps == ()


@settings(max_examples=100)
@given(clusters, clusters, st.booleans(), st.sampled_from([0, 900]))
def test_what_is_served_before_and_after_is_served_all_the_while(
    before: list[ClusterObject], after: list[ClusterObject], by_step: bool, drain: int
) -> None:
    """At no moment has a served address no server, or a server that it keeps no endpoint."""
    old, new = tables_of(*before), tables_of(*after)
    machine = FakeIPVS()
    applied(old, machine)
    planned = (
        plan_step(between(old, new), drain)
        if by_step
        else plan(new, machine.observe_state(), drain)
    )
    kept = [
        key for key, server in old.servers.items() if key in new.servers and server.real_servers
    ]
    kept = [key for key in kept if new.servers[key].real_servers]
    for operation in machine.steps(planned.steps):
        assert all(any(real.weight for real in machine.reals[key].values()) for key in kept), (
            operation
        )
        answering = {key.address for key in machine.servers}
        assert (machine.addresses or set()) <= answering, operation


def test_the_order_of_kinds() -> None:
    """Sets come before rules, rules before servers, servers before addresses; and back."""
    machine = FakeIPVS()
    tools = [step.tool for step in applied(tables_of(*BOTH), machine).steps]
    assert tools == ["sysctl", "link", "ipset", "iptables", "ipvs", "address"]
    tools = [step.tool for step in applied(tables_of(), machine).steps]
    assert tools == ["iptables", "address", "ipvs", "ipset"]


def test_a_removed_endpoint_drains() -> None:
    """It takes no new connections, and goes when it has none any more."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    machine.connections[KEY, SECOND] = 1
    assert words(applied(tables_of(*ONE), machine, drain=60)) == [
        "add SVCNET-DRAINING 10.244.2.6,6:8080,10.96.0.10 timeout 60 -exist",
        "edit 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 0",
    ]
    assert words(applied(tables_of(*ONE), machine)) == []
    machine.connections[KEY, SECOND] = 0
    assert words(applied(tables_of(*ONE), machine)) == [
        "delete 10.96.0.10:80 TCP -> 10.244.2.6:8080"
    ]


def test_a_draining_endpoint_goes_when_its_time_is_over() -> None:
    """The kernel takes its entry out of the set; the next apply takes the endpoint away."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    machine.connections[KEY, SECOND] = 1
    applied(tables_of(*ONE), machine)
    machine.sets["SVCNET-DRAINING"].entries.clear()
    assert words(applied(tables_of(*ONE), machine)) == [
        "delete 10.96.0.10:80 TCP -> 10.244.2.6:8080"
    ]


def test_an_endpoint_that_returns_gets_its_weight_back() -> None:
    """While it drains, it is still there: nothing but its weight changes."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    machine.connections[KEY, SECOND] = 1
    applied(tables_of(*ONE), machine)
    assert words(applied(tables_of(*BOTH), machine)) == [
        "edit 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 1"
    ]


def test_endpoints_of_datagrams_go_at_once() -> None:
    """UDP and SCTP have no end of a connection to wait for; neither has a drain of 0."""
    choices: tuple[tuple[Protocol, int], ...] = (("UDP", 900), ("SCTP", 900), ("TCP", 0))
    for protocol, drain in choices:
        machine = FakeIPVS()
        applied(tables_of(*with_protocol(BOTH, protocol)), machine)
        planned = applied(tables_of(*with_protocol(ONE, protocol)), machine, drain=drain)
        assert words(planned) == [f"delete 10.96.0.10:80 {protocol} -> 10.244.2.6:8080"]


def test_endpoints_hashed_by_destination_go_at_once() -> None:
    """Scheduler dh would go on sending clients to one that takes none."""
    dh = IPVSConfiguration(scheduler="dh")
    machine = FakeIPVS()
    applied(tables_of(*BOTH, ipvs=dh), machine)
    planned = applied(tables_of(*ONE, ipvs=dh), machine)
    assert words(planned) == ["delete 10.96.0.10:80 TCP -> 10.244.2.6:8080"]


def with_protocol(objects: Iterable[ClusterObject], protocol: Protocol) -> list[ClusterObject]:
    found: list[ClusterObject] = []
    for item in objects:
        if isinstance(item, models.Service):
            ports = tuple(evolve(port, protocol=protocol) for port in item.ports)
            found.append(evolve(item, ports=ports))
        elif isinstance(item, models.EndpointSlice):
            its_ports = tuple(evolve(port, protocol=protocol) for port in item.ports)
            found.append(evolve(item, ports=its_ports))
    return found


def test_one_changed_weight_is_one_operation() -> None:
    """A weight by annotation is told to the kernel by one message."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    heavy = (BOTH[0], evolve(BOTH[1], ipvs_weight=5))
    assert words(applied(tables_of(*heavy), machine)) == [
        "edit 10.96.0.10:80 TCP -> 10.244.1.5:8080 weight 5",
        "edit 10.96.0.10:80 TCP -> 10.244.2.6:8080 weight 5",
    ]


@pytest.mark.parametrize("drain", [0, 900])
@pytest.mark.parametrize("by_step", [True, False])
def test_new_endpoints_come_before_all_old_ones_go(drain: int, by_step: bool) -> None:
    """Where every endpoint is replaced, there is always one that takes connections."""
    old = tables_of(*BOTH)
    new = tables_of(BOTH[0], make_slice("web", "10.244.3.7@node-c"))
    machine = FakeIPVS()
    applied(old, machine)
    planned = (
        plan_step(between(old, new), drain)
        if by_step
        else plan(new, machine.observe_state(), drain)
    )
    assert all(takes_connections(machine, KEY) for _ in machine.steps(planned.steps))
    assert machine.reals[KEY][DestKey("10.244.3.7", 8080)] == Dest("10.244.3.7", 8080)


def test_foreign_servers_and_their_addresses_are_left_alone() -> None:
    """A wanted server that another program made stays as it is, and no rule speaks of it."""
    machine = FakeIPVS()
    foreign = service_of(tables_of(*BOTH).servers[KEY])
    foreign = evolve(foreign, flags=HASHED, scheduler="wlc")
    machine.servers[KEY], machine.reals[KEY] = foreign, {FIRST: Dest("10.244.1.5", 8080, 7)}
    planned = applied(tables_of(*BOTH), machine)
    assert len(planned.warnings) == 1
    assert machine.servers[KEY] == foreign
    assert machine.reals[KEY] == {FIRST: Dest("10.244.1.5", 8080, 7)}
    assert not machine.addresses
    assert not machine.sets["KUBE-CLUSTER-IP"].entries
    assert applied(tables_of(), machine).warnings == ()
    assert machine.servers[KEY] == foreign


def test_the_rules_let_in_what_is_for_a_foreign_server_beside_a_service() -> None:
    """On a Service's address another program's virtual server goes on being reached."""
    machine = FakeIPVS()
    place = KEY._replace(port=8081)
    machine.servers[place] = IPVSService(place.address, place.port)
    machine.reals[place] = {FIRST: Dest("10.244.1.5", 8080)}
    planned = applied(tables_of(*BOTH), machine)
    assert planned.beside == (place,)
    rule = "-d 10.96.0.10/32 -p tcp -m tcp --dport 8081 -j RETURN"
    assert machine.tables.tables["filter"]["KUBE-IPVS-FILTER"][0] == rule
    assert applied(tables_of(*BOTH), machine).steps == ()
    del machine.servers[place], machine.reals[place]
    assert applied(tables_of(*BOTH), machine).changes == {"iptables filter": 1}
    assert rule not in machine.tables.tables["filter"]["KUBE-IPVS-FILTER"]


def test_an_own_server_that_was_edited_is_known_by_its_entry() -> None:
    """ipvsadm -E takes svcnet's mark off; the sets still tell whose the server is."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    machine.servers[KEY] = evolve(machine.servers[KEY], flags=HASHED, scheduler="lc")
    assert words(applied(tables_of(*BOTH), machine)) == ["edit 10.96.0.10:80 TCP scheduler rr"]


def test_addresses_of_others_on_a_device_of_others() -> None:
    """An address that svcnet found on a device that it did not make stays when it leaves."""
    machine = FakeIPVS()
    machine.addresses = {"10.96.0.10", "10.1.1.1"}
    machine.device_is_ours = False
    applied(tables_of(*BOTH), machine)
    applied(tables_of(), machine)
    assert machine.addresses == {"10.96.0.10", "10.1.1.1"}


def test_excluded_addresses_lose_nothing() -> None:
    """What was served on an address in excludeCIDRs goes on, though no Service wants it."""
    ipvs = IPVSConfiguration(exclude_cidrs=("10.96.0.0/24",))
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    applied(tables_of(ipvs=ipvs), machine)
    assert machine.addresses == {"10.96.0.10"}
    assert list(machine.servers) == [KEY]
    applied(tables_of(), machine)
    assert not machine.servers


def test_a_real_server_that_does_not_masquerade_is_put_right() -> None:
    """Another forwarding method is drift like any other."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    observed = machine.observe_state()
    reals = {KEY: {**observed.reals[KEY], FIRST: Real(1, is_plain=False)}}
    planned = plan(tables_of(*BOTH), evolve(observed, reals=reals))
    assert words(planned) == ["edit 10.96.0.10:80 TCP -> 10.244.1.5:8080 weight 1"]


def test_a_real_server_of_the_other_family_goes_at_once() -> None:
    """It was put there by hand, and neither set nor kernel would take it as one that drains."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    machine.reals[KEY][DestKey("fd00::9", 80)] = Dest("fd00::9", 80, 1, TUNNEL)
    planned = words(applied(tables_of(*BOTH), machine))
    assert planned == ["delete 10.96.0.10:80 TCP -> [fd00::9]:80"]


def test_a_set_has_room_for_what_comes_and_what_goes() -> None:
    """Entries come before others go: a set that is full of those gets a higher bound."""
    machine = FakeIPVS()
    applied(tables_of(), machine)
    old = {f"10.97.{number // 256}.{number % 256},tcp:80" for number in range(MAX_ELEMENTS)}
    machine.sets["KUBE-CLUSTER-IP"].entries.update(old)
    applied(tables_of(*BOTH), machine)
    assert machine.sets["KUBE-CLUSTER-IP"].entries == {"10.96.0.10,tcp:80"}


def test_endpoints_drain_beside_many_others() -> None:
    """A busy cluster removes more endpoints in the time of a drain than a set holds by default."""
    machine = FakeIPVS()
    applied(tables_of(*BOTH), machine)
    others = {f"10.244.3.4,tcp:{port},10.96.0.11" for port in range(MAX_ELEMENTS)}
    machine.sets[draining("IPv4")].entries.update(others)
    applied(tables_of(*ONE), machine)
    assert "10.244.2.6,tcp:8080,10.96.0.10" in machine.observe_state().entries(draining("IPv4"))


KINDS = ("hash:net", "bitmap:port", "list:set", "hash:ip,port", "hash:ip,port,ip", "hash:ip")
OPTIONS: tuple[dict[str, str], ...] = (
    {"family": "inet"},
    {"family": "inet6"},
    {"family": "inet", "timeout": "3"},
    {"range": "0-99"},
    {},
)
remade = st.builds(
    FakeSet,
    st.sampled_from(KINDS),
    st.sampled_from(OPTIONS).map(dict),
    st.sampled_from([1, MAX_ELEMENTS]),
)
names = st.sampled_from(all_sets("IPv4"))
held_oddly = st.sampled_from(["10.96.0.10/24", "10.96.0.10 peer 10.9.9.9/32", "10.96.0.99"])


@settings(max_examples=60)
@given(clusters, st.dictionaries(names, remade, max_size=4), st.sets(held_oddly), st.booleans())
def test_sets_and_addresses_made_anew_by_hand(
    objects: list[ClusterObject], sets: dict[str, FakeSet], odd: set[str], is_taken: bool
) -> None:
    """They are put right, and all the while the rules name sets that have what is served."""
    wanted = tables_of(*objects)
    machine = FakeIPVS()
    applied(wanted, machine)
    right = what_is_there(machine)
    for name, found in sets.items():
        if found.size == 1:
            # Of the right kind, and yet another set.
            found.type, family = machine.sets[name].kind
            found.options = {"family": family, "timeout": "3"} if family else {"range": "0-99"}
        machine.sets[name] = found
    assert machine.addresses is not None
    machine.addresses -= {"10.96.0.10"} if is_taken else set()
    machine.addresses |= {each for each in odd if each != "10.96.0.99" or not wanted.servers}
    entries = {each.name: saved_entries(each) for each in wanted.sets.values()}
    for operation in machine.steps(plan(wanted, machine.observe_state()).steps):
        for name in named(machine) - set(sets):
            there = machine.sets[name].entries
            owners = set(sets) if name == RESIZED else {name}
            assert any(entries[owner] <= there for owner in owners & entries.keys()), operation
    own = {each for each in odd if each.split("/")[0].split()[0] in wanted.addresses}
    machine.addresses -= odd - own
    assert what_is_there(machine) == right
    assert plan(wanted, machine.observe_state()).steps == ()


def named(machine: FakeIPVS) -> set[str]:
    """Return the sets that rules name."""
    chains = [own for table in machine.tables.tables.values() for own in table.values()]
    return set(re.findall(r"--match-set (\S+)", " ".join(rule for own in chains for rule in own)))
