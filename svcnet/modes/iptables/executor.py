"""Rules of iptables on a machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from svcnet.executors import iptables
from svcnet.executors.commits import Commits
from svcnet.executors.iptables.cleanup import ownership
from svcnet.executors.iptables.commands import find_commands
from svcnet.modes.executor import Executor, Part
from svcnet.modes.iptables.adapter import IptablesAdapter
from svcnet.modes.iptables.options import layout
from svcnet.modes.options import VARIANT
from svcnet.renderers.iptables import RestoreText

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily
    from svcnet.modes.mode import Mode
    from svcnet.modes.settings import ModeSettings
    from svcnet.renderers.iptables import Delta


class IptablesExecutor(Executor[RestoreText]):
    """Writes rules by the restore commands; its adapters share what tells who wrote."""

    def __init__(
        self,
        mode: Mode[RestoreText, Delta],
        machine: Machine | None = None,
        settings: ModeSettings | None = None,
    ) -> None:
        super().__init__(mode, machine, settings)
        self._variant: iptables.Variant | None = self.settings.given[VARIANT.name]
        self._commits = Commits(self.machine, iptables.concerns)

    def has_tools(self, family: IPFamily) -> bool:
        """Return whether a variant of iptables is installed for a family."""
        return bool(find_commands(family, machine=self.machine))

    def observe(self, family: IPFamily) -> iptables.Choice:
        """Return the variant that holds this mode's rules, or other rules, and these."""
        return iptables.choose_variant(family, self._variant, machine=self.machine)

    def plan(self, artifact: RestoreText) -> iptables.RestoreReport:
        """Return what would be written."""
        return iptables.apply(artifact, variant=self._variant, dry_run=True, machine=self.machine)

    def apply(self, artifact: RestoreText) -> iptables.RestoreReport:
        """Write what differs; see :func:`svcnet.executors.iptables.apply`."""
        return iptables.apply(artifact, variant=self._variant, machine=self.machine)

    def adapter(self, family: IPFamily) -> IptablesAdapter:
        """Return what keeps a family."""
        chosen = layout(self.settings.given)
        return IptablesAdapter(family, self._variant, self._commits, chosen)

    def cleanup(self, family: IPFamily) -> Iterator[Part]:
        """Yield the removal from each variant of iptables."""
        for commands in find_commands(family, self._variant, machine=self.machine):
            yield partial(iptables.cleanup, family, commands.variant, machine=self.machine)

    def remains(self, family: IPFamily) -> Iterator[Part]:
        """Yield what says what is in each variant of iptables."""
        for commands in find_commands(family, self._variant, machine=self.machine):
            yield partial(iptables.remains, family, commands.variant, machine=self.machine)

    def ownership(self, family: IPFamily) -> iptables.Ownership:
        """Return how the chains are known that this mode makes."""
        return ownership(family)

    def sweep(self, family: IPFamily) -> tuple[str, ...]:
        """Remove counters that the mode's rules counted in."""
        return iptables.remove_counters(machine=self.machine)
