"""``svcnet run`` without privilege: what it tells, how it ends, and what it refuses."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main

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
COMMAND = (sys.executable, "-m", "svcnet", "run", "--mode", "userspace", "--no-redirect")


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
    assert errors.splitlines() == ["ending; connections have 30 s", "ended"]


def test_it_reads_again_when_told(manifest: Path) -> None:
    """A hang-up has the manifests read again; wrong ones are told of and change nothing."""
    process = started(manifest)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    manifest.write_text("kind: Service\nmetadata: {name: [}\n")
    process.send_signal(signal.SIGHUP)
    assert str(manifest) in process.stderr.readline()
    while (line := process.stderr.readline()) != "the state before goes on being served\n":
        assert line, "the proxy has died"
    manifest.write_text(SERVICE.format(protocol="UDP"))
    process.send_signal(signal.SIGHUP)
    assert process.stderr.readline() == "the input was read again\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


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
        (("--mode", "iptables", "--no-redirect"), "the options of a proxy are for"),
        (("--mode", "ipvs", "--workers", "2"), "the options of a proxy are for"),
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
    process = started(path)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("unsupported: Service shop/web: spec.ports")
    assert "SCTP" in line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    options = ["run", "--mode", "userspace", "--no-redirect", "--strict", str(path)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "unsupported: Service shop/web" in result.output
