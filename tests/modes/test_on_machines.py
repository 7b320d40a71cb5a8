"""Modes on machines, the fake one and this one alike: what is applied, kept and taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import pytest
from attrs import evolve

from svcnet import modes
from svcnet.checks import NOT_INSTALLED, NOT_PERMITTED
from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError, UsageError
from svcnet.executors.children import Overdue
from svcnet.executors.conntrack import DeletionReport
from svcnet.executors.iptables import Commands, Ownership, RestoreReport, Variant, concerns
from svcnet.executors.ipvs.rules import CHAINS, changes
from svcnet.executors.lock import Busy
from svcnet.executors.machine import Machine, Output
from svcnet.executors.notices import Notices
from svcnet.graph import RuleGraph
from svcnet.models import IPFamily
from svcnet.modes import Executor
from svcnet.modes.options import own_values
from svcnet.netfilter import SavedTables
from svcnet.reconciler import Keeper, StaleFlows, remove_leftovers
from svcnet.renderers.conntrack import Flow
from svcnet.sources import load_bytes
from svcnet.testing import FakeMachine
from tests.executors.machines import fake, machine

__all__ = ["fake", "machine"]

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}, {addresses: [10.244.1.6]}]
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {clusterIP: 10.96.0.11, ports: [{port: 53, protocol: UDP}]}
"""
SIX = (
    MANIFEST.replace("IPv4", "IPv6").replace("10.96.0.", "fd00:96::").replace("10.244.1.", "fd01::")
)
FOREIGN = "*filter\n-A INPUT -s 192.0.2.1/32 -j DROP\nCOMMIT\n"
VARIANTS: tuple[Variant, ...] = ("nft", "legacy")
DAMAGES: dict[str, tuple[str, dict[str, int]]] = {
    "a chain flushed": ("*nat\n-F KUBE-POSTROUTING\nCOMMIT\n", {"iptables nat": 1}),
    "a rule of ours added": (
        "*filter\n-A KUBE-FORWARD -j ACCEPT\nCOMMIT\n",
        {"iptables filter": 1},
    ),
    "a chain that is no Service's": (
        "*nat\n:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\nCOMMIT\n",
        {"iptables nat": 1},
    ),
    "both": (
        "*filter\n-F KUBE-FORWARD\nCOMMIT\n*nat\n-F KUBE-SERVICES\nCOMMIT\n",
        {"iptables filter": 1, "iptables nat": 1},
    ),
}
variants = pytest.mark.parametrize("variant", VARIANTS)
families = pytest.mark.parametrize("family", ["IPv4", "IPv6"])


def graph_of(family: IPFamily = "IPv4", text: str = "") -> RuleGraph:
    state = load_bytes((text or (SIX if family == "IPv6" else MANIFEST)).encode()).state
    return compile_state(state, node_view(state, family=family))


def executor_of(machine: Machine, mode: str = "iptables", **given: object) -> Executor[Any]:
    found = modes.get(mode)
    return found.executor(machine, found.settings(given=own_values(found.options, given)))


def full(executor: Executor[Any], graph: RuleGraph) -> Any:
    return modes.get(executor.mode.name).full(graph, executor.settings)


def rules(machine: Machine, variant: Variant, family: IPFamily = "IPv4") -> SavedTables:
    return Commands(family, variant, machine).observe()


def chains(machine: Machine, variant: Variant, family: IPFamily = "IPv4") -> set[str]:
    """Return the names of all chains of ours that there are."""
    tables = rules(machine, variant, family).tables
    return {each for found in tables.values() for each in found if each.startswith("KUBE-")}


def cleaned(executor: Executor[Any], family: IPFamily = "IPv4") -> list[str]:
    return [line for part in executor.cleanup(family) for line in part()]


