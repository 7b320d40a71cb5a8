"""Mode IPVS on machines, the fake one and a guest alike: applied, kept, probed and taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.checks import NOT_INSTALLED, NOT_PERMITTED
from svcnet.errors import ApplyError
from svcnet.executors.iptables import choose_variant
from svcnet.executors.ipvs import IPVS, IncompleteIPVS, IPVSState, MissingModules, NoIPVS, observe
from svcnet.executors.ipvs.sets import all_sets
from svcnet.executors.lock import Busy
from svcnet.executors.machine import Machine, Output
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.labels import SCHEDULER_ANNOTATION
from svcnet.models import IPFamily
from svcnet.modes import Executor
from svcnet.netfilter.ipvs.messages import DelDest, DelService, IPVSService, NewService
from svcnet.reconciler import Keeper
from svcnet.renderers.ipvs import IPVSTables, ServerKey
from svcnet.testing import FakeMachine
from tests.executors.machines import fake, keep_off_this_machine
from tests.modes.test_on_machines import FOREIGN, MANIFEST, SIX, cleaned, executor_of, graph_of
from tests.modes.test_on_machines import full as full_of
from tests.network import new_network

__all__ = ["fake"]

families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])
WEB = ServerKey("10.96.0.10", 80, "TCP")
FEWER = MANIFEST.replace(", {addresses: [10.244.1.6]}", "")
OTHER = MANIFEST.replace("name: dns", "name: dns-2").replace("10.96.0.11", "10.96.0.12")
GATE = MANIFEST.replace(
    "type: NodePort",
    "type: LoadBalancer, externalIPs: [192.0.2.7], loadBalancerSourceRanges: [203.0.113.0/24]",
).replace("---", "status: {loadBalancer: {ingress: [{ip: 192.0.2.8}]}}\n---", 1)
"""A Service of which each kind of rule is."""
LACKS = (
    *("ip_vs", "ip_vs_rr", "dummy", "ip_set_hash_ipport", "ip_set_bitmap_port", "xt_comment"),
    *("xt_set", "xt_ipvs", "xt_conntrack", "xt_addrtype", "xt_physdev", "xt_MARK", "xt_MASQUERADE"),
    *("CONFIG_IP_VS_PROTO_UDP",),
)


@pytest.fixture(
    params=[
        pytest.param("fake", id="fake"),
        pytest.param("this", id="guest", marks=[pytest.mark.kernel, pytest.mark.ipvs]),
    ]
)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine without a rule: one in memory, or a network namespace of a guest."""
    if request.param == "fake":
        keep_off_this_machine(monkeypatch)
        yield FakeMachine()
        return
    new_network()
    yield THIS_MACHINE


def executor(machine: Machine) -> Executor[IPVSTables]:
    return executor_of(machine, "ipvs", variant="legacy", drain=0)


def full(machine: Machine, text: str = "", family: IPFamily = "IPv4") -> IPVSTables:
    tables: IPVSTables = full_of(executor(machine), graph_of(family, text))
    return tables


def seen(machine: Machine, family: IPFamily = "IPv4") -> IPVSState:
    choice = choose_variant(family, "legacy", machine=machine)
    with IPVS(machine) as ipvs:
        return observe(family, choice.observed, full(machine).sysctls, ipvs)


@families
def test_all_is_planned_applied_and_removed(machine: Machine, family: IPFamily) -> None:
    """A plan changes nothing; after an apply nothing differs; cleanup leaves what others made."""
    mine, artifact = executor(machine), full(machine, family=family)
    foreign = IPVSService("192.0.2.9" if family == "IPv4" else "2001:db8::9", 80, scheduler="wrr")
    with IPVS(machine) as ipvs:
        ipvs.send([NewService(foreign)])
    before = seen(machine, family)
    planned = mine.plan(artifact)
    assert seen(machine, family) == before
    done = mine.apply(artifact)
    assert planned.plan.text == done.plan.text
    there = seen(machine, family)
    assert there.services.keys() >= artifact.servers.keys()
    assert there.device is not None
    assert there.device.is_ours
    assert there.device.addresses == set(artifact.addresses)
    again = mine.apply(artifact)
    assert (again.plan.text, again.warnings) == ("", ())
    assert mine.is_there(family)
    assert all(line.startswith(f"{family}, ipvs: ") for line in cleaned(mine, family))
    left = seen(machine, family)
    assert (list(left.services), left.sets, left.device) == (list(before.services), {}, None)
    assert not mine.is_there(family)
    assert cleaned(mine, family) == []


