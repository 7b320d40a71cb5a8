"""What differs between two states of a cluster, by Service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from svcnet.models import ClusterState, NamespacedName, Service
from svcnet.models.state import ClusterObject


@frozen
class Change:
    """The Services that changed themselves, and those whose endpoints did."""

    services: frozenset[NamespacedName] = frozenset()
    endpoints: frozenset[NamespacedName] = frozenset()

    def __or__(self, other: Change) -> Change:
        """Return both changes as one."""
        return Change(self.services | other.services, self.endpoints | other.endpoints)

    @property
    def all_services(self) -> frozenset[NamespacedName]:
        """Every Service whose rules may differ."""
        return self.services | self.endpoints

    @classmethod
    def of(cls, before: ClusterState, objects: Iterable[ClusterObject]) -> Change:
        """Return what a change of `objects` touches, given the state before it."""
        services: list[ClusterObject] = []
        others: list[ClusterObject] = []
        for item in objects:
            (services if isinstance(item, Service) else others).append(item)
        return cls(before.services_of(services), before.services_of(others))

    @classmethod
    def between(cls, before: ClusterState, after: ClusterState) -> Change:
        """Return what differs, whatever led from one state to the other."""
        endpoints = (
            *_differing(before.slices, after.slices),
            *_differing(before.endpoints, after.endpoints),
        )
        services = frozenset(_differing(before.services, after.services))
        return cls(services, frozenset(endpoints))


def _differing(
    old: Mapping[NamespacedName, object], new: Mapping[NamespacedName, object]
) -> Iterator[NamespacedName]:
    """Yield the keys of values that differ; values that are the same object cost little."""
    if old is new:
        return
    for name, value in old.items():
        other = new.get(name)
        if other is not value and other != value:
            yield name
    yield from (name for name in new if name not in old)
