"""Which Services have which Pods, as far as the budget goes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import field, frozen

from svcnet.discovery.endpoints.finder import Finder, FoundPods
from svcnet.discovery.endpoints.pods import has_selector
from svcnet.models import Budget, ClusterState, NamespacedName, Service


@frozen
class SelectingServices:
    """Services with a selector, but for those that are ``left_out`` because they find too much."""

    services: Mapping[NamespacedName, Service]
    left_out: Mapping[NamespacedName, str]
    _finder: Finder = field(repr=False)

    @classmethod
    def of(
        cls,
        state: ClusterState,
        apart_from: Collection[NamespacedName] = (),
        budget: Budget | None = None,
    ) -> SelectingServices:
        """Return what is selected in a state; Services `apart_from` are not looked at."""
        services = {
            name: service
            for name, service in state.services.items()
            if has_selector(service) and name not in apart_from
        }
        finder = Finder.of(state, services.values())
        left_out = _left_out(services, finder, budget or Budget())
        served = {name: one for name, one in services.items() if name not in left_out}
        return cls(served, left_out, finder)

    def pods(self, name: NamespacedName) -> FoundPods:
        """Return the Pods that a Service finds."""
        return self._finder.pods(self.services[name])


def size(service: Service, pods: int) -> int:
    """Return how much of the budget a Service takes that finds so many Pods.

    That is one for each port of each Pod, whether the Pod has it, and in whatever families.
    """
    return pods * max(len(service.ports), 1)


def _left_out(
    services: Mapping[NamespacedName, Service], finder: Finder, budget: Budget
) -> Mapping[NamespacedName, str]:
    # Hardly ever is anything left out, and to see that is cheaper than to count.
    if budget.allows_all([size(service, finder.most(service)) for service in services.values()]):
        return {}
    return budget.over({n: size(one, finder.count(one)) for n, one in services.items()})
