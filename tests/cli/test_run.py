"""``svcnet run`` without privilege: what it tells, how it ends, and what it refuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from tests.kernel.told import Told

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  clusterIP: 10.96.0.10
  ports: [{{name: http, port: 80, protocol: {protocol}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: {protocol}}}]
endpoints: [{{addresses: [10.244.1.5]}}, {{addresses: [10.244.1.6]}}]
"""
ARGUMENTS = ("run", "--mode", "userspace", "--no-redirect")
COMMAND = (sys.executable, "-m", "svcnet", *ARGUMENTS)


@pytest.fixture(name="manifest")
def one_manifest(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE.format(protocol="TCP"))
    return path


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_it_tells_where_each_service_is(manifest: Path) -> None:
    """The table names the port of loopback, what it stands for and the backends."""
    process = started(manifest, "--proxy-port-range", "45000-45010")
    assert process.stdout is not None
    assert process.stdout.readline().split("  ")[0] == "SERVICE PORT"
    name, address, port, *backends = process.stdout.readline().split()
    assert (name, address) == ("shop/web:http/TCP", "10.96.0.10:80")
    assert port.startswith("127.0.0.1:450")
    assert backends == ["10.244.1.5:8080,", "10.244.1.6:8080"]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert events == ["synced", "ending; connections have 30 s", "ended"]


def test_warnings_are_events_too(manifest: Path) -> None:
    """What is told of the input comes line by line, as everything else does."""
    text = SERVICE.format(protocol="TCP").replace("  ports:", "  clusterip: 10.96.0.10\n  ports:")
    manifest.write_text(f"{text}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n")
    process = started(manifest, "--ignore", "no-endpoints")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    lines = [json.loads(line) for line in errors.splitlines()]
    warnings = [line["event"] for line in lines if line["level"] == "warning"]
    assert any("spec.clusterip: is no field" in text for text in warnings)
    assert "passed over: 1 Secret [S112 passed-over]" in warnings


def test_it_follows_changes(manifest: Path) -> None:
    """Manifests are read again when they change; wrong ones are told of and change nothing."""
    process = Told(*ARGUMENTS, manifest)
    process.wait("1 service port served")
    manifest.write_text("kind: Service\nmetadata: {name: [}\n")
    process.wait("the state before goes on being served")
    assert any(f"{manifest}:2: error" in line for line in process.lines)
    manifest.write_text(SERVICE.format(protocol="UDP"))
    process.wait("2 service ports changed")
    process.end()


def test_a_file_beside_a_folder(manifest: Path, tmp_path: Path) -> None:
    """Both are followed, and what lies below the folder that the file is in is not watched."""
    home = tmp_path / "home"
    for number in range(20):
        (home / f"deep-{number}").mkdir(parents=True)
    other = home / "other.yaml"
    text = SERVICE.format(protocol="TCP").replace("web", "other").replace("96.0.10", "96.0.11")
    other.write_text(text)
    folder = tmp_path / "folder"
    folder.mkdir()
    manifest = manifest.rename(folder / "web.yaml")
    with Told(*ARGUMENTS, folder, other) as process:
        process.wait("2 service ports served")
        for number, path in enumerate((manifest, other), 1):
            path.write_text(path.read_text().replace("10.244.1.5", "10.244.1.7"))
            process.wait("1 service port changed", number)
        # The folder and the one that the file is in.
        assert watched_folders(process.process.pid) == 2


def watched_folders(pid: int) -> int:
    """Return how many folders a process has the kernel watch (proc_pid_fdinfo(5))."""
    infos = [path.read_text() for path in Path(f"/proc/{pid}/fdinfo").iterdir()]
    return sum(info.count("inotify wd:") for info in infos)


def test_it_reads_again_when_told(manifest: Path) -> None:
    """A hang-up has all input read again."""
    process = Told(*ARGUMENTS, manifest)
    process.wait("1 service port served")
    process.process.send_signal(signal.SIGHUP)
    process.wait("the input was read again")
    process.end()


def test_ports_come_from_where_the_configuration_says_now(manifest: Path, tmp_path: Path) -> None:
    """With another range of proxy ports, new Services have ports of it; others keep theirs."""
    config = tmp_path / "config" / "config.yaml"
    config.parent.mkdir()
    stats = tmp_path / "stats"
    text = (
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "iptables: {minSyncPeriod: 1ns}\nportRange: "
    )
    config.write_text(f"{text}45000-45010\n")
    process = Told(*ARGUMENTS, "--config", config, "--stats", stats, manifest)
    process.wait("1 service port served")
    first = ports(stats)["web"]
    config.write_text(f"{text}46000-46010\n")
    process.process.send_signal(signal.SIGHUP)
    process.wait("the input was read again")
    other = SERVICE.format(protocol="TCP").replace("web", "other").replace("96.0.10", "96.0.11")
    manifest.write_text(f"{SERVICE.format(protocol='TCP')}---\n{other}")
    process.wait("1 service port changed")
    now = ports(stats)
    assert now["web"] == first
    assert 45000 <= first <= 45010
    assert 46000 <= now["other"] <= 46010
    process.end()


