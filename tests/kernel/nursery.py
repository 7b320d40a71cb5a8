"""Runs of svcnet that begin in moments: forked from a process that has its modules already.

A hundred starts of Python would be most of a test's time, and in the guest far too much of it.
What is forked is `svcnet` with arguments, as the command would run it.

Run as a program it is that process: one JSON command a line in, one answer a line out.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

PACKAGES = (
    "svcnet.agent",
    "svcnet.cli",
    "svcnet.compiler",
    "svcnet.executors",
    "svcnet.reconciler",
    "svcnet.renderers",
    "svcnet.sources",
)


PATIENCE_SECONDS = 60
TOOL_SECONDS = 10.0
"""How long a tool may take in a run. In the guest a large table takes some seconds."""


class Nursery:
    """The process that forks; its network namespace is that of the thread that makes it.

    `path` is the PATH of runs, and `tool_seconds` how long a tool may take in them.
    """

    def __init__(self, path: str | None = None, tool_seconds: float = TOOL_SECONDS) -> None:
        self._tool_seconds = tool_seconds
        command = [sys.executable, "-m", "tests.kernel.nursery"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if path is None else {**os.environ, "PATH": path},
        )

    @property
    def pid(self) -> int:
        """The number of that process."""
        return self._process.pid

    def start(self, log: Path, *arguments: object) -> Run:
        """Start svcnet with `arguments`; what it tells is added to the file `log`."""
        given = list(map(str, arguments))
        seconds = self._tool_seconds
        pid = self._ask(do="start", log=str(log), arguments=given, tool_seconds=seconds)
        return Run(self, pid, log)

    def wait(self, pid: int) -> int:
        """Return the exit code of a run, once it has ended; a signal's is negative."""
        return self._ask(do="wait", pid=pid)

    def _ask(self, **command: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@frozen
class Run:
    """A run of svcnet."""

    nursery: Nursery
    pid: int
    log: Path

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power failure would."""
        self.send(signal.SIGKILL)
        assert self.nursery.wait(self.pid) == -signal.SIGKILL, self.log.read_text()

    def has_told(self) -> bool:
        """Whether it has told anything: then it hears signals."""
        return self.log.exists() and "\n" in self.log.read_text()

    def is_over(self) -> bool:
        """Whether it has ended, and waits to be asked how."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "Z"

    def code(self) -> int:
        """Wait for its end, and return the exit code."""
        return self.nursery.wait(self.pid)

    def wait_for_words(self, text: str = "\n") -> None:
        """Wait until it has told something; from then on it hears signals."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.log.exists() and text in self.log.read_text()):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def end(self) -> None:
        """Tell it to end, which it does with exit code 0."""
        self.send(signal.SIGTERM)
        self.ended()

    def ended(self) -> None:
        """Wait for its end, which must have exit code 0."""
        assert self.nursery.wait(self.pid) == 0, self.log.read_text()


@contextmanager
def nursery(path: str | None = None, tool_seconds: float = TOOL_SECONDS) -> Iterator[Nursery]:
    """Have one for a while; runs that are still there at the end are killed."""
    made = Nursery(path, tool_seconds)
    try:
        yield made
    finally:
        made.close()


def serve() -> None:
    """Answer commands until the input ends."""
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    # Forks then share the pages of what is there already.
    gc.collect()
    gc.freeze()
    running: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            del command["do"]
            answer = fork(**command)
            running.add(answer)
        else:
            running.discard(command["pid"])
            answer = os.waitstatus_to_exitcode(os.waitpid(command["pid"], 0)[1])
        print(answer, flush=True)
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def fork(log: str, arguments: list[str], tool_seconds: float) -> int:
    """Return the process id of a fork that is svcnet with `arguments`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        become(Path(log))
        code = run(arguments, tool_seconds)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def become(log: Path) -> None:
    """Have no input, nobody who reads the output, and `log` for what is told."""
    nothing = os.open(os.devnull, os.O_RDWR)
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, file in enumerate((nothing, nothing, told)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(told)


def run(arguments: list[str], tool_seconds: float) -> int:
    """Run svcnet, less patient with tools, and with a server than where many nodes watch one."""
    from svcnet.cli import main
    from svcnet.executors import children
    from svcnet.sources import kubernetes

    children.SECONDS = tool_seconds

    impatient = kubernetes.Patience(
        first=0.05, longest=0.2, trust=1.0, connect=3.0, answer=4.0, whole=8.0, watch=8.0, grace=2.0
    )
    kubernetes.watch = partial(kubernetes.watch, patience=impatient)
    try:
        main(arguments)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    return 0


if __name__ == "__main__":
    serve()
