"""Mode nftables on the fake machine: what it lacks, and nft that says odd things."""

from __future__ import annotations

from typing import Any

import pytest

from svcnet import checks
from svcnet.errors import ApplyError, Lacking
from svcnet.executors.machine import Netlink, Output
from svcnet.graph import RuleGraph
from svcnet.modes.nftables import NFTABLES
from svcnet.reconciler import Keeper, remove_leftovers
from svcnet.reconciler.events import SyncEvent
from svcnet.reconciler.monitor import Monitor
from svcnet.servers.monitoring import Health, Metrics
from svcnet.testing import FakeMachine
from tests.executors.machines import fake
from tests.modes.test_on_machines import executor_of, full, graph_of

__all__ = ["fake"]

RELEASE = "/proc/sys/kernel/osrelease"


def lack(fake: FakeMachine, what: str) -> None:
    """Have the machine lack something."""
    match what:
        case "nft":
            fake.programs.remove("nft")
        case "nft 1.0.1":
            fake.misbehave("nft", Output(0, "nftables v1.0.0 (Fearless Fosdick #2)\n", ""))
        case "Linux 5.13":
            fake.kernel.settings[RELEASE] = "5.12.19-generic\n"
        case _:
            fake.lacks.add(what)


@pytest.mark.parametrize(
    "what", ["nft", "nft 1.0.1", "Linux 5.13", "nft_fib", "nft_numgen", "nft_masq", "nft_ct"]
)
def test_what_is_lacking_is_one_error(fake: FakeMachine, what: str) -> None:
    """It is named, and nothing is changed."""
    lack(fake, what)
    executor = executor_of(fake, "nftables")
    with pytest.raises(Lacking) as raised:
        executor.apply(full(executor, graph_of()))
    assert what in str(raised.value)
    assert not fake.kernel.nft.commits


def test_the_layout_is_the_machine_s_to_decide(fake: FakeMachine) -> None:
    """Where it takes the flat one that is what it gets, unless told otherwise."""
    settings = NFTABLES.settings()
    assert NFTABLES.settle(settings, fake).given["layout"] == "flat"
    plain = NFTABLES.settings(given={"layout": "kube-proxy"})
    assert NFTABLES.settle(plain, fake) is plain
    assert not fake.kernel.nft.commits
    graph = graph_of()
    assert NFTABLES.full(graph, NFTABLES.settle(settings, fake)).layout == "flat"
    assert NFTABLES.full(graph, settings).layout == "kube-proxy"


@pytest.mark.parametrize("what", ["nft", "nft 1.0.1", "Linux 5.13", "nft_numgen"])
def test_a_machine_that_lacks_what_the_flat_layout_takes_gets_the_other(
    fake: FakeMachine, what: str
) -> None:
    """It is no error to leave it to the machine, and one to insist."""
    lack(fake, what)
    assert NFTABLES.settle(NFTABLES.settings(), fake).given["layout"] == "kube-proxy"
    settings = NFTABLES.settings(given={"layout": "flat"})
    executor = NFTABLES.executor(fake, settings)
    if what == "nft 1.0.1":
        lack(fake, what)
    with pytest.raises(Lacking):
        executor.apply(NFTABLES.full(graph_of(), settings))
    assert not fake.kernel.nft.commits


def test_without_the_right_nothing_is_done(fake: FakeMachine) -> None:
    """The error names the capability."""
    fake.capabilities.clear()
    executor = executor_of(fake, "nftables")
    with pytest.raises(ApplyError, match="CAP_NET_ADMIN") as raised:
        executor.apply(full(executor, graph_of()))
    assert raised.value.check == checks.NOT_PERMITTED


def test_chains_are_deleted_later_on_old_kernels(fake: FakeMachine) -> None:
    """A step empties them; the next look deletes them, and not what is wanted again by then."""
    fake.kernel.settings[RELEASE] = "6.1.0-13-amd64\n"
    keeper = Keeper(executor_of(fake, "nftables").adapter("IPv4"))
    graph = graph_of()
    empty = RuleGraph(graph.settings)
    own = {name for block in NFTABLES.full(graph).blocks.values() for name in block.chains}
    keeper.whole(graph)
    before = fake.kernel.nft.state
    keeper.step(empty, None)
    there = fake.kernel.nft.state.table("ip", "kube-proxy")
    assert there is not None
    assert own & set(there.chains)
    keeper.look(empty)
    there = fake.kernel.nft.state.table("ip", "kube-proxy")
    assert there is not None
    assert not own & set(there.chains)
    keeper.step(graph, None)
    keeper.step(empty, None)
    keeper.step(graph, None)
    keeper.look(graph)
    now, was = (each.table("ip", "kube-proxy") for each in (fake.kernel.nft.state, before))
    assert now is not None
    assert was is not None
    assert set(now.chains) == set(was.chains)


