"""IPVS mode on a machine that refuses things: what depends on one is left out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOENT
from itertools import takewhile
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.executors.iptables import Commands
from svcnet.executors.ipvs import IPVS, IPVSPlan, device, observe, plan, sets
from svcnet.executors.ipvs.execution import MOST_TOLD, Execution, Refusal, refusal_lines
from svcnet.executors.ipvs.plan import plan_step
from svcnet.executors.ipvs.servers import MessageRefusal
from svcnet.graph import diff
from svcnet.labels import SCHEDULER_ANNOTATION
from svcnet.models.state import ClusterObject
from svcnet.netfilter.ipvs.messages import DelDest, DelService, IPVSService, Message, NewService
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables, advance, full
from svcnet.renderers.ipvs.sets import IPVS_IPS
from svcnet.testing import FakeIPVS, FakeMachine, make_node, make_service, make_slice
from tests import strategies
from tests.fuzz import examples
from tests.renderers.ipvs_model import graph_of, tables_of

clusters = st.lists(strategies.objects, max_size=8)


def of_ipvs(machine: FakeMachine) -> FakeIPVS:
    """Return what a machine has of IPVS mode."""
    return machine.kernel.ipvs.families["IPv4"]


@contextmanager
def execution(
    machine: FakeMachine,
    refuses: Callable[[str], bool] = lambda _: False,
    wanted: IPVSTables | IPVSDelta | None = None,
) -> Iterator[Execution]:
    """Yield an execution on a machine that `refuses` lines and messages meanwhile."""
    machine.refuses = refuses
    with IPVS(machine) as ipvs:
        yield Execution("IPv4", Commands("IPv4", "nft", machine), ipvs, wanted)
    machine.refuses = FakeMachine().refuses


def planned(tables: IPVSTables, machine: FakeMachine) -> IPVSPlan:
    """Return what takes a machine to `tables`."""
    saved = Commands("IPv4", "nft", machine).observe()
    with IPVS(machine) as ipvs:
        return plan(tables, observe("IPv4", saved, tables.sysctls, ipvs), drain=0)


def carried_out(
    tables: IPVSTables, machine: FakeMachine, refuses: Callable[[str], bool] = lambda _: False
) -> list[Refusal]:
    """Do what takes a machine to `tables`; return what was refused."""
    steps = planned(tables, machine).steps
    with execution(machine, refuses) as at_work:
        at_work.do(steps)
    return at_work.refused


@settings(max_examples=examples(20))
@given(clusters, clusters, st.integers(0, 2**16), st.sampled_from([3, 10, 40]))
def test_all_but_what_is_refused_is_as_wanted(
    before: list[ClusterObject], after: list[ClusterObject], seed: int, share: int
) -> None:
    """Any things that are refused keep no others from being right, and each of them is told."""
    machine = FakeMachine()
    carried_out(tables_of(*before), machine)
    wanted = tables_of(*after)
    struck: list[str] = []

    def refuses(line: str) -> bool:
        is_struck = crc32(f"{seed} {line}".encode()) % share == 0
        if is_struck:
            struck.append(line)
        return is_struck

    refused = carried_out(wanted, machine, refuses)
    assert bool(refused) == bool(struck)
    # What is refused is what was struck, and of sets what hangs on that.
    assert {each.what for each in refused if each.tool in ("ip", "IPVS")} <= set(struck)
    text = "\n".join([*struck, *(f"{each.what} {each.line}" for each in refused)])
    right = FakeMachine()
    carried_out(wanted, right)
    found, meant = of_ipvs(machine), of_ipvs(right)
    for key in found.servers.keys() | meant.servers.keys():
        place = f"{key.address}:{key.port}"
        if place not in text:
            assert found.servers.get(key) == meant.servers.get(key), place
            assert found.reals.get(key) == meant.reals.get(key), place
    for name in set(found.sets) | set(meant.sets):
        if f" {name} " in f"{text} ":
            continue
        there, expected = found.sets[name].entries, meant.sets[name].entries
        held = found.addresses or set() if name == IPVS_IPS.name else set()
        assert expected <= there <= expected | held, name
    has_rules = "iptables-nft-restore" not in struck and "link add" not in struck
    for address in (found.addresses or set()) ^ (meant.addresses or set()):
        assert address in text or not has_rules, address
    # Nothing is out of reach that was: an address has the entry by which it is found again.
    assert (found.addresses or set()) <= found.observe_state().entries(IPVS_IPS.name)
    carried_out(wanted, machine)
    assert planned(wanted, machine).steps == ()


WEB = (make_service(), make_slice("web", "10.244.1.5"))
OTHER = make_service("other", "10.96.0.11", annotations={SCHEDULER_ANNOTATION: "nq"})


def test_a_scheduler_that_the_kernel_lacks_leaves_out_its_service() -> None:
    """That Service has no virtual server and no address; all others have theirs, and one line."""
    machine = FakeMachine()
    tables = tables_of(*WEB, OTHER, make_slice("other", "10.244.1.6", "10.244.1.7"))
    refused = carried_out(tables, machine, lambda line: "scheduler nq" in line)
    assert of_ipvs(machine).addresses == {"10.96.0.10"}
    assert [each.what for each in refused] == ["add 10.96.0.11:80 TCP scheduler nq"]


def test_the_reason_names_the_module() -> None:
    """The kernel's "no such file" is what it means of a scheduler."""
    refused = MessageRefusal(NewService(IPVSService("10.96.0.11", 80, scheduler="nq")), ENOENT)
    assert refused.why == "this kernel lacks the module ip_vs_nq"


