"""Which rules are right: their handles, as long as only svcnet writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define

from svcnet.executors.machine import Machine
from svcnet.executors.nftables.drift import differences
from svcnet.executors.nftables.dump import Handles, all_handles, dump, handles
from svcnet.netfilter.nft import NFTPlace, NFTTable
from svcnet.renderers.nftables import Ruleset

FEW = 200
"""So many chains are asked for one by one, in some ten milliseconds."""


@define
class KnownHandles:
    """The handles of rules that are right, by chain; those of chains ``written`` since are unknown.

    ``all`` is None until all were learned, and never changed in place. With ``is_strange`` what
    this kernel tells of a table that is right is not understood, and only nft can list it.
    """

    table: NFTTable
    machine: Machine
    all: Handles | None = None
    written: frozenset[str] = frozenset()
    is_strange: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all are known."""
        return self.all is not None and not self.written

    def wrote(self, places: Iterable[NFTPlace]) -> None:
        """Take note that rules of some chains are other ones now."""
        self.written = self.written.union(p.name for p in places if p.kind == "chain")

    def forget(self) -> None:
        """Know none."""
        self.all, self.written, self.is_strange = None, frozenset(), False

    def learn_written(self) -> Handles | None:
        """Return all with those that were written since, None if there are too many."""
        if self.all is None or not 0 < len(self.written) <= FEW:
            return None
        found = handles(self.table, self.written, machine=self.machine)
        kept = {name: own for name, own in self.all.items() if name not in self.written}
        return {**kept, **found}

    def learn(
        self,
        ruleset: Ruleset,
        settled: Callable[[], frozenset[NFTPlace]],
        *,
        by_netlink: bool = False,
    ) -> Handles | None:
        """Return all of a table that is right; None if not all of it is understood.

        What is `settled`, once it is read, may be as it was before or after. `by_netlink` is as
        :func:`dump` has it.
        """
        found = all_handles(ruleset, machine=self.machine)
        seen = dump(ruleset, found, machine=self.machine, by_netlink=by_netlink)
        right = seen.right | settled()
        if seen.state is None or differences(seen.state, ruleset, right, seen.endpoints):
            return None
        return found

    def take_handles(self, found: Handles | None, since: Iterable[NFTPlace] = ()) -> None:
        """Know handles, but for those of chains written since; None if they cannot be known."""
        self.all, self.written, self.is_strange = found, frozenset(), found is None
        self.wrote(since)
