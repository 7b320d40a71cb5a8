"""What kube-proxy had written on a node, and what svcnet renders for it, do the same to packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from itertools import product
from typing import TypeAlias

import pytest

from svcnet import modes
from svcnet.compiler import compile_state, node_view
from svcnet.graph import Packet, RuleGraph
from svcnet.graph.evaluate import Verdict
from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration
from svcnet.renderers import iptables, nftables
from svcnet.sources import load, load_config
from svcnet.testing import FakeIPTables
from tests import walk, walk_nftables
from tests.conftest import ROOT

NODE = ROOT / "tests" / "live_node"
FAMILIES: tuple[IPFamily, ...] = ("IPv4", "IPv6")
Ends: TypeAlias = dict[Verdict, Fraction]
OTHERS = {
    "IPv4": ("10.96.200.200", "192.0.2.7", "198.51.100.9", "10.244.2.9", "127.0.0.1"),
    "IPv6": ("fd00:96::abcd", "2001:db8::7", "fd00:244:2::9", "::1"),
}
"""A cluster IP of no Service, some in a source range and not, a pod without Services, and lo."""


@cache
def live(mode: str, family: IPFamily) -> RuleGraph:
    """Return what the node's objects come to."""
    state = load([NODE / "objects.yaml"]).state
    config = load_config(NODE / "config.yaml", mode)
    return graph_of(state, config, mode, family)


def graph_of(
    state: ClusterState, config: KubeProxyConfiguration, mode: str, family: IPFamily
) -> RuleGraph:
    host = Host(nfacct=True)
    rules = modes.get(mode).rules(config)
    view = node_view(state, config, host, node="node1", family=family, rules=rules)
    return compile_state(state, view)


def packets(graph: RuleGraph) -> Iterator[Packet]:
    """Yield packets of all that the rules could tell apart, and of some that they should not."""
    settings, others = graph.settings, OTHERS[graph.settings.family]
    ends = {(each.address, each.port) for fragment in graph for each in fragment.translates}
    frontends = {(address or settings.node_ip, port) for address, _, port in graph.frontends}
    addresses = {*(address for address, _ in frontends | ends), *settings.addresses, *others}
    node_ports = {port for address, _, port in graph.frontends if not address}
    targets = frontends | ends | set(product(addresses, node_ports | {80, 1}))
    local = {each.address for fragment in graph for each in fragment.translates if each.local}
    here = min(end for end in ends if end[0] in local and end[1] == 9376)
    elsewhere = max(address for address, _ in ends if address not in local)
    sources = {here[0], elsewhere, *settings.addresses, *others}
    for source, (destination, port), protocol, last in product(
        sorted(sources),
        sorted(targets),
        ("TCP", "UDP"),
        (frozenset[str](), frozenset([text(*here)])),
    ):
        is_own = settings.is_node_address(source)
        if destination in ("127.0.0.1", "::1") and not is_own:
            continue  # The kernel takes no such packet from elsewhere.
        if last and port not in (53, 80):
            continue  # Nobody else remembers.
        interface = "" if is_own else "eth0"
        yield Packet(source, destination, port, protocol, interface, last)


def text(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def by_iptables(tables: FakeIPTables, graph: RuleGraph) -> Callable[[Packet], Ends]:
    walker = walk.Walker(tables, graph.settings)
    return lambda packet: gathered(walker.outcomes(packet))


def by_nftables(table: walk_nftables.Reading, graph: RuleGraph) -> Callable[[Packet], Ends]:
    return lambda packet: walk_nftables.outcomes(table, graph.settings, packet)


def gathered(found: Iterator[tuple[Verdict, Fraction]]) -> Ends:
    ends: Ends = {}
    for verdict, chance in found:
        ends[verdict] = ends.get(verdict, Fraction(0)) + chance
    return ends


def written(mode: str, family: IPFamily) -> Callable[[Packet], Ends]:
    """Return what becomes of a packet where kube-proxy has written its rules."""
    graph = live(mode, family)
    if mode == "nftables":
        listing = (NODE / "nft-ruleset.txt").read_text("utf-8")
        table = "ip kube-proxy" if family == "IPv4" else "ip6 kube-proxy"
        return by_nftables(walk_nftables.Reading.of_listing(listing, table), graph)
    tables = FakeIPTables()
    tables.restore(saved(family))
    return by_iptables(tables, graph)


def saved(family: IPFamily) -> str:
    """Return what iptables-save printed, but for table mangle, which says nothing of Services."""
    name = "iptables-save.txt" if family == "IPv4" else "ip6tables-save.txt"
    head, *tables = (NODE / name).read_text("utf-8").split("\n*")
    kept = [table for table in tables if table.split("\n", 1)[0] in ("filter", "nat")]
    return "".join(f"{head}\n*{table}\n" for table in kept)


def rendered(mode: str, graph: RuleGraph) -> Callable[[Packet], Ends]:
    """Return what becomes of a packet where svcnet's rules for a graph are loaded."""
    if mode == "nftables":
        full = nftables.text(nftables.full(graph))
        return by_nftables(walk_nftables.Reading.of(full), graph)
    tables = FakeIPTables()
    tables.restore(iptables.full(graph).text_with_jumps)
    return by_iptables(tables, graph)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_packets_have_the_same_ends(mode: str, family: IPFamily) -> None:
    """Of every packet, with the same chances."""
    graph = live(mode, family)
    theirs, ours = written(mode, family), rendered(mode, graph)
    seen: set[Verdict] = set()
    for packet in packets(graph):
        found = ours(packet)
        assert found == theirs(packet), packet
        seen.update(found)
    assert len(seen) > 8
