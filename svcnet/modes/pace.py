"""How often things are done."""

from __future__ import annotations

from attrs import field, frozen

SHORTEST_PERIOD_SECONDS = 0.2
"""The shortest time between two looks through a machine."""


def _period(seconds: float) -> float:
    # In this order: of the shortest and what is no number, max returns the shortest.
    return max(SHORTEST_PERIOD_SECONDS, seconds)


def _pause(seconds: float) -> float:
    return max(0.0, seconds)


@frozen
class Pace:
    """Times in seconds, under the names of the kube-proxy configuration.

    Between two syncs there are at least ``min_sync``, except that the first change after a
    quiet time is followed at once. Every ``sync_period`` the machine is looked through for what
    somebody else did there; a period that is shorter than any machine can keep is made longer.
    """

    min_sync: float = field(default=1.0, converter=_pause)
    sync_period: float = field(default=30.0, converter=_period)
