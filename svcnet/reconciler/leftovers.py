"""What other modes, and the other variant of iptables, left on a machine."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.executors.iptables import Choice, Variant
from svcnet.executors.iptables.cleanup import FIREWALL_RULES, remove_chains, without
from svcnet.executors.iptables.commands import installed
from svcnet.executors.iptables.loopback import is_guarded
from svcnet.executors.lock import lock
from svcnet.modes import AnyMode, available, resolve
from svcnet.renderers.iptables.names import FIREWALL


class Leftovers:
    """Removes once what other modes than `mode` left of a family; ``variant`` is that of `mode`."""

    def __init__(self, mode: AnyMode, family: str, variant: Variant | None = None) -> None:
        self._mode = mode
        self._family = family
        self._variant = variant
        self._due = True

    def remove(self, found: object = None) -> tuple[str, ...]:
        """Return a line for each kind of thing removed; to be called when the mode serves.

        `found` is as in :func:`remove_leftovers`. Raises ApplyError, and then the next call
        does it.
        """
        if not self._due:
            return ()
        lines = remove_leftovers(self._mode, self._family, self._variant, found)
        self._due = False
        return lines


def remove_leftovers(
    mode: str | AnyMode, family: str, variant: Variant | None = None, found: object = None
) -> tuple[str, ...]:
    """Remove what other modes than `mode`, which serves already, left in this network namespace.

    Each mode says what is its own: chains and jumps in both variants of iptables, and what it
    removes by itself. Of `mode` that is what is in the other variant than it uses: `variant`, or
    with None the one that it chose. A chain whose name several modes know is by now that of `mode`,
    and stays. Sysctls stay. So KUBE-FIREWALL does, unless there are two of it: it keeps neighbours
    off the host's loopback, to which packets may be routed now.

    `found` is what `mode` chose and found there before it wrote its own rules
    (:attr:`svcnet.modes.Done.found`), which saves a listing of these. With None the tables are
    listed now.

    Returns a line for each kind of thing removed. Raises ApplyError when the machine refuses.
    """
    with lock(family):
        return tuple(_removals(resolve(mode), family, variant, found))


def _removals(mode: AnyMode, family: str, variant: Variant | None, found: object) -> Iterator[str]:
    others = [each for name, each in available().items() if name != mode.name]
    own = mode.owned(family)
    known = [each.owned(family) for each in others if each.is_there(family)]
    owned = [each for each in (own, *known) if each is not None]
    chosen = found if isinstance(found, Choice) else mode.variant_in_use(family, variant)
    for commands in installed(family):
        if chosen is not None and own is not None and commands == chosen.commands:
            kept, observed = [own, FIREWALL_RULES], chosen.observed.without(own.chain)
        else:
            observed = commands.observe()
            is_twice = (
                chosen is not None
                and FIREWALL in observed.chains("filter")
                and is_guarded(chosen.commands.observe())
            )
            kept = [] if is_twice else [FIREWALL_RULES]
        for line in remove_chains(commands, without(owned, kept), observed):
            yield f"{commands.name}: {line}"
    for each in others:
        yield from each.sweep(family)
