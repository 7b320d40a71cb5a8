"""``svcnet status`` with a real ``svcnet run``: what it tells, to whom, and when nobody answers."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from svcnet.servers.questions import usual_path
from tests.kernel.api import api, endpoints, service
from tests.kernel.reconciler.test_cluster import Followed
from tests.kernel.reconciler.test_keep import MANIFEST, Kept, eventually, folder, until

__all__ = ["folder"]

pytestmark = pytest.mark.kernel

COMMAND = (sys.executable, "-m", "svcnet", "status")
WEB = "default/web/TCP 10.96.0.10:80 10.244.1.5:8080 0 of 1"
WRITTEN = " written"


def asked(*options: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def told(*options: object) -> str:
    done = asked(*options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def document(*options: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told("--output", "json", *options))
    return found


def until_document(holds: Callable[[dict[str, Any]], bool], *options: object) -> dict[str, Any]:
    until(lambda: holds(document(*options)))
    return document(*options)


def test_services_are_shown_and_follow_a_change(folder: Path) -> None:
    """The table has a line a service port, and after an edit its new endpoints."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        lines = told().splitlines()
        assert any(line.startswith("IPv4, iptables: last sync ") for line in lines)
        assert any(line.startswith(f"Input: {process.manifest}, last good ") for line in lines)
        assert lines[-1].split() == WEB.split()
        process.manifest.write_text(MANIFEST.replace("10.244.1.5", "10.244.1.6"))
        until(lambda: "10.244.1.6:8080" in told())
        assert "10.244.1.5" not in told()


def test_the_document(folder: Path) -> None:
    """--output json has the state of the run and every service with its endpoints."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        found = until_document(lambda one: one["families"] != [])
        assert found["version"] == 1
        assert found["input"]["source"] == str(process.manifest)
        assert found["input"]["problem"] is None
        assert found["lastFailed"] is None
        [family] = found["families"]
        assert (family["family"], family["mode"]) == ("IPv4", "iptables")
        assert family["syncs"] >= 1
        assert (family["failures"], family["repaired"]) == (0, 0)
        [service] = family["services"]
        assert service["endpoints"] == [{"address": "10.244.1.5", "port": 8080, "local": False}]
        for table in ("nat", "filter"):
            subprocess.run(["iptables-nft", "-t", table, "-F"], check=True)
        until_document(lambda one: one["families"][0]["repaired"] >= 1)


def test_a_broken_manifest_is_kept(folder: Path) -> None:
    """--last-failed prints the file as it was refused, also after a good one has come."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        nothing = asked("--last-failed")
        assert (nothing.returncode, nothing.stdout) == (1, "")
        broken = MANIFEST.replace("10.96.0.10", "x")
        process.manifest.write_text(broken)
        process.wait("the rules stay as they were")
        assert "Problem: the input is refused: " in told()
        process.manifest.write_text(MANIFEST)
        until_document(lambda one: one["input"]["problem"] is None)
        failed = asked("--last-failed")
        assert failed.returncode == 0
        assert failed.stdout == broken
        assert "spec.clusterIP: must be an IP address" in failed.stderr
        assert "Last refused: input, " in told()


REFUSING = """\
#!/bin/sh
text=$(cat)
case $text in *default/other*) echo "line 1 failed: no room" >&2; exit 1;; esac
printf '%s\\n' "$text" | /usr/sbin/iptables-nft-restore "$@"
"""