def test_the_device_stays_for_the_other_family(machine: Machine) -> None:
    """It goes with the last address of either."""
    mine = executor(machine)
    mine.apply(full(machine))
    mine.apply(full(machine, family="IPv6"))
    assert "kube-ipvs0 removed" not in str(cleaned(mine, "IPv4"))
    assert "kube-ipvs0 removed" in str(cleaned(mine, "IPv6"))


def test_a_foreign_server_is_left_alone(machine: Machine) -> None:
    """Where a Service has an address and port that others serve, it is told, and not touched."""
    theirs = IPVSService(WEB.address, WEB.port, scheduler="wrr")
    with IPVS(machine) as ipvs:
        ipvs.send([NewService(theirs)])
    [warning] = executor(machine).apply(full(machine)).warnings
    assert "10.96.0.10 port 80 TCP is a virtual server that svcnet did not make" in warning
    assert seen(machine).services[WEB].scheduler == "wrr"


def damage_a_server(machine: Machine) -> None:
    with IPVS(machine) as ipvs:
        ipvs.send([DelService(IPVSService(WEB.address, WEB.port))])


def damage_a_real_server(machine: Machine) -> None:
    with IPVS(machine) as ipvs:
        service = IPVSService(WEB.address, WEB.port)
        ipvs.send([DelDest(service, ipvs.dests(service)[0].dest)])


def damage_a_set(machine: Machine) -> None:
    path = machine.find("ipset")
    assert path is not None
    machine.run(path, "restore", stdin="flush KUBE-CLUSTER-IP\n")


def damage_a_setting(machine: Machine) -> None:
    machine.write(Path("/proc/sys/net/ipv4/vs/conntrack"), "0")


def damage_rules(machine: Machine) -> None:
    path = machine.find("iptables-legacy-restore")
    assert path is not None
    machine.run(path, "--noflush", stdin="*nat\n-F KUBE-POSTROUTING\nCOMMIT\n")


@pytest.mark.parametrize(
    ("damage", "differed"),
    [
        (damage_a_server, {"virtual servers": 1, "real servers": 2}),
        (damage_a_real_server, {"real servers": 1}),
        (damage_a_set, {"ip sets": 1}),
        (damage_a_setting, {"sysctls": 1}),
        (damage_rules, {"iptables nat": 1}),
    ],
)
def test_damage_is_found_and_put_right(
    machine: Machine, damage: type, differed: dict[str, int]
) -> None:
    """A look changes nothing until somebody else does, and then says what differed."""
    graph = graph_of()
    keeper = Keeper(executor(machine).adapter("IPv4"))
    keeper.whole(graph)
    keeper.look(graph)
    right = seen(machine)
    assert "nothing has changed" in keeper.look(graph).text
    damage(machine)
    assert seen(machine) != right
    assert keeper.look(graph).differed == differed
    assert seen(machine) == right
    keeper.look(graph)
    assert "nothing has changed" in keeper.look(graph).text


@pytest.mark.parametrize("text", [FEWER, OTHER, ""])
def test_a_step_ends_where_the_whole_does(machine: Machine, text: str) -> None:
    """A keeper's step leaves what an apply of the new graph finds nothing to change in."""
    keeper = Keeper(executor(machine).adapter("IPv4"))
    keeper.whole(graph_of())
    after = graph_of(text=text or MANIFEST.replace("10.96.0.10", "10.96.0.13"))
    assert keeper.step(after, None).kind == "delta"
    artifact = full_of(executor(machine), after)
    assert executor(machine).apply(artifact).plan.text == ""


def test_an_endpoint_with_connections_drains(fake: FakeMachine) -> None:
    """It gets no more, and goes when it has none, or when its time is over."""
    mine = executor_of(fake, "ipvs", variant="legacy", drain=900)
    mine.apply(full(fake))
    machine = fake.kernel.ipvs.families["IPv4"]
    [gone] = [key for key in machine.reals[WEB] if key.address == "10.244.1.6"]
    machine.connections[WEB, gone] = 1
    fewer = full(fake, FEWER)
    assert "1 endpoint draining" in str(mine.apply(fewer))
    assert machine.reals[WEB][gone].weight == 0
    mine.apply(fewer)
    assert gone in machine.reals[WEB]
    machine.sets["SVCNET-DRAINING"].entries.clear()
    mine.apply(fewer)
    assert gone not in machine.reals[WEB]


