"""Whether the kernel has what a tool says that it has done."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from svcnet.errors import ApplyError
from svcnet.executors.commits import generation
from svcnet.executors.iptables.commands import Commands
from svcnet.executors.iptables.entries import digest
from svcnet.netfilter.restore import commits, table_of


class Proof:
    """A look at the kernel before `texts` are loaded, and one after that. Neither is a listing."""

    def __init__(self, commands: Commands, texts: Iterable[str]) -> None:
        self._commands = commands
        parts = (part for text in texts for part in text.split("COMMIT\n")[:-1])
        self._tables = sorted(set(map(table_of, parts)))
        self._commits = self._generation()
        self._digests = self._digest()

    def check(self, done: Collection[str]) -> None:
        """Raise ApplyError if the kernel surely lacks what a tool says is `done`.

        Of the legacy variant that shows where it lacks all of it.
        """
        wanted = sum(map(commits, done))
        commit_number, digests = self._generation(), self._digest()
        lacks_commits = commit_number - self._commits < wanted if commit_number else False
        if lacks_commits or (wanted and digests and digests == self._digests):
            name = f"{self._commands.name}-restore"
            raise ApplyError(f"{name}: the kernel has not got what it says is done")

    def _generation(self) -> int:
        """Return the generation of nf_tables, 0 where that says nothing."""
        try:
            return generation(self._commands.machine) if self._commands.variant == "nft" else 0
        except OSError:
            return 0

    def _digest(self) -> tuple[bytes, ...]:
        """Return digests of the legacy variant's tables, none where they say nothing."""
        machine, family = self._commands.machine, self._commands.family
        if self._commands.variant != "legacy":
            return ()
        try:
            return tuple(digest(machine, family, table) for table in self._tables)
        except OSError:
            return ()
