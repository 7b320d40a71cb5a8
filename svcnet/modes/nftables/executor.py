"""The table of mode nftables on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from svcnet.executors import nftables
from svcnet.executors.commits import Commits
from svcnet.executors.notices import RulesetPart
from svcnet.modes.executor import Executor, Part
from svcnet.modes.nftables.adapter import NFTablesAdapter
from svcnet.modes.nftables.options import layout, table_name
from svcnet.renderers.nftables import Ruleset

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily
    from svcnet.modes.mode import Mode
    from svcnet.modes.settings import ModeSettings
    from svcnet.netfilter.nft import NFTTable
    from svcnet.renderers.nftables import NFTablesDelta


class NFTablesExecutor(Executor[Ruleset]):
    """Has nft load what differs; its adapters share what tells who wrote."""

    def __init__(
        self,
        mode: Mode[Ruleset, NFTablesDelta],
        machine: Machine | None = None,
        settings: ModeSettings | None = None,
    ) -> None:
        super().__init__(mode, machine, settings)
        self._table = table_name(self.settings.given)
        self._commits = Commits(self.machine, self._concerns)

    def probe(self, artifact: Ruleset) -> tuple[str, ...]:
        """Return what the machine lacks: nft, a newer kernel, or what that was built without."""
        return nftables.lacking(artifact, machine=self.machine)

    def plan(self, artifact: Ruleset) -> nftables.NFTablesReport:
        """Return what would be loaded."""
        return nftables.apply(artifact, dry_run=True, machine=self.machine)

    def apply(self, artifact: Ruleset) -> nftables.NFTablesReport:
        """Load what differs; see :func:`svcnet.executors.nftables.apply`."""
        return nftables.apply(artifact, machine=self.machine)

    def adapter(self, family: IPFamily) -> NFTablesAdapter:
        """Return what keeps a family."""
        return NFTablesAdapter(family, self._table, self._commits, layout(self.settings.given))

    def cleanup(self, family: IPFamily) -> Iterator[Part]:
        """Yield the removal of the table."""
        yield partial(nftables.cleanup, self._of(family), machine=self.machine)

    def remains(self, family: IPFamily) -> Iterator[Part]:
        """Yield what says whether the table is there."""
        yield partial(nftables.remains, self._of(family), machine=self.machine)

    def is_there(self, family: IPFamily) -> bool:
        """Return whether the table is there."""
        return nftables.is_there(self._of(family), machine=self.machine)

    def sweep(self, family: IPFamily) -> tuple[str, ...]:
        """Remove the table."""
        return nftables.cleanup(self._of(family), machine=self.machine)

    def _concerns(self, place: RulesetPart) -> bool:
        return place.family in ("ip", "ip6") and place.table == self._table

    def _of(self, family: IPFamily) -> NFTTable:
        return nftables.table_of(family, self._table)
