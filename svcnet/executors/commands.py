"""Running the system's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess

from svcnet.errors import ApplyError


def find(command: str) -> str | None:
    """Return the path of a command; system folders are searched whatever PATH says."""
    return shutil.which(command) or shutil.which(command, path="/usr/sbin:/sbin")


def run(package: str, command: str, *options: str, stdin: str = "") -> str:
    """Run a command and return what it prints.

    `package` is Debian's package that has it. Raises ApplyError when it is not installed,
    or with its own words when it fails.
    """
    path = find(command)
    if path is None:
        raise ApplyError(f"{command} is not installed; Debian's package {package} has it")
    done = subprocess.run(
        [path, *options], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return done.stdout
    message = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    hint = ": it takes root, or CAP_NET_ADMIN" if os.geteuid() != 0 else ""
    raise ApplyError(f"{command}: {message}{hint}")
