"""A process of svcnet, and what it tells on standard error while it runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Self


class Told:
    """A run of svcnet with some arguments; ``lines`` are what it has told so far.

    `wrap` is what the command begins with, such as a program that takes rights away.

    It has ``seconds`` for everything that is waited for, and is killed when it takes longer.
    `stdout` is as for subprocess.
    """

    seconds = 60

    def __init__(
        self, *arguments: object, wrap: Sequence[str] = (), stdout: int | None = None
    ) -> None:
        command = [*wrap, sys.executable, "-m", "svcnet", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        # A test that fails may leave the process behind; that must not keep pytest from its end.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End it; after a failure, by force."""
        if kind is None:
            self.end()
        else:
            self.process.kill()
            self.ended()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line.rstrip())

    def wait(self, text: str, count: int = 1) -> None:
        """Wait until so many lines have a text in them; the process must go on meanwhile."""
        deadline = time.monotonic() + self.seconds
        try:
            while sum(text in line for line in self.lines) < count:
                assert time.monotonic() < deadline, self.lines
                assert self.process.poll() is None, self.lines
                time.sleep(0.01)
        except AssertionError:
            self.process.kill()
            raise

    def first(self, text: str) -> str:
        """Return the first line that has a text in it."""
        return next(line for line in self.lines if text in line)

    def ended(self) -> int:
        """Return the exit code, once the process ends by itself or by a signal."""
        code = self.process.wait(self.seconds)
        self._reader.join()
        return code

    def end(self) -> None:
        """Tell it to end, which it does with exit code 0."""
        self.process.send_signal(signal.SIGTERM)
        assert self.ended() == 0, self.lines
