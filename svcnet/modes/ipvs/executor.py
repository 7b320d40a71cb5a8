"""Virtual servers, sets, addresses and rules on a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from svcnet.executors import iptables, ipvs
from svcnet.executors.commits import Commits
from svcnet.executors.iptables.commands import find_commands
from svcnet.executors.ipvs.rules import ownership
from svcnet.modes.executor import Executor, Part
from svcnet.modes.ipvs.adapter import IPVSAdapter
from svcnet.modes.ipvs.options import DRAIN
from svcnet.modes.options import VARIANT
from svcnet.modes.ownership import owned_by_others
from svcnet.renderers.ipvs import IPVSTables

if TYPE_CHECKING:
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily
    from svcnet.modes.mode import Mode
    from svcnet.modes.settings import ModeSettings
    from svcnet.renderers.ipvs import IPVSDelta


class IPVSExecutor(Executor[IPVSTables]):
    """Does what differs; its adapters share what tells who wrote rules of iptables."""

    def __init__(
        self,
        mode: Mode[IPVSTables, IPVSDelta],
        machine: Machine | None = None,
        settings: ModeSettings | None = None,
    ) -> None:
        super().__init__(mode, machine, settings)
        self._variant: iptables.Variant | None = self.settings.given[VARIANT.name]
        self._drain = int(self.settings.given[DRAIN.name])
        self._commits = Commits(self.machine, iptables.concerns)

    def has_tools(self, family: IPFamily) -> bool:
        """Return whether a variant of iptables is installed for a family."""
        return bool(find_commands(family, machine=self.machine))

    def probe(self, artifact: IPVSTables) -> tuple[str, ...]:
        """Return the modules that the kernel lacks."""
        return ipvs.missing(artifact, self.observe(artifact.family).commands)

    def observe(self, family: IPFamily) -> iptables.Choice:
        """Return the variant that holds this mode's rules, or other rules, and these."""
        return iptables.choose_variant(family, self._variant, machine=self.machine)

    def plan(self, artifact: IPVSTables) -> ipvs.IPVSReport:
        """Return what would be done."""
        return self._apply(artifact, dry_run=True)

    def apply(self, artifact: IPVSTables) -> ipvs.IPVSReport:
        """Do what differs; see :func:`svcnet.executors.ipvs.apply`."""
        return self._apply(artifact)

    def _apply(self, artifact: IPVSTables, *, dry_run: bool = False) -> ipvs.IPVSReport:
        return ipvs.apply(
            artifact,
            variant=self._variant,
            drain=self._drain,
            dry_run=dry_run,
            other_modes=partial(self._other_modes, artifact.family),
            machine=self.machine,
        )

    def adapter(self, family: IPFamily) -> IPVSAdapter:
        """Return what keeps a family."""
        return IPVSAdapter(
            family, self._variant, self._commits, self._drain, partial(self._other_modes, family)
        )

    def _other_modes(self, family: IPFamily) -> list[iptables.Ownership]:
        return owned_by_others(self.mode.name, family, self.machine)

    def cleanup(self, family: IPFamily) -> Iterator[Part]:
        """Yield the removal of all: the sets tell which rules are to go, of either variant."""
        yield partial(ipvs.cleanup, family, machine=self.machine)

    def remains(self, family: IPFamily) -> Iterator[Part]:
        """Yield what says what of it is there."""
        yield partial(ipvs.remains, family, machine=self.machine)

    def ownership(self, family: IPFamily) -> iptables.Ownership:
        """Return how the chains are known that this mode makes."""
        return ownership(family)

    def is_there(self, family: IPFamily) -> bool:
        """Return whether its sets, or its virtual servers, are there."""
        return ipvs.is_there(family, machine=self.machine)

    def sweep(self, family: IPFamily) -> Iterable[str]:
        """Remove virtual servers, addresses and sets."""
        return ipvs.cleanup(family, with_rules=False, machine=self.machine)
