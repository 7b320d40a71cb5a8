"""Tools that say that they are done and are not: nobody is led to half a machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.errors import ApplyError
from svcnet.executors.ipvs import apply, cleanup, device
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.renderers.ipvs import IPVSTables
from tests.kernel.faulty_tools import Tools
from tests.kernel.ipvs.conftest import everything, run
from tests.kernel.ipvs.test_damages import OBJECTS, tables

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs, pytest.mark.usefixtures("namespace")]

LIES = {
    "ipset": (
        "cat >FOLDER/given; grep -q ^save FOLDER/given || exit 0; exec REAL <FOLDER/given restore"
    ),
    "iptables-legacy-restore": "cat >/dev/null; exit 0",
}
"""What a tool does in the place of its work: it lists, and changes nothing."""
EMPTY, FULL = tables("IPv4"), tables("IPv4", *OBJECTS["IPv4"])


def go(wanted: IPVSTables | None) -> None:
    if wanted is None:
        cleanup("IPv4")
    else:
        apply(wanted, variant="legacy", drain=0)


@pytest.mark.parametrize("tool", LIES)
def test_what_is_not_done_is_told(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first apply, at a change and at a cleanup; the next one puts it right."""
    tools = Tools.wrapped(tmp_path / "tools", tuple(LIES))
    tools.misbehave()
    tools.put_in_front(monkeypatch)
    for wanted in (EMPTY, FULL, None):
        tools.misbehave(LIES[tool], "always", only=tool)
        with pytest.raises(ApplyError) as caught:
            go(wanted)
        assert tool in str(caught.value) or "lacks what IPVS mode needs" in str(caught.value)
        assert "10.96.0.10/" not in run("ip -o address")
        tools.misbehave()
        go(wanted)
        there = everything()
        assert ("10.96.0.10/32 " in there) is (wanted not in (EMPTY, None))
    assert "KUBE" not in there
    assert "SVCNET" not in there


def test_no_tool_is_asked_for_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is told of them itself, and says itself what it refuses."""
    tools = Tools.wrapped(tmp_path / "tools", ("ip",))
    tools.misbehave("exit 1", "always")
    tools.put_in_front(monkeypatch)
    go(FULL)
    found = device.observe(THIS_MACHINE, "IPv4")
    assert found is not None
    assert "10.96.0.10" in found.addresses
    go(None)
    assert device.observe(THIS_MACHINE, "IPv4") is None
