"""The machines that tests of executors run on: the fake one, and this one where there is root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE, ThisMachine
from svcnet.testing import FakeMachine
from tests.kernel.ipvs.netlink import own_namespace


def keep_off_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever reaches for this machine fail, as who forgets to hand on another one."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise AssertionError("this machine is asked, and not the one that was given")

    for name in Machine.__abstractmethods__:
        monkeypatch.setattr(ThisMachine, name, fail)


@pytest.fixture(
    params=[
        pytest.param("fake", id="fake"),
        pytest.param("this", id="this", marks=pytest.mark.kernel),
    ]
)
def machine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Machine]:
    """A machine without a rule: one in memory, or a network namespace of this one."""
    if request.param == "fake":
        keep_off_this_machine(monkeypatch)
        yield FakeMachine()
        return
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    with own_namespace():
        yield THIS_MACHINE


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """A machine in memory, while this one is out of reach."""
    keep_off_this_machine(monkeypatch)
    return FakeMachine()
