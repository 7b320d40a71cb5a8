"""No packet is lost while a table of mode nftables changes its layout, or its maps their size."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from svcnet.executors import nftables
from svcnet.netfilter.nft import NFTSet
from svcnet.renderers.nftables import Ruleset, full
from tests.kernel.load import under_load
from tests.kernel.netns import Cluster
from tests.kernel.test_nft_traffic import ask, graph_of

pytestmark = pytest.mark.kernel

TURNS = 8


def with_room(ruleset: Ruleset) -> Ruleset:
    """Return a table whose sets have twice the room."""
    fixed = ruleset.fixed
    first, rest = (
        tuple(
            each._replace(size=2 * each.size) if isinstance(each, NFTSet) else each for each in made
        )
        for made in (fixed.first, fixed.rest)
    )
    return evolve(ruleset, fixed=evolve(fixed, first=first, rest=rest))


def test_no_packet_is_lost_between_layouts(cluster: Cluster) -> None:
    """New connections and datagrams, while all of a table is replaced, and all of its sets."""
    answers: Counter[str] = Counter()

    def ask_both() -> None:
        answers.update(ask(cluster, "IPv4", "TCP", 80))
        answers.update(ask(cluster, "IPv4", "UDP", 53))

    def change() -> None:
        graph = graph_of("IPv4", ("pod1", "pod2", "pod3"))
        flat = full(graph, layout="flat")
        tables = (flat, with_room(flat), full(graph))
        nftables.apply(flat)
        try:
            with under_load(ask_both):
                for _ in range(TURNS):
                    for ruleset in (*tables[1:], tables[0]):
                        assert nftables.apply(ruleset).plan.kind == "delta"
        finally:
            nftables.cleanup(flat.table)

    cluster.inside("node", change)
    assert set(answers) == {"reply pod1", "reply pod2", "reply pod3"}, answers