@variants
@families
def test_rules_are_planned_applied_and_removed(
    machine: Machine, variant: Variant, family: IPFamily
) -> None:
    """A plan changes nothing; after an apply nothing differs; cleanup leaves what others wrote."""
    executor = executor_of(machine, variant=variant)
    foreign = FOREIGN.replace("192.0.2.1/32", "2001:db8::1/128") if family == "IPv6" else FOREIGN
    Commands(family, variant, machine).restore(foreign)
    before = rules(machine, variant, family)
    artifact = full(executor, graph_of(family))
    planned = executor.plan(artifact)
    assert rules(machine, variant, family) == before
    done = cast(RestoreReport, executor.apply(artifact))
    assert planned.plan.text == done.plan.text
    assert done.plan.kind == "full"
    assert done.sysctls == (("route_localnet",) if family == "IPv4" else ())
    again = executor.apply(artifact)
    assert (again.plan.text, again.warnings) == ("", ())
    assert all(
        line.startswith(Commands(family, variant, machine).name)
        for line in cleaned(executor, family)
    )
    assert chains(machine, variant, family) <= {"KUBE-FIREWALL"}
    assert "DROP" in str(rules(machine, variant, family).chains("filter")["INPUT"])


@variants
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damage_is_found_and_put_right(machine: Machine, variant: Variant, damage: str) -> None:
    """A look lists the tables only if somebody else wrote, and says what differed."""
    text, differed = DAMAGES[damage]
    graph = graph_of()
    keeper = Keeper(executor_of(machine, variant=variant).adapter("IPv4"))
    keeper.whole(graph)
    keeper.look(graph)
    right = rules(machine, variant)
    assert "nothing has changed" in keeper.look(graph).text
    Commands("IPv4", variant, machine).restore(text)
    assert keeper.look(graph).differed == differed
    assert rules(machine, variant).differences(right) == 0
    keeper.look(graph)
    assert "nothing has changed" in keeper.look(graph).text


@variants
def test_a_step_ends_where_the_whole_does(machine: Machine, variant: Variant) -> None:
    """A keeper's step leaves what an apply of the new graph finds nothing to change in."""
    after = graph_of(text=MANIFEST.replace("10.244.1.5", "10.244.1.7").replace("30080", "30081"))
    executor = executor_of(machine, variant=variant)
    keeper = Keeper(executor.adapter("IPv4"))
    keeper.whole(graph_of())
    assert keeper.step(after, None).kind == "delta"
    assert executor.apply(full(executor, after)).plan.text == ""


@variants
def test_a_chain_that_somebody_leads_to_is_left(machine: Machine, variant: Variant) -> None:
    """The kernel refuses to delete it; all else goes, and the rule is told."""
    executor = executor_of(machine, variant=variant)
    executor.apply(full(executor, graph_of()))
    Commands("IPv4", variant, machine).restore("*nat\n-A OUTPUT -p udp -j KUBE-NODEPORTS\nCOMMIT\n")
    lines = cleaned(executor)
    assert any("left empty" in line and "KUBE-NODEPORTS" in line for line in lines)
    assert chains(machine, variant) == {"KUBE-NODEPORTS", "KUBE-FIREWALL"}


@variants
def test_a_refused_apply_leaves_what_was_there(machine: Machine, variant: Variant) -> None:
    """A line that the kernel refuses is told; what was written before it is taken back."""
    executor = executor_of(machine, variant=variant)
    executor.apply(full(executor, graph_of()))
    before = rules(machine, variant)
    artifact = full(executor, graph_of(text=MANIFEST.replace("10.244.1.5", "10.244.1.7")))
    name, block = next(item for item in artifact.blocks.items() if item[1].chains)
    broken = evolve(block, own=block.own + f"-A {block.chains[0]} -j KUBE-NOWHERE\n")
    with pytest.raises(ApplyError, match="what was there before is still there") as caught:
        executor.apply(evolve(artifact, blocks={**artifact.blocks, name: broken}))
    assert "KUBE-NOWHERE" in str(caught.value)
    assert rules(machine, variant).differences(before) == 0


@variants
def test_leftovers_of_the_other_variant_and_mode_go(machine: Machine, variant: Variant) -> None:
    """A mode that comes to another variant leaves one set of rules, and says so before."""
    other: Variant = "legacy" if variant == "nft" else "nft"
    first, second = executor_of(machine, variant=other), executor_of(machine, variant=variant)
    with portals(machine, other) as keeper:
        keeper.whole(graph_of())
    first.apply(full(first, graph_of()))
    adapter = second.adapter("IPv4")
    done = adapter.whole(graph_of())
    assert any(f"--variant {other}" in line for line in done.warnings)
    assert remove_leftovers(second, "IPv4", done.found)
    assert chains(machine, other) == set()
    assert remove_leftovers(second, "IPv4") == ()
    assert second.apply(full(second, graph_of())).plan.text == ""


