"""Runs a command as svcnet should run: with CAP_NET_ADMIN and CAP_NET_RAW, and nothing else.

It makes a mount namespace with a /run of its own, where /run/xtables.lock belongs to root and the
user's group, and /run/svcnet to the user. Python and the test's own folder may be in folders for
root alone; in that namespace anybody may pass through them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
CLONE_NEWNS = 0x20000
NOBODY = 65534
CAPABILITIES = ("net_admin", "net_raw")


def limited(
    user: int, folder: Path, *, lock: int = 0o600, capabilities: tuple[str, ...] = CAPABILITIES
) -> tuple[str, ...]:
    """Return what to put before a command: it then has these capabilities only.

    `folder` is one that it needs, and `lock` the mode of the file that iptables locks.
    """
    module = "tests.kernel.security.least"
    names = ",".join(capabilities)
    return (sys.executable, "-m", module, str(user), str(folder), f"{lock:o}", names)


def main(user: str, folder: str, lock: str, capabilities: str, *command: str) -> None:
    """Become that process."""
    needed = (Path(sys.base_prefix).resolve(), Path(sys.prefix), ROOT, Path(folder))
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.environ.pop("XTABLES_LOCKFILE", None)
    file = Path("/run/xtables.lock")
    file.touch()
    os.chown(file, 0, int(user))
    file.chmod(int(lock, 8))
    folder_of_its_own = Path("/run/svcnet")
    folder_of_its_own.mkdir(mode=0o700)
    os.chown(folder_of_its_own, int(user), int(user))
    if user != "0":
        for each in needed:
            open_way(each)
    only = ",".join(["-all", *(f"+{name}" for name in capabilities.split(","))])
    sets = (f"--{each}={only}" for each in ("bounding-set", "inh-caps", "ambient-caps"))
    who = ("--reuid", user, "--regid", user, "--clear-groups")
    os.execvp("setpriv", ["setpriv", *who, *sets, "--no-new-privs", *command])


def open_way(wanted: Path) -> None:
    """Let anybody pass through the folders above one, each of which may have other modes."""
    for parent in reversed(wanted.parents):
        if parent.stat().st_mode & 0o001:
            continue
        # The folder is put aside, and one like it that anybody may pass takes its place.
        aside = Path("/run/aside", str(parent).strip("/").replace("/", "-"))
        aside.mkdir(parents=True)
        mount("--rbind", parent, aside)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", parent)
        for each in aside.iterdir():
            if each.is_dir() and not each.is_symlink():
                (parent / each.name).mkdir()
                mount("--rbind", each, parent / each.name)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
