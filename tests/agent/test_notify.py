"""What systemd is told, through real sockets."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svcnet.agent.notify import MAX_STATUS, Notify
from tests.servers.exhaustion import no_descriptors


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The name of a socket as systemd gives it, and the socket."""
    name = f"@svcnet-test-{os.getpid()}" if request.param == "abstract" else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name[1:]}" if name[0] == "@" else name)
        sock.settimeout(10)
        yield name, sock


def test_a_life(systemd: tuple[str, socket.socket]) -> None:
    """Each call is one datagram, with the words of sd_notify(3)."""
    name, sock = systemd
    notify = Notify.from_environment({"NOTIFY_SOCKET": name})
    before = time.monotonic_ns() // 1000
    notify.ready("5 Services")
    notify.status("syncing")
    notify.reloading()
    notify.ready()
    notify.alive()
    notify.stopping()
    told = [sock.recv(4096).decode() for _ in range(6)]
    reloading, since = told.pop(2).split("\n")
    begun, *rest = told
    assert begun == "READY=1\nSTATUS=5 Services"
    assert rest == ["STATUS=syncing", "READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert reloading == "RELOADING=1"
    assert before <= int(since.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line(systemd: tuple[str, socket.socket]) -> None:
    """A status cannot say anything else to systemd, however long it is and whatever it holds."""
    name, sock = systemd
    notify = Notify.from_environment({"NOTIFY_SOCKET": name})
    notify.status("a\nMAINPID=1\x1b[2J" + "x" * 1_000_000)
    told = sock.recv(1 << 20).decode()
    assert told.startswith("STATUS=a\\nMAINPID=1\\x1b[2Jx")
    assert told.isprintable()
    assert len(told) < MAX_STATUS + 100
    notify.status("")
    notify.alive()
    assert sock.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:1234", "@nobody", "/nowhere/notify"])
def test_nobody_listens(name: str) -> None:
    """Without a socket, or with one that is gone, nothing happens."""
    notify = Notify.from_environment({"NOTIFY_SOCKET": name} if name else {})
    for tell in (notify.ready, notify.reloading, notify.stopping, notify.alive):
        tell()
    notify.status("x")


def test_a_queue_that_is_full(systemd: tuple[str, socket.socket]) -> None:
    """A systemd that does not read keeps nobody waiting."""
    notify = Notify.from_environment({"NOTIFY_SOCKET": systemd[0]})
    for _ in range(10_000):
        notify.alive()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_the_watchdog(environ: dict[str, str], seconds: float | None) -> None:
    """The time of the watchdog is in microseconds, and for one process."""
    notify = Notify.from_environment({"NOTIFY_SOCKET": "/run/notify", **environ})
    assert notify.watchdog_seconds == seconds
    assert Notify.from_environment(environ).watchdog_seconds is None


def test_no_descriptor_is_no_trouble(systemd: tuple[str, socket.socket]) -> None:
    """Without a descriptor systemd is not told, and nothing ends; with one it is told again."""
    name, sock = systemd
    notify = Notify.from_environment({"NOTIFY_SOCKET": name})
    with no_descriptors():
        notify.alive()
        notify.stopping()
    notify.status("here")
    assert sock.recv(4096) == b"STATUS=here"


def test_a_socket_that_nobody_reads_is_not_waited_for(systemd: tuple[str, socket.socket]) -> None:
    """However much was told, telling more takes no time."""
    name, _ = systemd
    notify = Notify.from_environment({"NOTIFY_SOCKET": name})
    begun = time.monotonic()
    for _ in range(2000):
        notify.status("x" * MAX_STATUS)
    assert time.monotonic() - begun < 5
