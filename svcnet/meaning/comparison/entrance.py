"""Whether anything leads packets to the rules for Services, by the rules that they met."""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.meaning.nftables.tables import is_for_services
from svcnet.meaning.outcome import RuleLine
from svcnet.netfilter.rules import target
from svcnet.renderers.userspace.portals import CHAINS

_WAYS_IN = frozenset(
    (
        *("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS"),
        *(chain for chains in CHAINS.values() for chain in chains),
    )
)
_BEHIND = frozenset(("filter-input", "filter-forward", "filter-output"))
"""The chains of mode nftables that packets meet behind those that translate them."""


def lacks_way_in(kind: str, mode: str, rules: Iterable[RuleLine]) -> bool:
    """Return whether packets met no rule that leads to those for Services.

    `rules` are those that they met, which make a difference of a kind; of others it is false. What
    is refused once it should have been translated has not been led there either.
    """
    if mode == "ipvs":
        return False
    met = list(rules)
    match kind:
        case "missing":
            return not any(map(_translates, met))
        case "refused":
            return any(map(_is_behind, met)) and not any(map(_translates, met))
        case "not refused":
            return not any(map(_refuses, met))
    return False


def _translates(rule: RuleLine) -> bool:
    """Return whether a rule leads to those that translate packets of Services."""
    if is_for_services(rule.table):
        return rule.chain in ("nat-prerouting", "nat-output")
    return rule.table == "nat" and target(rule.text) in _WAYS_IN


def _refuses(rule: RuleLine) -> bool:
    """Return whether a rule leads to those that refuse packets of Services."""
    if is_for_services(rule.table):
        return rule.chain in _BEHIND
    return rule.table == "filter" and target(rule.text) in _WAYS_IN


def _is_behind(rule: RuleLine) -> bool:
    """Return whether packets meet a rule behind those that translate them."""
    return rule.table == "filter" or rule.chain in _BEHIND
