"""A kernel that has IPVS, as a process: Debian's user-mode Linux.

It boots from the host's own files in a few seconds and runs one command as root. See
``init`` beside this file for what the guest does, and ``shim.c`` for why that is there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from attrs import define, field

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
MEMORY = 1024
"""Megabytes; the host gives what the guest really uses."""
PATIENCE = float(os.environ.get("SVCNET_PATIENCE", "300"))
"""Seconds without a sign of life after which a guest is taken for dead."""
INSIDE = "SVCNET_GUEST"
"""The environment variable that a guest's command has: the folder it shares with the host."""


@define
class Guest:
    """One boot of the kernel, which ends with its command.

    What the command prints is in the file ``log`` of ``folder``, and its exit code in
    ``status``.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    _reports: TextIO | None = None
    _line: str = ""
    _heard: float = field(factory=time.monotonic)

    @classmethod
    def start(cls, command: Sequence[object], environment: Mapping[str, str]) -> Guest:
        """Boot, and run `command` in the project's folder with `environment`."""
        folder = Path(tempfile.mkdtemp(prefix="svcnet-guest-"))
        (folder / "tmp").mkdir()
        (folder / "reports").touch()
        own = {INSIDE: str(folder), "TMPDIR": str(folder / "tmp"), "HOME": "/root"}
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n"
            for name, value in {**environment, **own}.items()
        )
        line = shlex.join(map(str, command))
        (folder / "command").write_text(f"{exports}cd {shlex.quote(str(ROOT))}\nexec {line}\n")
        process = subprocess.Popen(
            [
                # It ends with this process, whatever ends that.
                *("setpriv", "--pdeathsig", "KILL", "linux.uml"),
                f"mem={MEMORY}M",
                *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"),
                f"init={HERE / 'init'}",
                *("con=null", "con0=null", "con1=fd:0,fd:1", "quiet"),
                f"FOLDER={folder}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LD_PRELOAD": str(_shim(folder)), "TMPDIR": _roomy(folder)},
            start_new_session=True,
        )
        return cls(folder, process)

    def news(self) -> list[dict[str, Any]]:
        """Return what the command has written to the file ``reports`` since this was asked last.

        That is a JSON value a line.
        """
        if self._reports is None:
            self._reports = (self.folder / "reports").open()
        found = []
        while line := self._reports.readline():
            self._line += line
            if self._line.endswith("\n"):
                found.append(json.loads(self._line))
                self._line, self._heard = "", time.monotonic()
        return found

    def is_over(self) -> bool:
        """Return whether the guest has ended, or told nothing for `PATIENCE` seconds."""
        return self.process.poll() is not None or time.monotonic() - self._heard > PATIENCE

    def wait(self) -> int:
        """Wait for the end, and return the exit code of the command; 125 if it never ran."""
        self.process.wait()
        status = self.folder / "status"
        return int(status.read_text()) if status.exists() else 125

    def log(self) -> str:
        """Return what the command printed so far."""
        log = self.folder / "log"
        return log.read_text(errors="replace") if log.exists() else "the guest did not boot\n"

    def end(self) -> None:
        """End the guest, if it still runs, and remove its folder."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self._reports is not None:
            self._reports.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(*command: object, allowed: Collection[int] = (0,)) -> str:
    """Run a command in a guest of its own and return what it prints.

    Raises RuntimeError where its exit code is another than those that are allowed.
    """
    guest = Guest.start(command, {})
    try:
        status = guest.wait()
        if status not in allowed:
            raise RuntimeError(f"exit code {status} in the guest:\n{guest.log()}")
        return guest.log()
    finally:
        guest.end()


def _shim(folder: Path) -> Path:
    library = folder / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, HERE / "shim.c"], check=True)
    return library


def _roomy(folder: Path) -> str:
    """Return where the guest's memory, which is a file, has room: in the host's if possible."""
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() else 0
    return str(shared if free > 2 * MEMORY << 20 else folder)


if __name__ == "__main__":
    sys.stdout.write(run(*sys.argv[1:]))
