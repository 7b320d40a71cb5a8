"""Which of the two variants of iptables this machine's rules are, or should be, in.

Rules of both are in force at once, so mixing them is trouble that is hard to see:
https://github.com/kubernetes/kubernetes/issues/71305. The choice follows what
Kubernetes's own images do (kubernetes-sigs/iptables-wrappers): where rules of
Kubernetes are, else what plain ``iptables`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.commands import not_installed
from svcnet.executors.iptables.commands import Commands, Variant, find_commands, version
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter import SavedTables, UnprintedRules


@frozen
class Choice:
    """The commands to use, what they see now, and what an operator should know."""

    commands: Commands
    observed: SavedTables
    warnings: tuple[str, ...]


def choose_variant(
    family: IPFamily,
    wanted: Variant | None = None,
    is_ours: Callable[[str, str], bool] = is_ours,
    *,
    machine: Machine = THIS_MACHINE,
) -> Choice:
    """Return the commands for `family`, of the `wanted` variant or the one in use.

    `is_ours` tells by table and name which chains show that a variant is in use. Raises
    ApplyError when no variant, or not the wanted one, is installed.
    """
    there = find_commands(family, machine=machine)
    if not there:
        raise not_installed("iptables", "iptables")
    if wanted and wanted not in [commands.variant for commands in there]:
        raise not_installed(f"{Commands(family, wanted, machine).name}-restore")
    seen, unseen = _look(there, wanted, is_ours)
    chosen = wanted or _in_use(seen, is_ours) or _default(machine, [each.variant for each in there])
    commands = Commands(family, chosen, machine)
    observed = seen.get(chosen) or commands.observe()
    others = tuple(each for each in there if each.variant != chosen)
    warnings = _warnings(others, seen, unseen, is_ours)
    return Choice(commands, observed, tuple(map(checks.MACHINE_STATE.line, warnings)))


def _look(
    there: tuple[Commands, ...], wanted: Variant | None, is_ours: Callable[[str, str], bool]
) -> tuple[dict[Variant, SavedTables], dict[Variant, str]]:
    """Return what is in the tables of each variant, or why that is not known.

    Raises ApplyError for a variant that may have to be used.
    """
    seen: dict[Variant, SavedTables] = {}
    unseen: dict[Variant, str] = {}
    for each in there:
        if not each.can_list():
            unseen[each.variant] = "is for root only to see"
            continue
        try:
            seen[each.variant] = each.observe()
        except UnprintedRules as error:
            # Native rules of nf_tables may be anybody's, on a machine whose iptables is legacy.
            if wanted == each.variant or SavedTables(error.tables).has(is_ours):
                raise
            unseen[each.variant] = f"cannot be seen: {error}"
        except ApplyError as error:
            if wanted in (None, each.variant):
                raise
            unseen[each.variant] = f"cannot be seen: {error}"
    return seen, unseen


def _warnings(
    others: tuple[Commands, ...],
    seen: dict[Variant, SavedTables],
    unseen: dict[Variant, str],
    is_ours: Callable[[str, str], bool],
) -> Iterator[str]:
    for other in others:
        if other.variant in unseen:
            why = unseen[other.variant]
            yield f"whether {other.name} holds chains of Kubernetes too {why}"
        elif seen[other.variant].has(is_ours):
            yield (
                f"{other.name} holds chains of Kubernetes or svcnet too, and both "
                f"are in force: remove them with svcnet cleanup --variant {other.variant}"
            )


def _in_use(
    seen: dict[Variant, SavedTables], is_ours: Callable[[str, str], bool]
) -> Variant | None:
    return next((variant for variant, observed in seen.items() if observed.has(is_ours)), None)


def _default(machine: Machine, there: list[Variant]) -> Variant:
    """Return the variant that plain ``iptables`` is, where that is installed."""
    if "legacy" in there and "legacy" in (version(machine=machine) or ""):
        return "legacy"
    return there[0]
