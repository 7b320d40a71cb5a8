"""An agent knows of the machine that it is given, and nothing of the one that it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.reconciler import InSyncEvent, SyncEvent
from svcnet.testing import FakeMachine
from tests.agent.kept import agent, write
from tests.agent.test_agent import Heard
from tests.executors.machines import fake

__all__ = ["fake"]

LIBERAL = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"
CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 100ms, minSyncPeriod: 10ms}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, web="10.96.0.10")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_facts_are_those_of_the_machine(folder: Path, fake: FakeMachine) -> None:
    """A rule that such a fact calls for is there, and goes when the fact changes."""
    heard = Heard()
    asked = {"machine": fake, "families": [], "config": folder / "config.yaml", "listen": heard}
    with agent(folder, "iptables", **asked):
        assert "--ctstate INVALID" in fake.tables().save("filter")
        fake.kernel.settings[LIBERAL] = "1\n"
        heard.wait(
            lambda event: (
                isinstance(event, SyncEvent)
                and "--ctstate INVALID" not in fake.tables().save("filter")
            )
        )


@pytest.mark.parametrize("mode", ["iptables", "ipvs"])
@pytest.mark.parametrize("families", [[], ["IPv4", "IPv6"]], ids=["of the node", "both"])
def test_nothing_is_asked_of_this_machine(
    folder: Path, fake: FakeMachine, mode: str, families: list[str]
) -> None:
    """From the first look to the cleanup at its end, in modes that change rules."""
    heard = Heard()
    asked = {"machine": fake, "families": families, "cleanup_on_exit": True, "listen": heard}
    with agent(folder, mode, **asked):
        assert "KUBE-SERVICES" in fake.tables().save("nat")
        heard.wait(lambda event: isinstance(event, InSyncEvent))
    assert "KUBE-SERVICES" not in fake.tables().save("nat")
    assert fake.kernel.ipvs.device is None
