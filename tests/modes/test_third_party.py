"""examples/third-party-mode, installed as its users do: rendered, checked, run and ended."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "examples/third-party-mode"
EXAMPLE = ROOT / "examples/my-service"
SECONDS = 60.0
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.10
  ports: [{name: http, port: 80, targetPort: 8080}, {name: sig, port: 99, protocol: SCTP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [ADDRESS]}]
ports: [{name: http, port: 8080}, {name: sig, port: 99, protocol: SCTP}]
"""
CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 200ms, minSyncPeriod: 100ms}
"""
LINE = "socat TCP-LISTEN:80,pf=ip4,bind=10.96.0.10,freebind,reuseaddr,fork TCP:{}:8080\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the package is installed."""
    folder = tmp_path_factory.mktemp("installed")
    # What CI locks is there already; without it pip gets what builds a package.
    has_builder = importlib.util.find_spec("hatchling") is not None
    options = ["--no-build-isolation"] if has_builder else []
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--no-deps", *options)
    subprocess.run([*pip, "--target", str(folder), str(PACKAGE)], check=True)
    return {**os.environ, "PYTHONPATH": str(folder)}


def svcnet(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "svcnet", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_rendered(environment: dict[str, str], tmp_path: Path) -> None:
    """A command a frontend, a comment where traffic is refused, and a line for what it lacks."""
    manifest = tmp_path / "web.yaml"
    manifest.write_text(SERVICE.replace("ADDRESS", "10.244.1.5"))
    done = svcnet(environment, "render", manifest, "--mode", "socat")
    assert (done.returncode, done.stdout) == (0, LINE.format("10.244.1.5"))
    assert "unsupported: Service shop/web: spec.ports[1].protocol" in done.stderr
    strict = svcnet(environment, "render", manifest, "--mode", "socat", "--strict")
    assert (strict.returncode, strict.stdout) == (2, "")
    new = tmp_path / "new.yaml"
    new.write_text(SERVICE.replace("ADDRESS", "10.244.1.6"))
    step = svcnet(environment, "render", new, "--mode", "socat", "--since", manifest)
    assert step.stdout == f"- {LINE.format('10.244.1.5')}+ {LINE.format('10.244.1.6')}"
    new.write_text(SERVICE[: SERVICE.index("---")])
    empty = svcnet(environment, "render", new, "--mode", "socat")
    assert empty.stdout.startswith("# refused: 10.96.0.10:80/TCP shop/web:http/TCP: ")
    assert svcnet(environment, "apply", manifest, "--mode", "socat").returncode == 2
    assert "socat-udp-timeout" in svcnet(environment, "run", "--help").stdout


def test_it_keeps_what_all_modes_must(environment: dict[str, str]) -> None:
    """The kit finds nothing."""
    code = "from svcnet import modes, testing; testing.check_mode(modes.get('socat'))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def wait(what: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_is_run(environment: dict[str, str], tmp_path: Path) -> None:
    """Processes come with endpoints, go with them, come back after a kill, and end with svcnet."""
    tools, notes = tmp_path / "tools", tmp_path / "notes"
    tools.mkdir()
    notes.mkdir()
    socat = tools / "socat"
    socat.write_text(f'#!/bin/sh\necho "$*" > {notes}/$$\nexec sleep 600\n')
    socat.chmod(0o755)
    manifest, config = tmp_path / "web.yaml", tmp_path / "config.yaml"
    manifest.write_text(SERVICE.replace("ADDRESS", "10.244.1.5"))
    config.write_text(CONFIG)

    def running(address: str) -> list[int]:
        line = LINE.format(address).partition(" ")[2]
        found = [int(note.name) for note in notes.iterdir() if note.read_text() == line]
        return [pid for pid in found if Path(f"/proc/{pid}/cmdline").exists()]

    options = ["--mode", "socat", "--config", str(config), "--socket", str(tmp_path / "socket")]
    options += ["--healthz-bind-address", "", "--metrics-bind-address", ""]
    process = subprocess.Popen(
        [sys.executable, "-m", "svcnet", "run", str(manifest), *options],
        env={**environment, "PATH": f"{tools}:{environment['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait(lambda: len(running("10.244.1.5")) == 1)
        (first,) = running("10.244.1.5")
        os.kill(first, signal.SIGKILL)
        wait(lambda: bool(running("10.244.1.5")) and running("10.244.1.5") != [first])
        shown = svcnet(environment, "status", "--socket", tmp_path / "socket").stdout
        assert "IPv4, socat: last sync" in shown
        manifest.write_text(SERVICE.replace("ADDRESS", "10.244.1.6"))
        wait(lambda: len(running("10.244.1.6")) == 1 and not running("10.244.1.5"))
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, told
        assert not running("10.244.1.6")
        assert "unsupported: Service shop/web" in told
    finally:
        process.kill()
        process.wait()
        for note in notes.iterdir():
            if Path(f"/proc/{note.name}/cmdline").exists():
                os.kill(int(note.name), signal.SIGKILL)