def test_a_refused_deletion_of_an_address_keeps_its_entry() -> None:
    """So the next apply finds it again; everything behind it is done."""
    machine = FakeMachine()
    carried_out(tables_of(*WEB), machine)
    assert carried_out(tables_of(), machine, lambda line: line.startswith("address del"))
    found = of_ipvs(machine)
    assert found.addresses == {"10.96.0.10"}
    assert found.sets["KUBE-IPVS-IPS"].entries == {"10.96.0.10"}
    assert not found.sets["KUBE-CLUSTER-IP"].entries
    assert not found.servers
    assert carried_out(tables_of(), machine) == []
    assert not found.addresses


def test_what_cannot_be_taken_away_names_what_it_came_from() -> None:
    """A step knows the fields of what it takes away, which its new state has no more."""
    machine = FakeMachine()
    node, service = make_node(), WEB[0]
    slices = make_slice("web", "10.244.1.5", "10.244.1.6@node-a")
    carried_out(tables_of(service, slices), machine)
    old, new = graph_of([node, service, slices]), graph_of([node])
    step = advance(full(old), diff(old, new))[1]
    with execution(machine, lambda _: True, step) as at_work:
        at_work.do(plan_step(step, drain=0).steps)
    told = {each.what: each.origin for each in at_work.refused if each.line != "*nat"}
    address = "Service shop/web: spec.clusterIPs[0]"
    assert told == {
        "delete 10.96.0.10:80 TCP": address,
        "address del 10.96.0.10/32 dev kube-ipvs0": address,
        "del KUBE-CLUSTER-IP 10.96.0.10,6:80 -exist": address,
        "del KUBE-LOOP-BACK 10.244.1.6,6:8080,10.244.1.6 -exist": (
            "EndpointSlice shop/web-1: endpoints[1].addresses[0]"
        ),
    }


@pytest.mark.parametrize("gone", [DelService, DelDest])
def test_what_is_gone_already_is_as_wanted(gone: type[Message]) -> None:
    """Somebody else deleted it meanwhile: that is no refusal."""
    machine = FakeMachine()
    carried_out(tables_of(*WEB), machine)
    wanted = tables_of() if gone is DelService else tables_of(WEB[0], make_slice("web"))
    steps, found = planned(wanted, machine).steps, of_ipvs(machine)
    found.message(DelService(next(iter(found.servers.values()))))
    assert found.addresses is not None
    found.addresses.clear()
    with execution(machine) as at_work:
        at_work.do(steps)
    assert at_work.refused == []


def test_what_somebody_made_meanwhile_is_as_wanted() -> None:
    """Sets, addresses and virtual servers of svcnet's that are there are no refusals."""
    tables = tables_of(*WEB)
    machine = FakeMachine()
    steps = planned(tables, machine).steps
    with execution(machine) as at_work:
        at_work.do(takewhile(lambda step: step.tool != "iptables", steps))
        at_work.do(step for step in steps if step.tool == "ipset")
    carried_out(tables, machine)
    with execution(machine) as again:
        again.do(step for step in steps if step.tool in ("ipvs", "address", "ipset"))
    assert at_work.refused == again.refused == []


def test_many_refusals_for_one_reason_are_few_lines() -> None:
    """Five are named, and how many more there are."""
    refused = [Refusal("ip", f"add {number}", "no") for number in range(100)]
    lines = list(refusal_lines(refused))
    assert len(lines) == MOST_TOLD + 1
    assert lines[-1] == "ip refused 95 more for the same reason: no"


def test_sets_that_refuse_everything_cost_few_runs() -> None:
    """Of a set that takes no entry, a few are tried."""
    machine = FakeMachine()
    machine.refuses = lambda line: line.startswith("add KUBE-CLUSTER-IP")
    lines = [f"add KUBE-CLUSTER-IP 10.96.0.1,6:{port} -exist\n" for port in range(1, 1000)]
    assert len(list(sets.carry_out(machine, lines))) == len(lines)
    assert len(machine.calls) <= sets.MOST_REFUSED


@pytest.mark.parametrize("line", ["address add 10.96.0.10 dev kube-ipvs0\n", "link set x up\n", ""])
def test_a_line_that_is_not_about_an_address_is_not_passed_over(line: str) -> None:
    """Nothing of it is done, and that is told; the lines beside it are carried out."""
    machine = FakeMachine()
    device.make(machine)
    lines = [line, *device.address_lines("add", ["10.96.0.10"])]
    refused = list(device.change_addresses(machine, lines, "IPv4"))
    assert refused == [(line, "it is no line about an address")]
    assert of_ipvs(machine).addresses == {"10.96.0.10"}
