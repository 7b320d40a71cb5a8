"""Removing chains of other modes, and of the other variant, once a mode serves."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from svcnet.executors.iptables.cleanup import FIREWALL_RULES, Ownership, remove_chains, without
from svcnet.executors.iptables.commands import find_commands
from svcnet.executors.iptables.loopback import is_guarded
from svcnet.executors.iptables.variants import Choice
from svcnet.executors.machine import Machine
from svcnet.family import IPFamily
from svcnet.renderers.iptables.names import FIREWALL


def remove_others(
    family: IPFamily,
    own: Ownership | None,
    others: Collection[Ownership],
    chosen: object,
    *,
    machine: Machine,
) -> Iterator[str]:
    """Remove chains and jumps of `others`, in both variants of iptables; yield a line for each.

    `own` are those of the mode that serves, which go in the variant that it does not use. In the
    other one, that of `chosen`, chains of a name that several know are by now its own, and stay. So
    KUBE-FIREWALL does, unless there are two of it: it keeps neighbours off the host's loopback, to
    which packets may be routed now. `chosen` is a :class:`.Choice` with what was there before the
    mode wrote, or anything else of a mode without chains. Raises ApplyError.
    """
    known = [*([] if own is None else [own]), *others]
    for commands in find_commands(family, machine=machine):
        if isinstance(chosen, Choice) and own is not None and commands == chosen.commands:
            kept, observed = [own, FIREWALL_RULES], chosen.observed.without(own.chain)
        else:
            observed = commands.observe()
            is_twice = (
                isinstance(chosen, Choice)
                and FIREWALL in observed.chains("filter")
                and is_guarded(chosen.commands.observe())
            )
            kept = [] if is_twice else [FIREWALL_RULES]
        for line in remove_chains(commands, without(known, kept), observed):
            yield f"{commands.name}: {line}"
