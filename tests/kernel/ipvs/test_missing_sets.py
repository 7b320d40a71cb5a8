"""A kernel that lacks a type of set says so, and not that a rule names a set that is not there."""

from __future__ import annotations

import pytest

from svcnet.executors.iptables import Commands
from svcnet.executors.ipvs import missing
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.renderers.ipvs import full
from tests.kernel.ipvs.conftest import run

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]


def test_a_type_of_set_that_the_kernel_lacks_is_named() -> None:
    """Its module is what is missing, and nothing is once it is there again."""
    nothing = full(RuleGraph(NodeSettings("IPv4")))
    commands = Commands("IPv4", "legacy")
    run("modprobe -d /run/modules -r ip_set_bitmap_port")
    try:
        assert missing(nothing, commands) == ("ip_set_bitmap_port",)
    finally:
        run("modprobe -d /run/modules ip_set_bitmap_port")
    assert missing(nothing, commands) == ()
