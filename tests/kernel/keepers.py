"""Keepers of one family, as svcnet run has them."""

from __future__ import annotations

from typing import Any

from svcnet import modes
from svcnet.executors.iptables import Variant
from svcnet.executors.ipvs import DRAIN
from svcnet.models import IPFamily
from svcnet.modes import Executor
from svcnet.modes.options import own_values
from svcnet.reconciler import Keeper


def executor_of(mode: str, variant: Variant | None = None, drain: int = DRAIN) -> Executor[Any]:
    found = modes.get(mode)
    given = own_values(found.options, {"variant": variant, "drain": drain})
    return found.executor(settings=found.settings(given=given))


def iptables_keeper(
    family: IPFamily, variant: Variant | None = None, executor: Executor[Any] | None = None
) -> Keeper:
    return Keeper((executor or executor_of("iptables", variant)).adapter(family))


def ipvs_keeper(family: IPFamily, variant: Variant | None = None, drain: int = DRAIN) -> Keeper:
    return Keeper(executor_of("ipvs", variant, drain).adapter(family))
