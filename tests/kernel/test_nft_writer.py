"""Tables that are written by netlink are those that nft makes of their text."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcnet.errors import ApplyError
from svcnet.executors import nftables
from svcnet.executors.commits import generation
from svcnet.executors.nftables.netlink import NFTSocket
from svcnet.executors.nftables.writer import NFTWriter
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import diff
from svcnet.models import IPFamily
from svcnet.netfilter.nft import NFTSet
from svcnet.netlink import NETLINK_NETFILTER
from svcnet.renderers.nftables import Layout, NFTablesDelta, Ruleset, advance, full, text
from tests.fuzz import examples
from tests.kernel.test_nft_reading import table_there
from tests.kernel.test_nft_traffic import graph_of
from tests.kernel.test_nftables import listed, load, made_by, walk
from tests.kernel.test_nftables_apply import keeper
from tests.kernel.test_twice import elsewhere
from tests.netfilter.nft_damage import damages, said
from tests.test_conformance import CASES, family_of_file
from tests.test_conformance_nftables import EXPECTED, SECOND, compile_case

pytestmark = pytest.mark.kernel

TAKEN = "ip kube-proxy service-endpoints-tcp"


def applied(ruleset: Ruleset, writer: NFTWriter) -> Ruleset:
    """Apply to a machine without a table; return what is there, with chains ahead."""
    load("flush ruleset")
    report = nftables.apply(ruleset, writer=writer)
    assert report.plan.by_netlink == sum(ruleset.counts.values())
    return report.ruleset


def test_cases_load() -> None:
    """Of each case the same as by nft."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        for expected in EXPECTED[1::16]:
            graph = compile_case(expected.parent, family_of_file(expected))
            ruleset = applied(full(graph, layout="flat"), writer)
            assert listed() == made_by(text(ruleset))

    elsewhere(work)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_steps(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """There and back, and nft is not started: only what the node itself is like is nft's work."""
    cases = SECOND[::2] if layout == "flat" else SECOND[1::4]

    def start_nft(*_: object) -> int:
        raise AssertionError("nft is started")

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        for expected in cases:
            case, family = expected.parent, family_of_file(expected)
            graphs = [compile_case(case, family, f"objects{n}.yaml") for n in ("", ".second")]
            for before, after in (graphs, graphs[::-1]):
                ruleset = applied(full(before, layout=layout), writer)
                ruleset, delta = advance(ruleset, diff(before, after))
                with monkeypatch.context() as patch:
                    patch.setattr(f"{NFTWriter.__module__}.load_all", start_nft)
                    writer.step(delta, ruleset, ruleset.origin_of_line)
                assert listed() == made_by(text(ruleset))

    elsewhere(work)


@pytest.mark.parametrize("layout", get_args(Layout))
def test_random_steps(layout: Layout) -> None:
    """Services that share addresses come and go, and the node's settings change."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)

        def go(step: NFTablesDelta, after: Ruleset) -> None:
            writer.step(step, after, after.origin_of_line)

        walk(5, layout, lambda ruleset: applied(ruleset, writer), go)()

    elsewhere(work)


def test_a_refusal_names_the_service() -> None:
    """Of a row that the kernel does not take it says which endpoint, and where that is from."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        case = CASES / "then-clusterip-changed"
        first, second = (compile_case(case, "IPv4", f"objects{n}.yaml") for n in ("", ".second"))
        ruleset = applied(full(first, layout="flat"), writer)
        load(f"add element {TAKEN} {{ 10.96.0.77 . 81 . 1 : 192.0.2.77 . 7 }}\n")
        before = listed()
        after, delta = advance(ruleset, diff(first, second))
        with pytest.raises(ApplyError) as problem:
            writer.step(delta, after, after.origin_of_line)
        told = str(problem.value)
        assert f"refused: add element {TAKEN} {{ 10.96.0.77 . 81 . 1 : 10.244." in told
        assert "(from " in told
        assert "EndpointSlice" in told
        assert listed() == before

    elsewhere(work)


@settings(max_examples=examples(5), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def repair(case: str, family: IPFamily, layout: Layout, data: st.DataObject) -> None:
    """Damage a table by lines that nft takes, and have it put right."""
    writer = NFTWriter(THIS_MACHINE)
    ruleset = applied(full(compile_case(CASES / case, family), layout=layout), writer)
    before = table_there(ruleset)
    lines = list(data.draw(damages(before)))
    if layout == "flat":
        lines += data.draw(st.lists(st.sampled_from(endpoint_damages(ruleset)), max_size=4))
    for line in lines:
        command = ("nft", "-f", "-")
        subprocess.run(command, input=line, text=True, capture_output=True, check=False)
    nftables.apply(ruleset, writer=writer)
    # Which clients sets of session affinity remember is nobody's wish.
    assert said(table_there(ruleset)) == said(before), lines
    assert nftables.apply(ruleset, writer=writer).plan.kind == "none"


def endpoint_damages(ruleset: Ruleset) -> list[str]:
    """Return what somebody may do to endpoints in maps: take away, add, exchange, empty."""
    table, found = str(ruleset.table), []
    for row in ruleset.rows():
        *_, last = row.elements()
        gone = last.delete(table)
        other = last._replace(value=last.value.replace(" . ", " . 1"))
        more = other._replace(key=f"{row.key} . 70000")
        found += [gone, more.add(table), gone + other.add(table)]
        found.append(f"flush map {table} {row.container}\n")
    return found


@pytest.mark.parametrize(
    ("case", "family", "layout"),
    [
        ("kitchen-sink", "IPv4", "flat"),
        ("then-port-added-dual", "IPv6", "flat"),
        ("kitchen-sink", "IPv6", "kube-proxy"),
    ],
)
def test_any_damage_is_put_right(case: str, family: IPFamily, layout: Layout) -> None:
    """Whatever the kernel let somebody do: after one more apply all is as it was, and stays so."""
    elsewhere(lambda: repair(case, family, layout))


def listeners() -> int:
    """Return how many sockets of this namespace are told of what anybody writes."""
    lines = Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]
    found = [line.split() for line in lines]
    return sum(each[1] == str(NETLINK_NETFILTER) and int(each[3], 16) > 0 for each in found)


def test_nobody_listens_to_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel would write a message for each element, in as much time as it takes to add it."""
    graph, there = graph_of("IPv4", ("pod1", "pod2")), list[int]()
    commit = NFTSocket.commit

    def noted(*given: Any) -> None:
        there.append(listeners())
        commit(*given)

    def work() -> None:
        kept = keeper("flat")
        with monkeypatch.context() as patch:
            patch.setattr(NFTSocket, "commit", noted)
            kept.whole(graph)
        assert there[-3:] == [0, 0, 0]
        assert listeners() == 1
        load("add table ip other\n")
        assert not kept.is_disturbed()
        load("flush set ip kube-proxy cluster-ips\n")
        assert kept.is_disturbed()

    elsewhere(work)


def test_chains_for_other_numbers_of_endpoints_stay() -> None:
    """An endpoint less, and one more, are one transaction each, and nothing to be put right."""
    more, less = (graph_of("IPv4", ("pod1", "pod2", "pod3")[:count]) for count in (3, 2))

    def work() -> None:
        kept = keeper("flat")
        kept.whole(more)
        for graph in (less, more):
            before = generation(THIS_MACHINE)
            assert kept.step(graph, None).kind == "delta"
            assert generation(THIS_MACHINE) == before + 1
            for ruleset in (full(graph, layout="flat"), full(more, layout="flat")):
                planned = nftables.apply(ruleset, dry_run=True).plan
                assert (planned.kind == "none") == (ruleset == full(graph, layout="flat"))
                assert "chain" not in planned.text
        assert "nothing to change" in kept.whole(more).text

    elsewhere(work)


def test_a_map_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    """nft makes the set, and its elements and the rules that look into it come by netlink."""

    def work() -> None:
        writer = NFTWriter(THIS_MACHINE)
        first, second = (
            compile_case(CASES / "then-port-added-dual", "IPv6", f"objects{n}.yaml")
            for n in ("", ".second")
        )
        monkeypatch.setattr("svcnet.renderers.nftables.flat.sizes.size_of", lambda count: count + 1)
        before = applied(full(first, layout="flat"), writer)
        after, delta = advance(before, diff(first, second))
        assert delta.growth is not None
        assert "service-endpoints-udp" in [each.name for each in delta.growth.sets]
        assert len(delta.growth.parts) == 5
        assert writer.step(delta, after, after.origin_of_line) is not None
        assert listed() == made_by(text(after))

    elsewhere(work)


def test_a_map_grows_on_which_others_lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that svcnet does not know keeps the map from growing; a whole look takes it along."""
    bucket = "ip kube-proxy cluster-tcp-77"
    rule = "dnat ip to ip daddr . tcp dport . numgen random mod 77 map @service-endpoints-tcp"
    lines = f"add chain {bucket}\nadd rule {bucket} {rule}\n"

    def work() -> None:
        monkeypatch.setattr("svcnet.renderers.nftables.flat.sizes.LEAST", 1)
        first, second = (graph_of("IPv4", ("pod1", "pod2", "pod3")[:count]) for count in (1, 3))
        kept = keeper("flat")
        kept.whole(first)
        load(lines)
        with pytest.raises(ApplyError):
            kept.step(second, None)
        kept.whole(second)
        ruleset = full(second, layout="flat")
        assert nftables.apply(ruleset, dry_run=True).plan.kind == "none"
        sizes = {each.name: each.size for each in ruleset.fixed.objects if type(each) is NFTSet}
        assert f"size {sizes['service-endpoints-tcp']}" in listed_text("service-endpoints-tcp")
        assert not kept.is_disturbed()

    elsewhere(work)


def listed_text(name: str) -> str:
    command = ("nft", "--terse", "list", "map", "ip", "kube-proxy", name)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
