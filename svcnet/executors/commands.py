"""Running the system's own tools."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.children import run_child

SYSTEM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Searched as well, because the PATH of ordinary users often lacks those of root's tools."""

CAPABILITIES = (("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13))
"""All that svcnet asks of the kernel (linux/capability.h), which can be taken from root too."""

_DENIED = ("ermission denied", "not permitted", "unable to initialize table")


def find(command: str) -> str | None:
    """Return the path of a command, from PATH or a system folder.

    Folders of PATH that are not absolute are passed over: a file of the working directory is
    no tool.
    """
    folders = filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))
    return shutil.which(command, path=os.pathsep.join([*folders, *SYSTEM_FOLDERS]))


def hint(message: str) -> str:
    """Return what to add to a complaint of a tool's or the kernel's: the capability it takes."""
    missing = lacking() if any(text in message for text in _DENIED) else ()
    return f": it takes {' and '.join(missing)}, which this process lacks" if missing else ""


def complaint(who: str, message: str) -> ApplyError:
    """Return the error for what a tool or the kernel says; one for lack of a right is known."""
    missing = hint(message)
    return ApplyError(f"{who}: {message}{missing}", checks.NOT_PERMITTED if missing else None)


def not_installed(command: str, package: str = "") -> ApplyError:
    """Return the error for a command that is not there, with Debian's package that has it."""
    where = f"; Debian's package {package} has it" if package else ""
    return ApplyError(f"{command} is not installed{where}", checks.NOT_INSTALLED)


def lacking() -> tuple[str, ...]:
    """Return which of the capabilities that svcnet needs this process does not have."""
    status = Path("/proc/thread-self/status").read_text()
    [held] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return tuple(name for name, bit in CAPABILITIES if not int(held, 16) >> bit & 1)


def run(package: str, command: str, *options: str, stdin: str = "") -> str:
    """Run a command and return what it prints; bytes that are no UTF-8 are surrogates, both ways.

    `package` is Debian's package that has it. Raises ApplyError when it is not installed,
    with its own words when it fails, or as :func:`svcnet.executors.children.run_child` does.
    """
    path = find(command)
    if path is None:
        raise not_installed(command, package)
    done = run_child(path, *options, stdin=stdin)
    if done.code == 0:
        return done.text
    raise complaint(command, str(done))
