"""IPVS mode on a machine that refuses things: what depends on one is left out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import EEXIST, EINVAL, ENOENT, ESRCH
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.errors import ApplyError
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.ipvs import device, plan, sets
from svcnet.executors.ipvs import execution as execution_module
from svcnet.executors.ipvs.execution import MOST_TOLD, Execution, Refusal, refusal_lines
from svcnet.executors.ipvs.observe import key_of
from svcnet.executors.ipvs.plan import plan_step
from svcnet.executors.ipvs.servers import MessageRefusal
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import diff
from svcnet.labels import SCHEDULER_ANNOTATION
from svcnet.models.state import ClusterObject
from svcnet.netfilter import ip
from svcnet.netfilter.ip import Address
from svcnet.netfilter.ipset.wire import Header
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    Service,
)
from svcnet.renderers.ipvs import IPVSDelta, IPVSTables, advance, full
from svcnet.renderers.ipvs.sets import IPVS_IPS
from svcnet.testing import FakeIPVS, make_node, make_service, make_slice
from tests import strategies
from tests.renderers.ipvs_model import graph_of, tables_of

clusters = st.lists(strategies.objects, max_size=8)


class Believed:
    """No look at a kernel: what a tool says is so."""

    def __init__(self, *_: object) -> None:
        pass

    def check(self, *_: object) -> None:
        pass


class Refusing:
    """A machine's tools in the place of the real ones.

    They do to `fake` what they are told, but for what `refuses` says of a line or a message.
    """

    def __init__(self, fake: FakeIPVS, refuses: Callable[[str], bool]) -> None:
        self.name = "iptables"
        self.machine = THIS_MACHINE
        self.fake = fake
        self.refuses = refuses

    @contextmanager
    def in_place(self, wanted: IPVSDelta | None = None) -> Iterator[Execution]:
        """Yield an execution that works on the machine."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sets, "restore", self.sets)
            patch.setattr(sets, "headers", self.headers)
            patch.setattr(device, "_changed", self.addresses)
            patch.setattr(device, "make", self.make)
            patch.setattr(execution_module, "_write_sysctls", self.sysctls)
            patch.setattr(execution_module, "Proof", Believed)
            patch.setattr(device, "observe", lambda *_: self.fake.observed().device)
            yield Execution(self.fake.family, self, self, wanted)  # type: ignore[arg-type]

    def sets(self, _: Machine, text: str) -> None:
        """As ``ipset restore``: the first line that is refused ends it, with its number."""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._try(line)
                self.fake.line("ipset", line)
            except ValueError as error:
                raise ApplyError(f"ipset: ipset v7: Error in line {number}: {error}") from None

    def headers(self, _: Machine, names: Iterable[str]) -> Mapping[str, Header]:
        there = self.fake.sets
        return {
            name: Header("", "", 0, each.options.get("timeout", ""), len(each.entries), 0, False)
            for name in names
            if (each := there.get(name)) is not None
        }

    def addresses(
        self, _: Machine, verb: str, asked: Sequence[Address], family: str
    ) -> Iterator[tuple[int, str]]:
        """As the kernel: it goes on behind what it refuses."""
        for number, line in enumerate(ip.address(*each) for each in asked):
            try:
                self._try(line.strip())
                self.fake.line("address", line)
            except ValueError as error:
                yield number, str(error)

    def sysctls(self, _: Machine, lines: Iterable[str]) -> Iterator[Refusal]:
        for line in lines:
            if self.refuses(line.strip()):
                yield Refusal("sysctl", line.strip(), "no")
            else:
                self.fake.line("sysctl", line)

    def make(self, _: Machine) -> None:
        try:
            self._try("link add")
        except ValueError as error:
            raise ApplyError(str(error)) from None
        self.fake.line("link", "link add kube-ipvs0")

    def restore(self, text: str) -> None:
        if self.refuses("iptables"):
            raise RestoreError(2, "line 2 failed")
        self.fake.restore(text)

    def attempt(self, batch: Sequence[Message]) -> list[MessageRefusal]:
        """As the kernel: it goes on behind what it refuses, and says why by a number."""
        refused = []
        for message in batch:
            try:
                if self.refuses(str(message)):
                    refused.append(MessageRefusal(message, EINVAL))
                else:
                    self.fake.message(message)
            except ValueError:
                refused.append(MessageRefusal(message, self._number(message)))
        return refused

    def service(self, service: Service) -> Service | None:
        return self.fake.servers.get(key_of(service))

    def dests(self, _: Service) -> list[ObservedDest]:
        return []

    def _try(self, line: str) -> None:
        if self.refuses(line):
            raise ValueError("it is refused")

    def _number(self, message: Message) -> int:
        service = getattr(message, "service", None)
        is_there = service is not None and key_of(service) in self.fake.servers
        if isinstance(message, NewService):
            return EEXIST
        if isinstance(message, NewDest):
            return EEXIST if is_there else ESRCH
        return ENOENT if is_there else ESRCH


def carried_out(
    tables: IPVSTables, machine: FakeIPVS, refuses: Callable[[str], bool] = lambda _: False
) -> list[Refusal]:
    """Do what takes a machine to `tables`; return what was refused."""
    with Refusing(machine, refuses).in_place() as execution:
        execution.do(plan(tables, machine.observed(), drain=0).steps)
    return execution.refused