def svcnet(*arguments: str) -> str:
    """Return what the command prints."""
    command = [sys.executable, "-m", "svcnet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_rules_that_the_kernel_refuses_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--last-failed prints what was to be written, --last-good what the machine still has."""
    tool = folder / "tools" / "iptables-nft-restore"
    tool.parent.mkdir()
    tool.write_text(REFUSING)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    with Kept(folder) as process:
        process.wait(WRITTEN)
        eventually("to-destination 10.244.1.5:8080")
        good = told("--last-good")
        facts = folder / "host.yaml"
        facts.write_text(svcnet("probe"))
        assert good == svcnet("render", str(process.manifest), "--host", str(facts))
        process.manifest.write_text(MANIFEST.replace("name: web", "name: other"))
        process.wait('"refused"')
        failed = asked("--last-failed")
        assert failed.returncode == 0
        assert "default/other" in failed.stdout
        assert failed.stderr
        assert told("--last-good") == good
        [family] = document()["families"]
        assert family["problem"]
        assert [one["name"] for one in family["services"]] == ["web"]


def test_only_the_owner_may_ask(folder: Path) -> None:
    """The socket and its folder are the owner's; another user gets nothing even if it connects."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        path = usual_path()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        script = (
            "import socket, sys\n"
            "with socket.socket(socket.AF_UNIX) as s:\n"
            '    s.connect(sys.argv[1]); s.sendall(b\'{"ask": "status"}\\n\')\n'
            "    print(len(s.recv(10)))\n"
        )
        command = [*other, "/usr/bin/python3", "-c", script, str(path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "PermissionError" in refused.stderr
        before = stat.S_IMODE(path.parent.stat().st_mode)
        try:
            path.parent.chmod(0o755)
            path.chmod(0o666)
            connected = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            path.parent.chmod(before)
        assert connected.stdout in ("", "0\n")
        assert "PermissionError" not in connected.stderr


def test_nobody_answers(folder: Path) -> None:
    """Without a run the exit code is 3 and the message names the path; a run cleans up."""
    path = folder / "own.sock"
    alone = asked("--socket", path)
    assert alone.returncode == 3
    assert alone.stderr.startswith(f"{path}: no svcnet run answers there")
    with Kept(folder, "--socket", str(path)) as process:
        process.wait(WRITTEN)
        assert document("--socket", path)["version"] == 1
        assert asked().returncode == 3
    assert not path.exists()


def test_a_killed_one_is_replaced(folder: Path) -> None:
    """The socket that kill -9 leaves is no hindrance to the next run."""
    first = Kept(folder)
    first.wait(WRITTEN)
    first.process.kill()
    first.ended()
    assert usual_path().exists()
    assert asked().returncode == 3
    with Kept(folder) as process:
        process.wait('"synced"')
        assert document()["families"]
        assert not any("gets no answer" in line for line in process.lines)


def test_two_runs(folder: Path) -> None:
    """A second run leaves the socket of the first alone, warns, and goes on without."""
    (folder / "six").mkdir()
    six = MANIFEST.replace("10.96.0.10", "fd00::10").replace("10.244.1.5", "fd01::5")
    (folder / "six/cluster.yaml").write_text(six.replace("IPv4", "IPv6"))
    with Kept(folder) as process:
        process.wait(WRITTEN)
        with Kept(folder / "six", "--family", "ipv6", "--healthz-bind-address", "") as second:
            second.wait("svcnet status gets no answer: ")
            second.wait(WRITTEN)
        assert [one["family"] for one in document()["families"]] == ["IPv4"]


def test_no_socket_is_a_warning(folder: Path) -> None:
    """A path that cannot be made, and a file that is no socket, end nothing and stay."""
    file = folder / "file"
    file.write_text("mine")
    for path in (file, folder / "a/b/c.sock"):
        with Kept(folder, "--socket", str(path)) as process:
            process.wait("svcnet status gets no answer: ")
            process.wait("synced" if path != file else WRITTEN)
    assert file.read_text() == "mine"


def test_strange_questions(folder: Path) -> None:
    """What is no question is told so; one without an end, or without a line, holds nothing up."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        path = str(usual_path())
        silent = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for each in silent:
            each.connect(path)
        for question in (b"", b"{}", b"[1]", b'{"ask": []}', b"\xff\xfe", b"x" * 5000):
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(10)
                asking.connect(path)
                asking.sendall(question + b"\n")
                assert json.loads(asking.makefile().read()) == {"error": "no such question"}
        assert document()["version"] == 1
        for each in silent:
            each.close()


def test_names_cannot_steer_a_terminal(folder: Path) -> None:
    """Control characters of a refused file are escaped on a terminal, and kept elsewhere."""
    with Kept(folder) as process:
        process.wait(WRITTEN)
        process.manifest.write_text(MANIFEST + "# \x1b[2J\n---\n[\n")
        process.wait("the rules stay as they were")
        assert b"\x1b[2J" in told("--last-failed").encode()
        assert b"\x1b[2J" not in on_terminal("--last-failed")
        assert b"\\x1b[2J" in on_terminal("--last-failed")


def on_terminal(*options: str) -> bytes:
    """Return what a command writes to a terminal, until it ends."""
    leader, follower = pty.openpty()
    with subprocess.Popen([*COMMAND, *options], stdout=follower, stderr=follower):
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 65536):
                shown += data
        except OSError:  # the other end is closed
            pass
    os.close(leader)
    return shown


def test_watching_survives_a_restart(folder: Path) -> None:
    """The live view shows a run, that it is gone, and the next one, until it is interrupted."""
    assert asked("--watch").returncode == 2
    leader, follower = pty.openpty()
    shown = bytearray()

    def has(text: str) -> bool:
        shown.extend(os.read(leader, 65536))
        found = text.encode() in shown
        if found:
            shown.clear()
        return found

    with Kept(folder) as process:
        process.wait(WRITTEN)
        watching = subprocess.Popen(
            [*COMMAND, "--watch"],
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )
        until(lambda: has("default/web/TCP"))
    until(lambda: has("no svcnet run answers"))
    with Kept(folder) as process:
        until(lambda: has("default/web/TCP"))
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    os.close(leader)
    os.close(follower)


def test_many_services_while_a_sync_goes_on(folder: Path) -> None:
    """A large cluster is told of while its rules are written, before the first sync and after."""
    many = "---\n".join(
        MANIFEST.replace("web", f"web-{number}").replace(
            "10.96.0.10", f"10.{97 + number // 65536}.{number // 256 % 256}.{number % 256}"
        )
        for number in range(10_000)
    )
    (folder / "cluster.yaml").write_text(many)
    with Kept(folder, "--variant", "legacy") as process:
        until(lambda: asked().returncode == 0)
        process.wait(WRITTEN)
        found = document()
        assert len(found["families"][0]["services"]) == 10_000
        process.manifest.write_text(many.replace("10.244.1.5", "10.244.1.6"))
        answers = 0
        begun = time.monotonic()
        while document()["families"][0]["services"][0]["endpoints"][0]["address"] != "10.244.1.6":
            answers += 1
            assert time.monotonic() - begun < 120
        assert answers >= 1


def test_an_api_server(folder: Path) -> None:
    """How it stands with a server is told before the first list, and what it has that is wrong."""
    with api() as server:
        server.call(lambda fake: fake.forbidden.add("EndpointSlice"))
        server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.5"))
        with Followed(server, folder) as process:
            process.wait("refused: 403")
            found = document()
            assert found["input"]["source"].startswith("API server http")
            assert any("refused: " in state for state in found["input"]["server"].values())
            assert found["families"] == []
            server.call(lambda fake: fake.forbidden.clear())
            process.wait('"event":"synced"')
            found = until_document(lambda one: one["families"] != [])
            assert set(found["input"]["server"].values()) == {"synced"}
            server.put(service("web", "10.96.0.10", port=99999))
            process.wait("must be from 1 to 65535")
            failed = asked("--last-failed")
            assert (failed.returncode, failed.stdout) == (0, "")
            assert "must be from 1 to 65535" in failed.stderr
