"""A mode whose machine lacks what it takes: the one that serves instead has settings of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.executors import this_machine
from svcnet.models import KubeProxyConfiguration, RuleSettings
from svcnet.modes import ipvs
from svcnet.modes.ipvs import IPVSMode
from svcnet.modes.ipvs.options import DRAIN, FALLBACK, SECTION
from svcnet.modes.options import JUMPS, VARIANT
from svcnet.reconciler import SyncEvent
from svcnet.testing import FakeMachine
from tests.agent.kept import Noise, agent, write
from tests.agent.test_agent import Heard
from tests.executors.machines import fake

__all__ = ["fake"]

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
PACES = "iptables: {syncPeriod: 100ms, minSyncPeriod: 10ms}\nipvs: {syncPeriod: 1h}\n"
MARK_OF_IPTABLES, MARK_OF_ODD = "0x4000", "0x8"
FLUSH = "*nat\n-F KUBE-SERVICES\nCOMMIT\n"
WEB = "10.96.0.10/32"


class OddMode(IPVSMode):
    """Mode IPVS with a mark and a default of its own, neither of which is for another mode."""

    options = (SECTION, JUMPS, evolve(VARIANT, default="legacy"), DRAIN, FALLBACK)

    def rules(self, config: KubeProxyConfiguration) -> RuleSettings:
        return evolve(super().rules(config), masquerade_bit=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, web="10.96.0.10")
    (tmp_path / "host.yaml").write_text("addresses: [192.0.2.1]\n")
    return tmp_path


@pytest.fixture
def lacking(fake: FakeMachine) -> FakeMachine:
    """A machine without IPVS."""
    fake.lacks |= {"ip_vs"}
    return fake


def damage_is_seen(machine: FakeMachine, heard: Heard) -> None:
    heard.events.clear()
    machine.load(FLUSH)
    heard.wait(lambda event: isinstance(event, SyncEvent) and WEB in machine.tables().save())


def test_a_run_looks_as_often_as_its_mode_is_to(folder: Path, lacking: FakeMachine) -> None:
    """By section iptables, not ipvs, at first and once the input is read again."""
    config, heard, log = folder / "config.yaml", Heard(), Noise()
    config.write_text(HEAD + PACES)
    asked = {"config": config, "options": {FALLBACK.name: "iptables"}, "host": folder / "host.yaml"}
    with agent(folder, "ipvs", machine=lacking, log=log, listen=heard, **asked) as running:
        log.wait("the kernel lacks ip_vs, ip_vs_rr: keeping iptables mode instead")
        damage_is_seen(lacking, heard)
        running.reload()
        log.wait("the input was read again")
        for _ in range(2):  # one look was due before
            damage_is_seen(lacking, heard)
        (family,) = running.status()["families"]
        assert family["mode"] == "iptables"
        asking = ["status", "--last-good", "--socket", str(folder / "svcnet.sock")]
        assert "*nat\n" in CliRunner().invoke(main, asking).stdout


def run(folder: Path, machine: FakeMachine) -> None:
    options = {FALLBACK.name: "iptables"}
    with agent(folder, "ipvs", machine=machine, options=options, host=folder / "host.yaml"):
        pass


def apply(folder: Path, _machine: FakeMachine) -> None:
    about = ("--host", str(folder / "host.yaml"), "--family", "ipv4")
    asked = ("--mode", "ipvs", "--fallback", "iptables", *about)
    done = CliRunner().invoke(main, ["apply", str(folder / "cluster.yaml"), *asked])
    assert done.exit_code == 0, done.stderr
    assert "the kernel lacks ip_vs, ip_vs_rr: applying iptables mode instead" in done.stderr


@pytest.mark.parametrize("begin", [run, apply])
def test_rules_and_options_are_those_of_the_mode_that_serves(
    begin: Callable[[Path, FakeMachine], None],
    folder: Path,
    lacking: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Nothing of the first mode comes along: no mark, and no default of an option."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    monkeypatch.setattr(ipvs, "IPVS", OddMode())
    monkeypatch.setattr(this_machine, "THIS_MACHINE", lacking)
    begin(folder, lacking)
    saved = lacking.tables("nft").save()
    assert WEB in saved
    assert MARK_OF_IPTABLES in saved
    assert MARK_OF_ODD not in saved
    assert WEB not in lacking.tables("legacy").save()