ODD = (
    Output(0, "", ""),
    Output(0, "table ip kube-proxy {", ""),
    Output(0, "\x00\udcff\n" * 9, ""),
    Output(1, "", ""),
    Output(1, "", "/dev/stdin:99999999999999999999:1-2: Error: \udcff"),
    Output(1, "", "/dev/stdin:0:0-0: Error: no"),
    Output(-9, "", "/dev/stdin:3:1-2: Error: Could not process rule: what"),
    Output(2, "/dev/stdin:1:1-2: Error: no", "netlink: Error: cache initialization failed"),
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("number", range(6))
def test_whatever_nft_says_is_a_refusal_or_the_truth(
    fake: FakeMachine, odd: Output, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No run of nft is believed that did not do its work, and the next try puts all right."""
    adapter = executor_of(fake, "nftables").adapter("IPv4")
    keeper, graph = Keeper(adapter), graph_of()
    wanted = NFTABLES.full(graph)
    real, runs = fake.run, iter(range(100))

    def run(*words: str, **given: Any) -> Output:
        return odd if next(runs) == number else real(*words, **given)

    monkeypatch.setattr(fake, "run", run)
    try:
        keeper.whole(graph)
    except ApplyError:
        keeper.whole(graph)
    there = fake.kernel.nft.state.table("ip", "kube-proxy")
    assert there is not None
    chains = {name for block in wanted.blocks.values() for name in block.chains}
    assert chains <= set(there.chains)
    assert "nothing to change" in keeper.whole(graph).text


@pytest.mark.parametrize(("before", "after"), [("ipvs", "nftables"), ("nftables", "ipvs")])
def test_from_and_to_ipvs_something_serves_all_the_while(
    fake: FakeMachine, before: str, after: str
) -> None:
    """The new mode is whole before anything of the old one goes; then nothing of it is left."""
    graph = graph_of()
    both: list[tuple[bool, bool]] = []
    # What is tried in a namespace of its own is of another kernel.
    kernel = fake.kernel

    def serves() -> tuple[bool, bool]:
        """Return whether IPVS has the Service's virtual server, and the table its element."""
        table = kernel.nft.state.table("ip", "kube-proxy")
        found = {} if table is None else table.sets
        elements = found["service-ips"].elements if "service-ips" in found else {}
        servers = kernel.ipvs.families["IPv4"].servers
        has_server = any(key.address == "10.96.0.10" for key in servers)
        return has_server, "10.96.0.10 . tcp . 80" in elements

    old, new = executor_of(fake, before), executor_of(fake, after)
    old.apply(full(old, graph))
    run, netlink = fake.run, fake.netlink

    def noted_run(*words: str, **given: Any) -> Output:
        both.append(serves())
        return run(*words, **given)

    def noted_netlink(protocol: int) -> Netlink:
        both.append(serves())
        return netlink(protocol)

    fake.run, fake.netlink = noted_run, noted_netlink  # type: ignore[method-assign]
    done = new.adapter("IPv4").whole(graph)
    both.append(serves())
    assert both[-1] == (True, True)
    assert remove_leftovers(new, "IPv4", done.found)
    assert all(map(any, both))
    assert serves() == ((False, True) if after == "nftables" else (True, False))


def test_what_cannot_be_removed_yet_is_counted(fake: FakeMachine) -> None:
    """All is served, so nothing is refused; kube-proxy's counter of failed clean-ups has it."""
    fake.kernel.settings[RELEASE] = "6.1.0-13-amd64\n"
    metrics = Metrics()
    graph = graph_of()
    empty = RuleGraph(graph.settings)
    keeper = Keeper(executor_of(fake, "nftables").adapter("IPv4"))
    monitor = Monitor(Health(), metrics, lambda *_: None)
    keeper.whole(graph)
    keeper.step(empty, None)
    run = fake.run
    refused = Output(1, "", "Error: Could not process rule: Device or resource busy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            fake,
            "run",
            lambda *words, **given: (
                refused
                if given.get("stdin", "").startswith("delete chain")
                else run(*words, **given)
            ),
        )
        done = keeper.look(empty)
    assert done.kind == "none"
    monitor.take(SyncEvent("IPv4", "nftables", "check", done, empty, None, 0.0))
    name = "kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total"
    assert f'{name}{{ip_family="IPv4"}} 1.0' in metrics.text().decode()
    assert not keeper.look(empty).failed