@pytest.mark.parametrize("others", [("iptables",), ("userspace",), ("iptables", "userspace")])
def test_ipvs_takes_away_what_other_modes_left(fake: FakeMachine, others: Sequence[str]) -> None:
    """As it comes, and each mode is asked what that is. KUBE-FIREWALL stays."""
    for mode in others:
        if mode == "userspace":
            with portals(fake, "nft") as keeper:
                keeper.whole(graph_of())
        else:
            executor_of(fake, mode, variant="nft").apply(full(executor_of(fake, mode), graph_of()))
    executor = executor_of(fake, "ipvs", variant="nft")
    executor.apply(full(executor, graph_of()))
    own = {chain for found in CHAINS.values() for chain in found}
    assert own <= chains(fake, "nft") <= own | {"KUBE-FIREWALL"}
    assert executor.apply(full(executor, graph_of())).plan.text == ""


def test_ipvs_asks_modes_that_it_has_never_heard_of() -> None:
    """Chains and jumps of a mode go in the transaction that writes ipvs', others stay."""
    theirs = Ownership(lambda _, chain: chain.startswith("SOCAT-"), "-j SOCAT-IN".__eq__)
    observed = SavedTables(
        {
            "nat": {
                "PREROUTING": ["-j SOCAT-IN", "-j CNI"],
                "SOCAT-IN": ["-j SOCAT-1"],
                "SOCAT-1": [],
                "CNI": [],
            }
        }
    )
    text = "".join(changes("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n", observed, "IPv4", [theirs]))
    assert "-D PREROUTING -j SOCAT-IN\n" in text
    assert {"-X SOCAT-IN", "-X SOCAT-1"} <= set(text.splitlines())
    assert "CNI" not in text
    assert "SOCAT" not in "".join(
        changes("*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n", observed, "IPv4")
    )


@variants
def test_a_proxy_is_kept_with_its_rules(machine: Machine, variant: Variant) -> None:
    """Rules lead to the proxy's ports, are changed with them, put right, and taken away."""
    graph = graph_of()
    after = graph_of(text=MANIFEST.replace("10.96.0.11", "10.96.0.12"))
    with portals(machine, variant) as keeper:
        keeper.whole(graph)
        assert "KUBE-PORTALS-CONTAINER" in chains(machine, variant)
        keeper.look(graph)
        Commands("IPv4", variant, machine).restore("*nat\n-F KUBE-PORTALS-CONTAINER\nCOMMIT\n")
        assert keeper.look(graph).differed == {"chains": 1}
        assert keeper.step(after, None).kind == "delta"
        assert "10.96.0.12" in str(rules(machine, variant))
        assert "nothing to change" in keeper.whole(after).text
    assert cleaned(executor_of(machine, "userspace", variant=variant))
    assert chains(machine, variant) == set()


@contextmanager
def portals(machine: Machine, variant: Variant) -> Iterator[Keeper]:
    """Give a keeper of a proxy that serves meanwhile; its rules stay."""
    executor = executor_of(machine, "userspace", variant=variant)
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        proxy = executor.proxy(["IPv4"], stack)
        [adapter] = proxy.begin(["IPv4"], executor.settings, stack)
        serving = pool.submit(proxy.serve)
        try:
            yield Keeper(adapter)
        finally:
            proxy.stop(0)
            serving.result()


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "userspace"])
def test_what_is_written_concerns_who_wrote_it(fake: FakeMachine, mode: str) -> None:
    """No commit of svcnet's own is taken for one to what is nobody's concern: it counts twice."""
    notices = Notices(fake)
    executor = executor_of(fake, mode, variant="nft")
    adapter = executor.adapter("IPv4") if mode != "userspace" else None
    with ExitStack() as stack:
        keeper = Keeper(adapter) if adapter else stack.enter_context(portals(fake, "nft"))
        keeper.whole(graph_of())
        keeper.step(graph_of(text=MANIFEST.replace("10.96.0.11", "10.96.0.12")), None)
    cleaned(executor)
    found = list(notices.take())
    assert found
    assert all(any(map(concerns, each.places)) for each in found)