def ports(stats: Path) -> dict[str, int]:
    """Return the proxy port of each Service."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(stats))
        value = json.loads(sock.makefile().read())
    return {each["name"]: each["proxyPorts"]["cluster"] for each in value["services"]}


def test_a_file_is_not_taken_for_a_socket(manifest: Path, tmp_path: Path) -> None:
    """A path of --stats where something else is ends svcnet with an error, and the file stays."""
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    process = started("--stats", notes, manifest)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert f"{notes}: is there, and is no socket" in errors
    assert notes.read_text() == "mine"


def test_too_few_ports_are_refused(manifest: Path) -> None:
    """A range without a port for every Service is an error; once it serves, nothing changes."""
    options = ("--proxy-port-range", "21020-21020")
    process = Told(*ARGUMENTS, *options, manifest)
    process.wait("1 service port served")
    other = SERVICE.format(protocol="TCP").replace("web", "other").replace("96.0.10", "96.0.11")
    manifest.write_text(f"{SERVICE.format(protocol='TCP')}---\n{other}")
    process.wait("refused")
    process.end()
    process = Told(*ARGUMENTS, *options, manifest)
    assert process.ended() == 2
    assert "Traceback" not in "".join(process.lines)


def test_a_terminal_gets_a_table_that_counts(manifest: Path) -> None:
    """On a terminal a live table shows the service ports and what they counted."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, manifest],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 20
    while b"connections and" not in shown:
        assert time.monotonic() < deadline, shown
        shown += os.read(ours, 4096)
    assert b"shop/web:http/TCP" in shown
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    os.close(ours)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--mode", "iptables", "--no-redirect"), "--no-redirect is for mode userspace; mode"),
        (("--mode", "ipvs", "--workers", "2"), "--workers is for mode userspace; mode ipvs has no"),
        (("--mode", "userspace", "--proxy-port-range", "70000-80000"), "a port range is like"),
        (("--mode", "userspace", "--proxy-port-range", "9-1"), "a port range is like"),
        (("--mode", "userspace", "--no-redirect", "--variant", "nft"), "--variant is for rules"),
    ],
)
def test_nonsense_is_refused(manifest: Path, arguments: tuple[str, ...], words: str) -> None:
    """Options that make no sense are an error, and nothing is served."""
    result = CliRunner().invoke(main, ["run", *arguments, str(manifest)])
    assert result.exit_code == 2
    assert words in result.output


def test_what_it_cannot_carry_is_told(tmp_path: Path) -> None:
    """SCTP is told of on standard error, and with --strict it is an error."""
    path = tmp_path / "signals.yaml"
    path.write_text(SERVICE.format(protocol="SCTP"))
    process = Told(*ARGUMENTS, path)
    process.wait("unsupported: Service shop/web: spec.ports[0].protocol: port 80 is SCTP")
    process.end()
    options = ["run", "--mode", "userspace", "--no-redirect", "--strict", str(path)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "unsupported: Service shop/web" in result.output


def test_what_it_cannot_carry_is_ignored_on_request(tmp_path: Path) -> None:
    """Then neither the input nor the loop that serves it tells of SCTP, whatever else is told."""
    path = tmp_path / "signals.yaml"
    path.write_text(SERVICE.format(protocol="SCTP"))
    process = Told(*ARGUMENTS, path, "--strict", "--ignore", "unsupported-port")
    process.wait('"event":"synced"')
    process.end()
    assert not any("unsupported" in line for line in process.lines)


def test_with_strict_a_change_that_it_cannot_carry_is_refused(manifest: Path) -> None:
    """What was served before goes on being served, and why is told."""
    process = Told(*ARGUMENTS, "--strict", manifest)
    process.wait("1 service port served")
    manifest.write_text(SERVICE.format(protocol="SCTP"))
    process.wait("the state before goes on being served")
    assert "unsupported: Service shop/web" in process.lines[-1]
    process.end()


def test_a_lost_worker_ends_it(manifest: Path) -> None:
    """When a worker process is lost svcnet ends with exit code 3 and says so."""
    process = Told(*ARGUMENTS, "--workers", "3", manifest)
    process.wait("1 service port served")
    pid = process.process.pid
    (child, *_) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert process.ended() == 3
    assert "a worker process of the proxy has ended" in process.lines[-1]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--kubernetes", "web.yaml"), "from PATH or with --kubernetes"),
        (("--kubernetes", "--strict"), "--strict is for the manifests of PATH"),
        (("--kubeconfig", "config"), "for --kubernetes"),
        (("--workers", "2"), "--workers is for mode userspace; mode iptables has no proxy"),
        (("--fallback", "iptables"), "--fallback is for mode ipvs; mode iptables needs no module"),
        (("--udp-timeout", "1"), "--udp-timeout is for mode userspace"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], problem: str) -> None:
    """Options that would have no effect are refused, before anything is done."""
    result = CliRunner().invoke(main, ["run", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in result.stderr
