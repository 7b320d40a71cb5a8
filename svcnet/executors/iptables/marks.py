"""Whether the tables may have changed, told without iptables-save."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from svcnet.executors.commits import Commits
from svcnet.executors.iptables.commands import Variant
from svcnet.executors.iptables.entries import digest
from svcnet.executors.notices import RulesetPart
from svcnet.family import IPFamily
from svcnet.netfilter import BUILT_IN
from svcnet.netfilter.restore import commits

TABLES = ("filter", "nat")


def concerns(place: RulesetPart) -> bool:
    """Return whether a place in nf_tables is where rules of ours, or jumps to them, may be."""
    chain = place.chain
    return (
        place.family in ("ip", "ip6")
        and place.table in TABLES
        and (not chain or chain.startswith("KUBE-") or chain in BUILT_IN[place.table])
    )


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

    def now(self, *, anywhere: bool = False) -> Hashable | None:
        """Return the mark of the tables as they are, None if it cannot be told.

        With `anywhere` of the nft variant whatever rules of others count: those that lead to
        chains of ours are told of to operators, and may be in any chain.
        """
        try:
            if self._variant == "nft":
                return anywhere, self._commits.of_others(anywhere=anywhere)
            machine = self._commits.machine
            return tuple(digest(machine, self._family, table) for table in TABLES)
        except OSError:
            return None

    def wrote(self, texts: Iterable[str]) -> None:
        """Take note of restore texts that svcnet has written.

        iptables-restore makes a commit of each table in which something changes. What may have
        changed nothing is not counted.
        """
        if self._variant == "nft":
            self._commits.count_own(sum(map(commits, texts)))
