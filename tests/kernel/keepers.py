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
    """Return the executor of a mode, which may have a layout behind it, as in ``nftables flat``."""
    name, _, layout = mode.partition(" ")
    found = modes.get(name)
    options = {"variant": variant, "drain": drain, **({"layout": layout} if layout else {})}
    given = own_values(found.options, options)
    return found.executor(settings=found.settings(given=given))


def iptables_keeper(
    family: IPFamily, variant: Variant | None = None, executor: Executor[Any] | None = None
) -> Keeper:
    return Keeper((executor or executor_of("iptables", variant)).adapter(family))


def ipvs_keeper(family: IPFamily, variant: Variant | None = None, drain: int = DRAIN) -> Keeper:
    return Keeper(executor_of("ipvs", variant, drain).adapter(family))
