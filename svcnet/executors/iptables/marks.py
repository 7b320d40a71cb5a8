"""Whether the tables may have changed, told without iptables-save."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from svcnet.executors.iptables.commands import Variant
from svcnet.executors.iptables.commits import Commits
from svcnet.executors.iptables.entries import digest
from svcnet.family import IPFamily

TABLES = ("filter", "nat")


class Marks:
    """Marks of the rules of one family and variant: equal marks mean that nobody else wrote."""

    def __init__(self, family: IPFamily, variant: Variant, commits: Commits) -> None:
        self._family = family
        self._variant = variant
        self._commits = commits

    @property
    def outlive_writes(self) -> bool:
        """Whether a mark holds beyond what svcnet itself writes."""
        return self._variant == "nft"

    def now(self) -> Hashable | None:
        """Return the mark of the tables as they are, None if it cannot be told."""
        try:
            if self._variant == "nft":
                return self._commits.of_others()
            machine = self._commits.machine
            return tuple(digest(machine, self._family, table) for table in TABLES)
        except OSError:
            return None

    def wrote(self, texts: Iterable[str]) -> None:
        """Take note of restore texts that svcnet has written."""
        if self._variant == "nft":
            self._commits.wrote(texts)
