"""Keepers of one family, as svcnet run has them."""

from __future__ import annotations

from svcnet.executors.iptables import Commits, Variant
from svcnet.executors.ipvs import DRAIN
from svcnet.modes.iptables.adapter import IptablesAdapter
from svcnet.modes.ipvs.adapter import IPVSAdapter
from svcnet.reconciler import Keeper


def iptables_keeper(
    family: str, variant: Variant | None = None, commits: Commits | None = None
) -> Keeper:
    return Keeper(IptablesAdapter(family, variant, commits))


def ipvs_keeper(
    family: str,
    variant: Variant | None = None,
    commits: Commits | None = None,
    drain: int = DRAIN,
) -> Keeper:
    return Keeper(IPVSAdapter(family, variant, commits, drain))
