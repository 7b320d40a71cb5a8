"""What was applied is found again: text that the kernel prints otherwise is no difference."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroute2 import IPRoute

from svcnet.compiler import compile_state, node_view
from svcnet.errors import InputError
from svcnet.executors import iptables
from svcnet.executors.iptables import Variant
from svcnet.executors.namespace import in_own_namespace
from svcnet.executors.userspace import install
from svcnet.graph import RuleGraph
from svcnet.models import Host, IPFamily
from svcnet.renderers import iptables as rules
from svcnet.renderers import userspace
from svcnet.renderers.userspace import portal_rules
from svcnet.sources import load_bytes, load_config
from tests.fuzz import examples
from tests.network import LOOPBACK
from tests.strategies import Manifests, spelled_manifests
from tests.test_conformance import EXPECTED, SECOND, compile_case, family_of_file

pytestmark = pytest.mark.kernel

HOST = Host(addresses=("192.0.2.10", "127.0.0.1", "2001:db8:a::10", "::1"))
VARIANTS: tuple[Variant, ...] = ("nft", "legacy")


def elsewhere(work: Callable[[], None]) -> None:
    """Do `work` in a network namespace of its own, with loopback up."""

    def with_loopback() -> None:
        with IPRoute() as route:
            route.link("set", index=LOOPBACK, state="up")
        work()

    in_own_namespace(with_loopback)


def assert_same_again(graph: RuleGraph, variant: Variant) -> None:
    """Put `graph` on this machine, in place of whatever is there, and look again."""
    artifact = rules.full(graph)
    iptables.apply(artifact, variant=variant)
    again = iptables.apply(artifact, variant=variant)
    assert again.plan.transactions == ()
    assert "nothing to change" in str(again)


def assert_portals_are_the_same_again(graph: RuleGraph, variant: Variant) -> None:
    table = userspace.full(graph)
    table = table.with_ports({name: 40000 + n for n, name in enumerate(sorted(table.ports))})
    install(portal_rules(table), variant=variant)
    assert install(portal_rules(table), variant=variant).transactions == ()


def cases() -> Iterator[RuleGraph]:
    for expected in EXPECTED:
        yield compile_case(expected.parent, family_of_file(expected))
    for expected in SECOND:
        yield compile_case(expected.parent, family_of_file(expected), "objects.second.yaml")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_case_of_the_reference_twice(variant: Variant, xtables_lock: None) -> None:
    """One after the other, each over what the last one left, in mode iptables and in userspace."""

    def work() -> None:
        for graph in cases():
            assert_same_again(graph, variant)
            assert_portals_are_the_same_again(graph, variant)

    elsewhere(work)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_spelling_twice(variant: Variant, xtables_lock: None, tmp_path: Path) -> None:
    """Two hundred clusters, their addresses spelled in any way, in mode iptables and userspace."""

    @settings(max_examples=examples(200), suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(["IPv4", "IPv6"]).flatmap(
            lambda each: st.tuples(st.just(each), spelled_manifests(each))
        )
    )
    def property_(drawn: tuple[IPFamily, Manifests]) -> None:
        graph = graph_of(*drawn, tmp_path)
        assert_same_again(graph, variant)
        assert_portals_are_the_same_again(graph, variant)

    elsewhere(property_)


def graph_of(family: IPFamily, manifests: Manifests, folder: Path) -> RuleGraph:
    """Return the graph of manifests, read as any input is."""
    config = folder / "config.yaml"
    config.write_text(json.dumps(manifests.config))
    listed = {"apiVersion": "v1", "kind": "List", "items": manifests.objects}
    try:
        state = load_bytes(json.dumps(listed).encode()).state
        view = node_view(state, load_config(config), HOST, node="node-a", family=family)
    except InputError as error:
        raise AssertionError(str(error)) from error
    return compile_state(state, view)
