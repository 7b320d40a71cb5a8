"""Running iptables-save and iptables-restore."""

from __future__ import annotations

import re
from typing import Literal

from attrs import field, frozen

from svcnet import checks
from svcnet.errors import MAX_PART, ApplyError, SvcnetError, one_line
from svcnet.executors.children import Output, Overdue
from svcnet.executors.commands import complaint, hint, not_installed
from svcnet.executors.iptables.kernel import can_list, untrue
from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables, parse_save
from svcnet.netfilter.restore import append, declare, refused_line, transaction

Variant = Literal["nft", "legacy"]
"""Which of the two programs called iptables: that of nf_tables or that of x_tables."""
VARIANTS: tuple[Variant, ...] = ("nft", "legacy")

# How long to wait for the lock that iptables commands share, and how often to try:
# what kube-proxy uses.
_LOCK = ("-w", "5", "-W", "100000")
_LOCK_HELD = 4
LOCK = "/run/xtables.lock"
TABLES = ("filter", "nat")
"""The tables that anything of ours is in."""

LOOKS = 3
"""How often tables are listed anew that are not what the kernel says: they may have changed."""

VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
VERSION_SECONDS = 10.0
"""How long ``iptables -V`` may take."""


class RestoreError(SvcnetError):
    """iptables-restore refused a text; ``line`` is the text's line, 0 if it did not say."""

    exit_code = 3

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@frozen
class Commands:
    """The save and restore commands of one IP family and one variant of iptables on a machine.

    ``nft`` is the variant that keeps its rules in nf_tables, ``legacy`` the older one.
    """

    family: IPFamily
    variant: Variant
    machine: Machine = field(eq=False, repr=False)

    @property
    def name(self) -> str:
        """The commands' common name, such as ``iptables-nft``."""
        return f"{'ip6tables' if self.family == 'IPv6' else 'iptables'}-{self.variant}"

    def exist(self) -> bool:
        """Return whether both commands are installed."""
        return all(map(self.machine.find, (f"{self.name}-save", f"{self.name}-restore")))

    def can_list(self) -> bool:
        """Return whether this process may know which tables there are."""
        return self.variant == "nft" or can_list(self.machine, self.family)

    def save(self) -> str:
        """Return what iptables-save prints: all tables, or ours where nobody may list them.

        To save a table of the legacy variant by its name makes it. Raises ApplyError.
        """
        if self.can_list():
            return self._save()
        return "".join(self._save("-t", table) for table in TABLES)

    def observe(self) -> SavedTables:
        """Return what is in the tables.

        Raises ApplyError as save and :func:`svcnet.netfilter.parse_save` do, and for what the
        kernel says is not so.
        """
        wrong, tool = "", f"{self.name}-save"
        for _ in range(LOOKS):
            observed = parse_save(self.save(), tool)
            wrong = untrue(self.machine, self.family, self.variant, observed)
            if not wrong:
                return observed
        raise ApplyError(f"{tool}: its listing {wrong}")

    def restore(self, text: str) -> None:
        """Load restore text without flushing anything else.

        Raises RestoreError when a line is refused, or the command does not do its work; each
        table up to there may have been committed, and nothing after it. Raises ApplyError when
        the lock stays held, or svcnet is to end.
        """
        command = f"{self.name}-restore"
        try:
            done = self._run(command, "--noflush", *_LOCK, stdin=text)
        except Overdue as error:
            raise RestoreError(0, str(error)) from None
        if done.code:
            raise RestoreError(refused_line(str(done)), f"{command}: {done}")
        if done.text:
            # It says nothing there: whatever this is, it has not loaded rules.
            told = one_line(done.text.strip(), MAX_PART)
            raise RestoreError(0, f"{command}: printed what it never prints: {told}")

    def take(self, table: str, rule: str, chain: str = "TRY") -> bool:
        """Return whether the kernel takes a rule in a chain, which is TRY or is there."""
        try:
            self.restore(transaction(table, declare(["TRY"]), append(chain, [rule])))
        except RestoreError:
            return False
        return True

    def _save(self, *options: str) -> str:
        command = f"{self.name}-save"
        done = self._run(command, *options)
        if done.code:
            raise ApplyError(f"{command}: {done}")
        return done.text

    def _run(self, command: str, *options: str, stdin: str = "") -> Output:
        """Run a command; raise ApplyError for what has nothing to do with any line."""
        path = self.machine.find(command)
        if path is None:
            raise not_installed(command, "iptables")
        done = self.machine.run(path, *options, stdin=stdin)
        message = str(done)
        if done.code and LOCK in message and "ermission denied" in message:
            needed = ": a user who is not root needs leave to read it"
            raise ApplyError(f"{command}: {message}{needed}", checks.NOT_PERMITTED)
        if done.code and hint(message, machine=self.machine):
            raise complaint(command, message, machine=self.machine)
        if done.code == _LOCK_HELD and "lock" in message:
            raise ApplyError(f"{command}: another program has held {LOCK} for 5 s")
        return done


def find_commands(
    family: IPFamily, variant: Variant | None = None, *, machine: Machine
) -> tuple[Commands, ...]:
    """Return the commands for `family` that a machine has, of one variant or of each."""
    wanted = VARIANTS if variant is None else (variant,)
    found = (Commands(family, each, machine) for each in wanted)
    return tuple(commands for commands in found if commands.exist())


def version(*, machine: Machine) -> str | None:
    """Return what plain ``iptables`` says of its version, None where it is not installed.

    It is ``iptables v1.8.9 (nf_tables)`` or the like. Raises ApplyError when it says anything
    else.
    """
    path = machine.find("iptables")
    if path is None:
        return None
    done = machine.run(path, "-V", seconds=VERSION_SECONDS)
    if done.code or not VERSION.search(done.text):
        told = one_line(done.text.strip(), MAX_PART) if done.code == 0 else str(done)
        raise ApplyError(f"iptables -V: no version: {told}")
    return done.text.strip()
