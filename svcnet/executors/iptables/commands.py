"""Running iptables-save and iptables-restore."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Literal

from attrs import frozen

from svcnet.errors import ApplyError, SvcnetError
from svcnet.executors.commands import find, hint

Variant = Literal["nft", "legacy"]
VARIANTS: tuple[Variant, ...] = ("nft", "legacy")

# How long to wait for the lock that iptables commands share, and how often to try:
# what kube-proxy uses.
_LOCK = ("-w", "5", "-W", "100000")
_LOCK_HELD = 4
LOCK = "/run/xtables.lock"
TABLES = ("filter", "nat")
"""The tables that anything of ours is in."""

_LEGACY_TABLES = {"IPv4": "ip_tables_names", "IPv6": "ip6_tables_names"}
_LINE = re.compile(r"line:? (\d+)")


class RestoreError(SvcnetError):
    """iptables-restore refused a text; ``line`` is the text's line, 0 if it did not say."""

    exit_code = 3

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@frozen
class Commands:
    """The save and restore commands of one IP family and one variant of iptables.

    ``nft`` is the variant that keeps its rules in nf_tables, ``legacy`` the older one.
    """

    family: str
    variant: Variant

    @property
    def name(self) -> str:
        """The commands' common name, such as ``iptables-nft``."""
        return f"{'ip6tables' if self.family == 'IPv6' else 'iptables'}-{self.variant}"

    def exist(self) -> bool:
        """Return whether both commands are installed."""
        return all(map(find, (f"{self.name}-save", f"{self.name}-restore")))

    def can_list(self) -> bool:
        """Return whether this process may know which tables there are.

        Those of the legacy variant are in a file for root's eyes only; without any there is no
        such file, and nothing to hide.
        """
        names = Path("/proc/thread-self/net", _LEGACY_TABLES[self.family])
        return self.variant == "nft" or not names.exists() or os.access(names, os.R_OK)

    def save(self) -> str:
        """Return what iptables-save prints: all tables, or ours where nobody may list them.

        To save a table of the legacy variant by its name makes it. Raises ApplyError.
        """
        if self.can_list():
            return self._run("save", ())
        return "".join(self._run("save", ("-t", table)) for table in TABLES)

    def restore(self, text: str) -> None:
        """Load restore text without flushing anything else.

        Raises RestoreError when a line is refused; each table up to there has been
        committed, and nothing after it. Raises ApplyError when the lock stays held.
        """
        self._run("restore", ("--noflush", *_LOCK), text)

    def _run(self, verb: str, options: tuple[str, ...], text: str = "") -> str:
        command = f"{self.name}-{verb}"
        path = find(command)
        if path is None:
            raise ApplyError(f"{command} is not installed; Debian's package iptables has it")
        done = subprocess.run(
            [path, *options], input=text, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout
        message = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        if LOCK in message and "ermission denied" in message:
            raise ApplyError(f"{command}: {message}: a user who is not root needs leave to read it")
        if needed := hint(message):
            raise ApplyError(f"{command}: {message}{needed}")
        if done.returncode == _LOCK_HELD and "lock" in message:
            raise ApplyError(f"{command}: another program has held {LOCK} for 5 s")
        found = _LINE.search(message)
        raise RestoreError(int(found[1]) if found else 0, f"{command}: {message}")


def installed(family: str, variant: Variant | None = None) -> tuple[Commands, ...]:
    """Return the commands for `family` that this machine has, of one variant or of each."""
    wanted = VARIANTS if variant is None else (variant,)
    found = (Commands(family, each) for each in wanted)
    return tuple(commands for commands in found if commands.exist())
