"""What of a cluster has names at all, by the options ``namespaces`` and ``labels``."""

from __future__ import annotations

from svcnet.discovery.dns.options import DNSOptions
from svcnet.models import ClusterState, Endpoints, EndpointSlice, Pod, Service
from svcnet.models.state import ClusterObject


def exposed_namespaces(state: ClusterState, options: DNSOptions) -> frozenset[str]:
    """Return the namespaces that exist, as far as an object is in them, and are to be seen."""
    names = {*state.services, *state.slices, *state.endpoints, *state.pods}
    found = {name.namespace for name in names}
    return frozenset(found & options.namespaces if options.namespaces else found)


def expose(state: ClusterState, options: DNSOptions) -> ClusterState:
    """Return the part of a state that has names: objects without the labels are not even read."""
    if not options.namespaces and not options.labels:
        return state
    return ClusterState.of(item for item in state if _is_exposed(item, options))


def _is_exposed(item: ClusterObject, options: DNSOptions) -> bool:
    if not isinstance(item, Service | EndpointSlice | Endpoints | Pod):
        return True
    if options.namespaces and item.namespace not in options.namespaces:
        return False
    return all(requirement.matches(item.labels) for requirement in options.requirements)
