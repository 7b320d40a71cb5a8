"""Examples in the help of verbs that change a machine, or ask what another process answers."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_help import BESIDE, ROOT, verbs
from tests.kernel.dns.knot import PORT, knot
from tests.kernel.dns.test_zone import EMPTY
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

LINES = [line for _, verb in verbs() for _, line in verb.examples]
SUDO = [line.removeprefix("sudo ") for line in LINES if line.startswith("sudo ")]
CODES = {
    "svcnet apply --dry-run examples/my-service": 1,
    "svcnet verify --live examples/my-service": 2,
}
"""What examples end with on a machine that has nothing: a change to make, no rules to compare."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with own_namespace():
        yield tmp_path


def svcnet(line: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *shlex.split(line)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_those_that_take_root(folder: Path) -> None:
    """Each does what it says, one after the other, on one machine."""
    for line in SUDO:
        if line.startswith("svcnet run"):
            with Told(*shlex.split(line)[1:]) as process:
                process.wait("written")
            continue
        done = svcnet(line)
        assert done.returncode in (CODES.get(line, 0), 1 if "--dry-run" in line else 0), (
            line,
            done.stderr,
        )


def test_those_that_ask_a_run(folder: Path) -> None:
    with Told("run", "examples/my-service") as process:
        process.wait("written")
        for line in LINES:
            if line.startswith("svcnet status"):
                done = svcnet(line)
                assert done.returncode == 0, (line, done.stderr)
                assert "10.96.0.100" in done.stdout


def test_those_that_ask_a_dns_server(folder: Path) -> None:
    """With the key of that server, which an example has not."""
    (folder / "knot").mkdir()
    with knot(folder / "knot", [("cluster.local.", EMPTY)]):
        for line in LINES:
            if line.startswith("svcnet dns push"):
                here = re.sub(r"127\.0\.0\.1:[0-9]+", f"127.0.0.1:{PORT}", line)
                done = svcnet(f"{here} --tsig-file knot/key")
                assert done.returncode == (1 if "--dry-run" in line else 0), (line, done.stderr)
    assert set(BESIDE) == {"svcnet status", "svcnet dns push"}
