"""An agent from Python in a network namespace: it keeps the rules of the kernel there."""

from __future__ import annotations

from pathlib import Path

import pytest

from svcnet.agent import Agent
from svcnet.executors.lock import Busy
from svcnet.reconciler import Event, SyncEvent
from tests.agent.kept import Noise, write
from tests.kernel.ipvs.netlink import own_namespace, run

pytestmark = pytest.mark.kernel


def test_rules_are_there_inside_the_block(tmp_path: Path) -> None:
    """They follow the manifest, nobody else may change them, and they go at the end when asked."""
    write(tmp_path, web="10.96.0.10")
    log = Noise()

    def nat() -> str:
        return run("iptables-nft-save", "-t", "nat")

    def agent(*, cleanup_on_exit: bool = False) -> Agent:
        return Agent(
            tmp_path / "cluster.yaml",
            mode="iptables",
            families=["IPv4"],
            healthz="",
            metrics="",
            socket=tmp_path / "svcnet.sock",
            log=log,
            listen=listen,
            cleanup_on_exit=cleanup_on_exit,
        )

    def listen(event: Event) -> None:
        if isinstance(event, SyncEvent):
            kinds.append(event.done.kind)

    kinds: list[str] = []
    with own_namespace():
        run("iptables-nft", "-t", "nat", "-A", "POSTROUTING", "-s", "192.0.2.1", "-j", "RETURN")
        with agent() as running:
            assert "10.96.0.10/32" in nat()
            with pytest.raises(Busy):
                agent().start()
            write(tmp_path, web="10.96.0.10", db="10.96.0.11")
            log.wait("synced")
            running.reload()
            log.wait("the input was read again")
        assert "10.96.0.10/32" in nat()
        write(tmp_path, db="10.96.0.11")
        with agent(cleanup_on_exit=True):
            assert "10.96.0.10/32" not in nat()
            assert "10.96.0.11/32" in nat()
        assert "KUBE-SERVICES" not in nat()
        assert "192.0.2.1" in nat()
    assert kinds[0] == "full"
