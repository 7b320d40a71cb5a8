"""What other modes, and the other variant of iptables, left on a machine."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet.executors import ipvs
from svcnet.executors.iptables import (
    Choice,
    Variant,
    choose_variant,
)
from svcnet.executors.iptables.cleanup import FIREWALL_RULES, remove_chains, without
from svcnet.executors.iptables.cleanup import owned as iptables_rules
from svcnet.executors.iptables.commands import installed
from svcnet.executors.iptables.loopback import is_guarded
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.ipvs.rules import owned as ipvs_rules
from svcnet.executors.lock import lock
from svcnet.executors.userspace.rules import OWNED as USERSPACE_RULES
from svcnet.executors.userspace.rules import shows_variant
from svcnet.reconciler.target import Target
from svcnet.renderers.iptables.names import FIREWALL


class Leftovers:
    """Removes once, in the network namespace where `target` serves, what other modes left there.

    `variant` is as in :func:`remove_leftovers`.
    """

    def __init__(self, target: Target, variant: Variant | None = None) -> None:
        self._target = target
        self._variant = variant
        self._due = True

    def remove(self, found: Choice | None = None) -> tuple[str, ...]:
        """Return a line for each kind of thing removed; to be called when the target serves.

        `found` is as in :func:`remove_leftovers`. Raises ApplyError, and then the next call
        does it.
        """
        if not self._due:
            return ()
        lines = remove_leftovers(self._target.mode, self._target.family, self._variant, found)
        self._due = False
        return lines


def remove_leftovers(
    mode: str, family: str, variant: Variant | None = None, found: Choice | None = None
) -> tuple[str, ...]:
    """Remove what other modes than `mode`, which serves already, left in this network namespace.

    That is chains and jumps in both variants of iptables, and IPVS mode's virtual servers, sets
    and addresses; of `mode` itself what is in the other variant than it uses: `variant`, or with
    None the one that it chose. A chain whose name several modes know is by now that of `mode`, and
    stays. Sysctls stay. So KUBE-FIREWALL does, unless there are two of it: it keeps neighbours off
    the host's loopback, to which packets may be routed now.

    `found` is what `mode` chose and found there before it wrote its own rules, which saves a
    listing of these. With None the tables are listed now.

    Returns a line for each kind of thing removed. Raises ApplyError when the machine refuses.
    """
    with lock(family):
        return tuple(_removals(mode, family, variant, found))


def _removals(
    mode: str, family: str, variant: Variant | None, found: Choice | None
) -> Iterator[str]:
    known = {"iptables": iptables_rules(family), "userspace": USERSPACE_RULES}
    if mode == "ipvs" or ipvs.is_there(family):
        known["ipvs"] = ipvs_rules(family)
    own = known[mode]
    shows = shows_variant if mode == "userspace" else is_ours
    chosen = choose_variant(family, variant, shows) if found is None else found
    for commands in installed(family):
        if commands == chosen.commands:
            kept, observed = [own, FIREWALL_RULES], chosen.observed.without(own.chain)
        else:
            observed = commands.observe()
            is_twice = FIREWALL in observed.chains("filter") and is_guarded(
                chosen.commands.observe()
            )
            kept = [] if is_twice else [FIREWALL_RULES]
        left = without(known.values(), kept)
        for line in remove_chains(commands, left, observed):
            yield f"{commands.name}: {line}"
    if mode != "ipvs":
        yield from ipvs.cleanup(family, with_rules=False)
