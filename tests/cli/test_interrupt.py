"""A signal ends each command that goes on, at any moment and whoever reads what it prints."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cli.test_run import SERVICE
from tests.fuzz import examples

SVCNET = (sys.executable, "-m", "svcnet")
SECONDS = 5.0
"""How long an end may take. It takes less than one; the rest is for a machine that is busy."""

QUICK = settings(phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
"""A failing moment is no input that gets simpler."""

COMMANDS = ("run", "run of standard input", "run on a terminal", "dns serve", "status", "nobody")
"""Of `status` the socket answers, of `nobody` it takes the question and is silent."""


@pytest.fixture(name="folder", scope="module")
def one_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A manifest, a socket that answers as a run does, and one that never does."""
    folder = tmp_path_factory.mktemp("interrupt")
    (folder / "web.yaml").write_text(SERVICE.format(protocol="TCP"))
    document: dict[str, Any] = {
        "since": "2026-01-01T00:00:00+00:00",
        "input": {"source": "web.yaml", "read": None, "server": {}, "problem": None},
        "families": [],
        "lastFailed": None,
    }
    with ExitStack() as stack:
        for name, answer in (("status", json.dumps(document).encode()), ("nobody", b"")):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(folder / name))
            listening.listen(64)
            if answer:
                threading.Thread(target=reply, args=(listening, answer), daemon=True).start()
        yield folder


def reply(listening: socket.socket, answer: bytes) -> None:
    with suppress(OSError):
        while True:
            with listening.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)


def arguments(command: str, folder: Path) -> tuple[str, ...]:
    run = ("run", "--mode", "userspace", "--no-redirect", "--healthz-bind-address=")
    own = (*run, "--metrics-bind-address=", "--socket", str(folder / "run"))
    match command:
        case "run" | "run on a terminal":
            return (*own, str(folder / "web.yaml"))
        case "run of standard input":
            return (*own, "-")
        case "dns serve":
            return ("dns", "serve", "--listen=127.0.0.1:0", str(folder / "web.yaml"))
        case _:
            return ("status", "--watch", "--socket", str(folder / command))


def needs_terminal(command: str) -> bool:
    return command in ("run on a terminal", "status", "nobody")


@contextmanager
def output(terminal: bool, is_read: bool) -> Iterator[int]:
    """Yield where a command may write; what nobody reads is full already."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if is_read:
        threading.Thread(target=drink, args=(ours,), daemon=True).start()
    else:
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, b"x" * 1000)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, b"x")
        os.set_blocking(theirs, True)
    try:
        yield theirs
    finally:
        os.close(theirs)
        if not is_read:
            os.close(ours)


def drink(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 65536):
            pass
    os.close(descriptor)


@contextmanager
def going(
    command: str, folder: Path, *, is_read: bool, ignore: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process of a command; what is left of it at the end is killed."""
    silent, unsaid = os.pipe()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignore else signal.SIG_DFL)
    with output(needs_terminal(command), is_read) as written:
        try:
            process = subprocess.Popen(
                [*SVCNET, *arguments(command, folder)],
                stdin=silent,
                stdout=written,
                stderr=written,
                env={**os.environ, "TERM": "xterm"},
            )
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            os.close(silent)
            os.close(unsaid)


def hears(process: subprocess.Popen[bytes]) -> bool:
    """Return whether it is so far that SIGINT is no matter of Python's own start any more."""
    return int(fields(process)["Threads"]) > 1


def handles(process: subprocess.Popen[bytes]) -> bool:
    """Return whether it has a handler of SIGINT."""
    return bool(int(fields(process)["SigCgt"], 16) & 1 << signal.SIGINT - 1)


def fields(process: subprocess.Popen[bytes]) -> dict[str, str]:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in status.splitlines())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ends(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Send a signal, and return whether the process ends in time."""
    process.send_signal(number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS)
    return process.returncode is not None


@pytest.mark.parametrize("command", COMMANDS)
@settings(QUICK, max_examples=examples(1))
@given(after=st.floats(0.0, 1.0))
def test_output_that_nobody_reads(command: str, folder: Path, after: float) -> None:
    """A full pipe or a terminal that stands still does not keep a command from its end."""
    with going(command, folder, is_read=False) as process:
        until(lambda: hears(process))
        time.sleep(after)
        assert ends(process, signal.SIGINT)


@pytest.mark.parametrize("command", COMMANDS)
@settings(QUICK, max_examples=examples(2))
@given(after=st.floats(0.0, 2.0))
def test_any_moment(command: str, folder: Path, after: float) -> None:
    """From its first moment on Ctrl-C ends a command."""
    with going(command, folder, is_read=True) as process:
        time.sleep(after)
        assert ends(process, signal.SIGINT)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_was_started_in_the_background(command: str, folder: Path) -> None:
    """A shell has what it starts in the background ignore SIGINT; a view of ours ends by it."""
    with going(command, folder, is_read=True, ignore=True) as process:
        # A view has its threads once it waits for the signal; a run has asked for it.
        is_ready = hears if command in ("status", "nobody") else handles
        until(lambda: is_ready(process))
        assert ends(process, signal.SIGINT)
        assert process.returncode == 0