def test_who_may_not_is_told_what_it_takes(fake: FakeMachine) -> None:
    """Without a capability nothing is done, and the error names it."""
    fake.capabilities.clear()
    executor = executor_of(fake)
    with pytest.raises(ApplyError, match="CAP_NET_ADMIN and CAP_NET_RAW") as caught:
        executor.apply(full(executor, graph_of()))
    assert caught.value.check == NOT_PERMITTED


def test_what_is_not_installed_is_named(fake: FakeMachine) -> None:
    """A machine without a variant uses the other one; without any it is told so."""
    fake.programs -= {"iptables-nft-save", "ip6tables-nft-restore"}
    executor = executor_of(fake)
    report = cast(RestoreReport, executor.apply(full(executor, graph_of())))
    assert report.variant == "legacy"
    fake.programs.clear()
    with pytest.raises(ApplyError, match="iptables is not installed") as caught:
        executor.apply(full(executor, graph_of()))
    assert caught.value.check == NOT_INSTALLED


def test_one_at_a_time(fake: FakeMachine) -> None:
    """Where another svcnet is at work nothing is changed, and a plan can be made all the same."""
    fake.busy.add("IPv4")
    executor = executor_of(fake)
    artifact = full(executor, graph_of())
    assert executor.plan(artifact).plan.text
    with pytest.raises(Busy):
        executor.apply(artifact)
    with pytest.raises(Busy):
        cleaned(executor)
    assert not chains(fake, "nft")


@variants
@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Output(0, "", ""), "the kernel has not got what it says is done"),
        (Output(0, "hello", ""), "printed what it never prints: hello"),
        (Output(-9, "", ""), "killed by SIGKILL"),
        (Output(1, "", "line 3 failed"), "line 3 failed"),
        (Overdue("it took too long"), "it took too long"),
    ],
)
def test_a_tool_that_misbehaves_is_no_success(
    fake: FakeMachine, variant: Variant, outcome: Output | Exception, words: str
) -> None:
    """What the restore command does in place of its work is told, and the next apply goes on."""
    executor = executor_of(fake, variant=variant)
    artifact = full(executor, graph_of())
    fake.misbehave(f"iptables-{variant}-restore", *[outcome] * 20)
    with pytest.raises(ApplyError, match=words):
        executor.apply(artifact)
    fake.misbehave(f"iptables-{variant}-restore")
    executor.apply(artifact)
    assert executor.apply(artifact).plan.text == ""


@pytest.mark.parametrize("text", ["", "*nat\n", "rubbish\n"])
def test_a_listing_that_is_not_true_is_not_believed(fake: FakeMachine, text: str) -> None:
    """What the kernel has and a listing lacks is not written once more."""
    executor = executor_of(fake, variant="nft")
    executor.apply(full(executor, graph_of()))
    fake.misbehave("iptables-nft-save", *[Output(0, text, "")] * 3)
    with pytest.raises(ApplyError, match="its listing"):
        executor.apply(full(executor, graph_of()))


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_stale_flows_go(fake: FakeMachine, family: IPFamily) -> None:
    """An entry that leads to no endpoint is deleted, once; those of other Services stay."""
    asked, gone = ("fd00:96::11", "fd01::9") if family == "IPv6" else ("10.96.0.11", "10.244.1.9")
    client = "fd00::9" if family == "IPv6" else "10.0.0.9"
    stale = Flow(client, 40000, asked, 53, gone, 53, client, 40000, id=1)
    other = Flow(client, 40001, client, 53, gone, 53, client, 40001, id=2)
    fake.kernel.flows += [stale, other]
    flows = StaleFlows(fake)
    assert flows.clean(graph_of(family)) == DeletionReport(1)
    assert fake.kernel.flows == [other]
    assert flows.clean(graph_of(family)) is None


def test_a_mode_that_only_renders_says_so(fake: FakeMachine) -> None:
    """What the executor of a mode cannot do is a mistake of whoever asks for it."""
    executor: Executor[Any] = Executor(modes.get("iptables"), fake)
    artifact = full(executor, graph_of())
    assert executor.probe(artifact) is None
    assert list(executor.cleanup("IPv4")) == []
    for ask in (
        lambda: executor.apply(artifact),
        lambda: executor.plan(artifact),
        lambda: executor.adapter("IPv4"),
        lambda: executor.proxy(["IPv4"], ExitStack()),
    ):
        with pytest.raises(UsageError, match="mode iptables can be rendered only"):
            ask()
