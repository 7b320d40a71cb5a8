"""The kit for modes passes what keeps its word, and says what does not."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import pytest

from svcnet import modes
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.models import KubeProxyConfiguration
from svcnet.modes import ModeSettings
from svcnet.modes.iptables import IptablesMode
from svcnet.modes.nftables import NFTablesMode
from svcnet.modes.options import OptionValues
from svcnet.renderers.iptables import Layout, RestoreText, full
from svcnet.renderers.nftables import Ruleset
from svcnet.testing import check_mode, make_node, make_service
from tests.modes.plain import PLAIN, Lines, PlainMode, Step


class FlatNFTables(NFTablesMode):
    """Mode nftables in its other layout, whoever asks."""

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Ruleset:
        return super().full(graph, settings or self.settings())

    def settings(
        self, config: KubeProxyConfiguration | None = None, given: OptionValues | None = None
    ) -> ModeSettings:
        return super().settings(config, {**(given or {}), "layout": "flat"})


class FlatIptables(IptablesMode):
    """Mode iptables in its other layout, which makes a tree of two rules, whoever asks."""

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> RestoreText:
        return full(graph, layout=Layout("flat", 1))


FLAT = (FlatNFTables(), FlatIptables())


@pytest.mark.parametrize("mode", [*modes.builtin().values(), *FLAT, PLAIN], ids=repr)
def test_each_mode_keeps_what_all_must(mode: Any) -> None:
    """svcnet's own modes, and one of another package, are what the kit asks of them."""
    check_mode(mode, [[make_node()], [make_node(), make_service()]])


class Forgetful(PlainMode):
    """A mode that leaves out a Service, and does not say so."""

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Lines:
        lines = super().full(graph).lines
        return Lines(tuple(line for line in lines if "'db'" not in line))


class Stubborn(PlainMode):
    """A mode whose artifact holds on to what was."""

    def advance(self, artifact: Lines, diff: GraphDiff) -> tuple[Lines, Step]:
        after, step = super().advance(artifact, diff)
        return Lines(tuple(sorted({*artifact.lines, *after.lines}))), step


class Erratic(PlainMode):
    """A mode that never writes the same twice."""

    def full(self, graph: RuleGraph, settings: ModeSettings | None = None) -> Lines:
        return Lines((str(perf_counter_ns()), *super().full(graph).lines))


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (Forgetful(), "form text has nothing of shop/db 10.96.0.11:53, and no finding says so"),
        (Stubborn(), "form text depends on the steps before"),
        (Erratic(), "form text depends on the order of objects"),
    ],
)
def test_a_mode_that_does_not_is_told(mode: PlainMode, why: str) -> None:
    """The error says which form it is, and what is wrong."""
    with pytest.raises(AssertionError, match=why):
        check_mode(mode)
