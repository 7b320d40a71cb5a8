"""What other modes may have left on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcnet.modes.registry import others

if TYPE_CHECKING:
    from svcnet.executors.iptables import Ownership
    from svcnet.executors.machine import Machine
    from svcnet.models import IPFamily


def owned_by_others(name: str, family: IPFamily, machine: Machine) -> list[Ownership]:
    """Return how the chains are known that other modes than that of a name make."""
    found = (mode.executor(machine).ownership(family) for mode in others(name))
    return [each for each in found if each is not None]