@pytest.mark.parametrize("module", LACKS)
def test_what_the_kernel_lacks_is_told_before_anything_is_done(
    fake: FakeMachine, module: str
) -> None:
    """Each module is named, and nothing is there that was not."""
    fake.lacks.add(module)
    artifact = full(fake, GATE)
    named = "xt_mark" if module == "xt_MARK" else module
    with pytest.raises(MissingModules) as caught:
        executor(fake).apply(artifact)
    assert named in caught.value.modules
    assert named in (executor(fake).probe(artifact) or ())
    fake.lacks.clear()
    assert executor(fake).probe(artifact) == ()
    there = seen(fake)
    assert (there.services, there.sets, there.device) == ({}, {}, None)


def test_a_scheduler_that_is_lacking_leaves_one_service_out(fake: FakeMachine) -> None:
    """All others are served."""
    fake.lacks.add("ip_vs_nq")
    one = f"metadata: {{name: web, annotations: {{{SCHEDULER_ANNOTATION}: nq}}}}"
    artifact = full(fake, MANIFEST.replace("metadata: {name: web}", one, 1))
    with pytest.raises(IncompleteIPVS, match="lacks the module ip_vs_nq"):
        executor(fake).apply(artifact)
    there = seen(fake)
    assert WEB not in there.services
    assert there.device is not None
    assert there.device.addresses == {"10.96.0.11"}


def test_without_rights_or_tools_nothing_is_changed(fake: FakeMachine) -> None:
    """An error says what is lacking."""
    artifact = full(fake)
    fake.programs.discard("ipset")
    with pytest.raises(ApplyError, match="ipset is not installed") as caught:
        executor(fake).apply(artifact)
    assert caught.value.check == NOT_INSTALLED
    fake.programs.add("ipset")
    fake.capabilities.discard("CAP_NET_ADMIN")
    with pytest.raises(ApplyError, match="it takes CAP_NET_ADMIN") as caught:
        executor(fake).apply(artifact)
    assert caught.value.check == NOT_PERMITTED
    fake.capabilities.add("CAP_NET_ADMIN")
    fake.busy.add("IPv4")
    with pytest.raises(Busy):
        executor(fake).apply(artifact)
    with pytest.raises(Busy):
        cleaned(executor(fake))
    assert not fake.kernel.ipvs.sets


def test_a_kernel_without_ipvs_says_so(fake: FakeMachine) -> None:
    """It has no virtual servers, and nothing is there to remove."""
    fake.lacks.add("ip_vs")
    with pytest.raises(NoIPVS, match="lacks the module ip_vs"):
        IPVS(fake)
    assert cleaned(executor(fake)) == []


def test_an_ipset_that_lies_is_not_believed(fake: FakeMachine) -> None:
    """It says that it is done and is not, or lists other sets than the kernel has."""
    executor(fake).apply(full(fake, FEWER))
    fake.misbehave("ipset", *[Output(0, "", "")] * 4)
    with pytest.raises(ApplyError, match="its listing lacks"):
        executor(fake).apply(full(fake))
    fake.misbehave("ipset")
    executor(fake).apply(full(fake))
    assert executor(fake).apply(full(fake)).plan.text == ""


def test_another_familys_state_is_not_touched(machine: Machine) -> None:
    """Each family has sets, servers and addresses of its own."""
    executor(machine).apply(full(machine))
    four = seen(machine)
    executor(machine).apply(full(machine, SIX, "IPv6"))
    assert seen(machine) == four
    cleaned(executor(machine), "IPv6")
    assert seen(machine) == four
    assert set(four.sets) == set(all_sets("IPv4"))


def test_foreign_rules_stay(machine: Machine) -> None:
    """Rules of others are as they were, after an apply and after cleanup."""
    path = machine.find("iptables-legacy-restore")
    assert path is not None
    machine.run(path, "--noflush", stdin=FOREIGN)
    mine = executor(machine)
    mine.apply(full(machine))
    cleaned(mine)
    tables = choose_variant("IPv4", "legacy", machine=machine).observed
    assert tables.chains("filter")["INPUT"] == ["-s 192.0.2.1/32 -j DROP"]
    assert not [chain for chain in tables.chains("nat") if chain.startswith("KUBE-")]
