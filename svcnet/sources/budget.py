"""Services that ask too much of a node, or of DNS, as findings about the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from svcnet import checks
from svcnet.family import IP_FAMILIES
from svcnet.models import Budget, ClusterState, NamespacedName, Service
from svcnet.models.budget import entries, most_entries, named_ports
from svcnet.models.state import ClusterObject
from svcnet.sources.findings import Findings, ObjectPlace

NO_RULES = "nodes make no rules for it"
NO_NAMES = "its endpoints have no names"


def check_budget(
    located: Iterable[tuple[ClusterObject, ObjectPlace]], state: ClusterState, findings: Findings
) -> None:
    """Warn of Services that are left out of rules, or whose endpoints have no names."""
    unserved, unnamed = _left_out(state)
    if not (unserved or unnamed):
        return
    for item, place in located:
        if not isinstance(item, Service):
            continue
        name = NamespacedName(item.namespace, item.name)
        for left_out, follows in ((unserved, NO_RULES), (unnamed, NO_NAMES)):
            if name in left_out:
                message = f"{left_out[name]}: {follows}"
                findings.warning(checks.TOO_MANY_ENTRIES, place, (), message)


def _left_out(
    state: ClusterState,
) -> tuple[Mapping[NamespacedName, str], Mapping[NamespacedName, str]]:
    """Return the Services without rules in a family, and those without names of endpoints."""
    budget = Budget()
    slices = {name: state.slices_of(name) for name in state.services}
    # Hardly ever is anything left out, and to see that is cheaper than to count.
    if budget.allows_all([most_entries(one, slices[n]) for n, one in state.services.items()]):
        return {}, {}
    unserved: dict[NamespacedName, str] = {}
    for family in IP_FAMILIES:
        sizes = {n: entries(one, slices[n], family) for n, one in state.services.items()}
        unserved.update(budget.over(sizes))
    unnamed = budget.over({name: named_ports(found) for name, found in slices.items()})
    return unserved, unnamed
