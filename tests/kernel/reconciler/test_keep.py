"""``svcnet run`` in modes that are rules: it follows, repairs, and leaves no gap."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

MANIFEST = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
"""
CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
iptables: {syncPeriod: 1s, minSyncPeriod: 200ms}
ipvs: {syncPeriod: 1s, minSyncPeriod: 200ms}
"""


class Kept(Told):
    """A run of svcnet in a mode that is rules, and its manifest."""

    def __init__(
        self, folder: Path, *options: str, extra: str = "", wrap: Sequence[str] = ()
    ) -> None:
        self.manifest = folder / "cluster.yaml"
        config = folder / "config.yaml"
        config.write_text(CONFIG + extra)
        super().__init__("run", self.manifest, "--config", config, *options, wrap=wrap)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "cluster.yaml").write_text(MANIFEST)
    with own_namespace():
        yield tmp_path


def rules(variant: str = "nft") -> str:
    return run(f"iptables-{variant}-save", "-t", "nat")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def eventually(text: str, variant: str = "nft", *, there: bool = True) -> None:
    until(lambda: (text in rules(variant)) is there)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_change_is_followed(folder: Path, variant: str) -> None:
    """Endpoints that come and go are in the rules soon after they are in the file."""
    with Kept(folder, "--variant", variant) as process:
        process.wait(" written")
        eventually("to-destination 10.244.1.5:8080", variant)
        process.manifest.write_text(MANIFEST.replace("10.244.1.5", "10.244.1.6"))
        eventually("to-destination 10.244.1.6:8080", variant)
        assert "10.244.1.5" not in rules(variant)
        time.sleep(2.5)
        assert not any("somebody else" in line for line in process.lines)
    assert "to-destination 10.244.1.6:8080" in rules(variant)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_a_flush_is_repaired(folder: Path, variant: str) -> None:
    """What another program flushed is there again after the next look, and is told of."""
    with Kept(folder, "--variant", variant) as process:
        process.wait(" written")
        for table in ("nat", "filter"):
            run(f"iptables-{variant}", "-t", table, "-F")
        process.wait("somebody else changed the rules")
        assert '"services":["default/web"]' in process.first("somebody else")
        eventually("to-destination 10.244.1.5:8080", variant)
        assert "KUBE-SERVICES" in run(f"iptables-{variant}-save", "-t", "filter")


def test_a_wrong_file_changes_nothing(folder: Path) -> None:
    """A broken manifest keeps the rules and is told of with its line; a good one is taken."""
    with Kept(folder) as process:
        process.wait(" written")
        process.manifest.write_text(MANIFEST.replace("10.96.0.10", "x"))
        process.wait("the rules stay as they were")
        eventually("-d 10.96.0.10/32")
        process.manifest.write_text(MANIFEST.replace("10.96.0.10", "10.96.0.11"))
        eventually("-d 10.96.0.11/32")
        eventually("-d 10.96.0.10/32", there=False)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_go_at_the_end_if_asked(folder: Path, variant: str) -> None:
    """With --cleanup-on-exit nothing of svcnet is left but what guards the host; others' is."""
    run(f"iptables-{variant}", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
    with Kept(folder, "--variant", variant, "--cleanup-on-exit") as process:
        process.wait(" written")
        eventually("to-destination 10.244.1.5:8080", variant)
    saved = run(f"iptables-{variant}-save")
    assert "KUBE" not in saved.replace("KUBE-FIREWALL", "")
    assert "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT" in saved


@pytest.mark.parametrize("options", [(), ("--family", "ipv4"), ("--mode", "userspace")])
def test_a_second_one_is_refused(folder: Path, options: tuple[str, ...]) -> None:
    """One network namespace has one svcnet run for a family, and the next says so and no more."""
    with Told("run", folder / "cluster.yaml", "--variant", "nft") as process:
        process.wait("synced")
        second = Told("run", folder / "cluster.yaml", *options)
        assert second.ended() == 3
        [line] = second.lines
        assert "another svcnet run keeps IPv4" in line
        assert f"process {process.process.pid}: " in line


@pytest.mark.parametrize("verb", ["apply", "cleanup", "conntrack"])
def test_other_verbs_beside_it_are_refused(folder: Path, verb: str) -> None:
    """What they did would be undone at the next look; with --wait they wait for the end."""
    paths: tuple[object, ...] = () if verb == "cleanup" else (folder / "cluster.yaml",)
    paths += ("--delete",) if verb == "conntrack" else ()
    with Kept(folder) as process:
        process.wait(" written")
        before = rules().splitlines()[1:-1]  # without the times
        done = Told(verb, *paths)
        assert done.ended() == 3
        [line] = done.lines
        assert "another svcnet run keeps IPv4" in line
        assert line.endswith("nothing was changed; --wait waits for it [S906 busy]")
        assert rules().splitlines()[1:-1] == before
        waiting = Told(verb, *paths, "--wait")
        waiting.wait("waiting: another svcnet run keeps IPv4")
    assert waiting.ended() == 0
    assert ("KUBE-SVC" in rules()) is (verb != "cleanup")


def test_killed_and_started_again(folder: Path) -> None:
    """After kill -9 the rules are there, and the next one finds nothing to do."""
    first = Kept(folder)
    first.wait(" written")
    first.process.kill()
    first.ended()
    before = rules()
    assert "to-destination 10.244.1.5:8080" in before
    with Kept(folder) as process:
        time.sleep(3)
        assert not any("written" in line or "changed" in line for line in process.lines)
    assert [line for line in rules().splitlines() if line.startswith("-A")] == [
        line for line in before.splitlines() if line.startswith("-A")
    ]


def test_addresses_of_the_machine_are_followed(folder: Path) -> None:
    """A node port answers on an address that the machine gets later, where its network asks so."""
    node_port = MANIFEST.replace("{clusterIP:", "{type: NodePort, clusterIP:")
    node_port = node_port.replace("{port: 80}", "{port: 80, nodePort: 30080}")
    (folder / "cluster.yaml").write_text(node_port)
    with Kept(folder, extra="nodePortAddresses: [192.0.2.0/24]") as process:
        process.wait(" written")
        assert "-d 192.0.2.7/32" not in rules()
        run("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
        eventually("-d 192.0.2.7/32")


def test_systemd_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first rules, of a reload and its end, of the end, and of life in between."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with Kept(folder) as process:
            until_told(told, "READY=1")
            assert "to-destination 10.244.1.5:8080" in rules()
            until_told(told, "WATCHDOG=1")
            process.process.send_signal(signal.SIGHUP)
            until_told(told, "RELOADING=1")
            until_told(told, "READY=1")
        until_told(told, "STOPPING=1")


def until_told(socket: socket.socket, text: str) -> None:
    while text not in socket.recv(4096).decode():
        pass
