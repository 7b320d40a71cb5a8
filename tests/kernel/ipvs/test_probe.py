"""What the kernel lacks is named, and not that a rule names a set that is not there."""

from __future__ import annotations

import pytest

from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands
from svcnet.executors.ipvs import ipsets, missing
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.renderers.ipvs import full

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]


def test_a_type_of_set_that_the_kernel_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module alone is missing, although the kernel refuses the rules without its sets.

    The module itself cannot be taken out: sets of other tests use it.
    """
    nothing = full(RuleGraph(NodeSettings("IPv4")))
    commands = Commands("IPv4", "legacy")
    assert missing(nothing, commands) == ()
    restore = ipsets.restore

    def refusing(text: str) -> None:
        if "bitmap:port" in text:
            raise ApplyError("ipset: Kernel error received: set type not supported")
        restore(text)

    monkeypatch.setattr(ipsets, "restore", refusing)
    assert missing(nothing, commands) == ("ip_set_bitmap_port",)
