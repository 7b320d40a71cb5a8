"""The proxy of this process, and its rules of iptables on a machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from svcnet.executors import iptables
from svcnet.executors.iptables.commands import find_commands
from svcnet.executors.userspace import remove
from svcnet.executors.userspace.rules import OWNED, remains, shows_variant
from svcnet.modes.executor import Executor, Part
from svcnet.modes.options import VARIANT
from svcnet.modes.ownership import owned_by_others
from svcnet.renderers.userspace import ProxyTable

if TYPE_CHECKING:
    from svcnet.models import IPFamily
    from svcnet.modes.userspace.proxy import UserspaceProxy


class UserspaceExecutor(Executor[ProxyTable]):
    """Starts the proxy, and knows the rules that lead to one."""

    def has_tools(self, family: IPFamily) -> bool:
        """Return whether a variant of iptables is installed for a family."""
        return bool(find_commands(family, machine=self.machine))

    def observe(self, family: IPFamily) -> iptables.Choice:
        """Return the variant that holds this mode's rules, or other rules, and these."""
        shows = shows_variant(owned_by_others(self.mode.name, family, self.machine))
        return iptables.choose_variant(family, self._variant, shows, machine=self.machine)

    def proxy(self, families: Collection[IPFamily], stack: ExitStack) -> UserspaceProxy:
        """Return the proxy, whose worker processes have begun."""
        # Other modes ask for what this one has left, and have no use for the proxy.
        from svcnet.modes.userspace.proxy import UserspaceProxy

        owned = partial(owned_by_others, self.mode.name, machine=self.machine)
        return UserspaceProxy(self.settings, families, stack, self.machine, owned)

    def cleanup(self, family: IPFamily) -> Iterator[Part]:
        """Yield the removal from each variant of iptables."""
        for commands in find_commands(family, self._variant, machine=self.machine):
            yield partial(remove, family, commands.variant, machine=self.machine)

    def remains(self, family: IPFamily) -> Iterator[Part]:
        """Yield what says what is in each variant of iptables."""
        for commands in find_commands(family, self._variant, machine=self.machine):
            yield partial(remains, family, commands.variant, machine=self.machine)

    def ownership(self, family: IPFamily) -> iptables.Ownership:
        """Return how the chains are known that this mode makes."""
        return OWNED

    @property
    def _variant(self) -> iptables.Variant | None:
        variant: iptables.Variant | None = self.settings.given[VARIANT.name]
        return variant
