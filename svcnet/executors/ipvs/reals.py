"""Real servers as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from svcnet.netfilter.ipvs.messages import MASQUERADE, ObservedDest
from svcnet.renderers.ipvs import ServerKey


class Place(NamedTuple):
    """An address and port."""

    address: str
    port: int


class Settings(NamedTuple):
    """All that a real server can be told, but for what only a tunnel's can.

    Thresholds are numbers of connections; 0 is no limit.
    """

    weight: int
    forward: int = MASQUERADE
    upper_threshold: int = 0
    lower_threshold: int = 0


class Real(NamedTuple):
    """A real server as it stands, with its connections at the moment."""

    settings: Settings
    active: int = 0
    inactive: int = 0

    @property
    def connections(self) -> int:
        """How many connections it has, those that end included."""
        return self.active + self.inactive


Listing = Mapping[ServerKey, Mapping[Place, Real]]


def real_of(observed: ObservedDest) -> tuple[Place, Real]:
    """Return a real server as the kernel tells it, with its place."""
    dest = observed.dest
    settings = Settings(dest.weight, dest.forward, dest.upper_threshold, dest.lower_threshold)
    real = Real(settings, observed.active_connections, observed.inactive_connections)
    return Place(dest.address, dest.port), real