@settings(max_examples=80)
@given(clusters, clusters, st.integers(0, 2**16), st.sampled_from([3, 10, 40]))
def test_all_but_what_is_refused_is_as_wanted(
    before: list[ClusterObject], after: list[ClusterObject], seed: int, share: int
) -> None:
    """Any things that are refused keep no others from being right, and each of them is told."""
    machine = FakeIPVS()
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
    right = FakeIPVS()
    carried_out(wanted, right)
    for key in machine.servers.keys() | right.servers.keys():
        place = f"{key.address}:{key.port}"
        if place not in text:
            assert machine.servers.get(key) == right.servers.get(key), place
            assert machine.reals.get(key) == right.reals.get(key), place
    for name in set(machine.sets) | set(right.sets):
        if f" {name} " in f"{text} ":
            continue
        there, expected = machine.sets[name].entries, right.sets[name].entries
        held = machine.addresses or set() if name == IPVS_IPS.name else set()
        assert expected <= there <= expected | held, name
    has_rules = "iptables" not in struck and "link add" not in struck
    for address in (machine.addresses or set()) ^ (right.addresses or set()):
        assert address in text or not has_rules, address
    # Nothing is out of reach that was: an address has the entry by which it is found again.
    assert (machine.addresses or set()) <= machine.observed().entries(IPVS_IPS.name)
    carried_out(wanted, machine)
    assert plan(wanted, machine.observed(), drain=0).steps == ()


WEB = (make_service(), make_slice("web", "10.244.1.5"))
OTHER = make_service("other", "10.96.0.11", annotations={SCHEDULER_ANNOTATION: "nq"})


def test_a_scheduler_that_the_kernel_lacks_leaves_out_its_service() -> None:
    """That Service has no virtual server and no address; all others have theirs, and one line."""
    machine = FakeIPVS()
    tables = tables_of(*WEB, OTHER, make_slice("other", "10.244.1.6", "10.244.1.7"))
    refused = carried_out(tables, machine, lambda line: "scheduler nq" in line)
    assert machine.addresses == {"10.96.0.10"}
    assert [each.what for each in refused] == ["add 10.96.0.11:80 TCP scheduler nq"]


def test_the_reason_names_the_module() -> None:
    """The kernel's "no such file" is what it means of a scheduler."""
    refused = MessageRefusal(NewService(Service("10.96.0.11", 80, scheduler="nq")), ENOENT)
    assert refused.why == "this kernel lacks the module ip_vs_nq"


def test_a_refused_deletion_of_an_address_keeps_its_entry() -> None:
    """So the next apply finds it again; everything behind it is done."""
    machine = FakeIPVS()
    carried_out(tables_of(*WEB), machine)
    assert carried_out(tables_of(), machine, lambda line: line.startswith("address del"))
    assert machine.addresses == {"10.96.0.10"}
    assert machine.sets["KUBE-IPVS-IPS"].entries == {"10.96.0.10"}
    assert not machine.sets["KUBE-CLUSTER-IP"].entries
    assert not machine.servers
    assert carried_out(tables_of(), machine) == []
    assert not machine.addresses


def test_what_cannot_be_taken_away_names_what_it_came_from() -> None:
    """A step knows the fields of what it takes away, which its new state has no more."""
    machine = FakeIPVS()
    node, service = make_node(), WEB[0]
    slices = make_slice("web", "10.244.1.5", "10.244.1.6@node-a")
    carried_out(tables_of(service, slices), machine)
    old, new = graph_of([node, service, slices]), graph_of([node])
    step = advance(full(old), diff(old, new))[1]
    with Refusing(machine, lambda _: True).in_place(step) as execution:
        execution.do(plan_step(step, drain=0).steps)
    told = {each.what: each.origin for each in execution.refused if each.tool != "iptables"}
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
    machine = FakeIPVS()
    carried_out(tables_of(*WEB), machine)
    wanted = tables_of() if gone is DelService else tables_of(WEB[0], make_slice("web"))
    planned = plan(wanted, machine.observed(), drain=0)
    machine.message(DelService(next(iter(machine.servers.values()))))
    assert machine.addresses is not None
    machine.addresses.clear()
    with Refusing(machine, lambda _: False).in_place() as execution:
        execution.do(planned.steps)
    assert execution.refused == []


def test_what_somebody_made_meanwhile_is_as_wanted() -> None:
    """Sets, addresses and virtual servers of svcnet's that are there are no refusals."""
    tables = tables_of(*WEB)
    machine = FakeIPVS()
    planned = plan(tables, machine.observed())
    for operation in machine.steps(planned.steps):
        if operation.startswith("-A ") or "KUBE-MARK-MASQ" in operation:
            break
    with Refusing(machine, lambda _: False).in_place() as execution:
        execution.do([step for step in planned.steps if step.tool == "ipset"])
    machine.do(plan(tables, machine.observed()))
    with Refusing(machine, lambda _: False).in_place() as again:
        again.do([step for step in planned.steps if step.tool in ("ipvs", "address", "ipset")])
    assert execution.refused == again.refused == []


def test_many_refusals_for_one_reason_are_few_lines() -> None:
    """Five are named, and how many more there are."""
    refused = [Refusal("ip", f"add {number}", "no") for number in range(100)]
    lines = list(refusal_lines(refused))
    assert len(lines) == MOST_TOLD + 1
    assert lines[-1] == "ip refused 95 more for the same reason: no"


def test_sets_that_refuse_everything_cost_few_runs() -> None:
    """Of a set that takes no entry, a few are tried."""
    machine = FakeIPVS()
    runs = []
    tools = Refusing(machine, lambda line: line.startswith("add KUBE-CLUSTER-IP"))
    lines = [f"add KUBE-CLUSTER-IP 10.96.0.1,6:{port} -exist\n" for port in range(1, 1000)]
    with tools.in_place():
        run = sets.restore

        def seen(machine: Machine, text: str) -> Any:
            runs.append(text)
            return run(machine, text)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sets, "restore", seen)
            assert len(list(sets.carry_out(THIS_MACHINE, lines))) == len(lines)
    assert len(runs) <= sets.MOST_REFUSED
