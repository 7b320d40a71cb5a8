"""Where in the input the endpoints of a slice are: in the slice, or in what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

from svcnet.graph import EndpointSource, Origin, OriginList, SliceSource
from svcnet.models import ClusterState, EndpointPort, Endpoints, EndpointSlice, NamespacedName

SourceOf: TypeAlias = Callable[[EndpointSlice, EndpointPort], EndpointSource]
"""Says where the endpoints of a slice come from, for one of its ports."""


def source_in(state: ClusterState, name: NamespacedName) -> SourceOf:
    """Return what says where the endpoints in the slices of the Service called `name` come from."""
    if name in state.endpoints and name not in state.slices:
        return partial(_in_endpoints, state.endpoints[name])
    return _in_slice


def _in_slice(item: EndpointSlice, port: EndpointPort) -> EndpointSource:  # noqa: ARG001
    return _in_pods(item) if item.is_of_pods else SliceSource(item.namespace, item.name)


def _in_pods(item: EndpointSlice) -> OriginList:
    targets = (endpoint.target_ref for endpoint in item.endpoints)
    return OriginList(
        tuple([Origin("Pod", t.namespace, t.name, "status.podIPs") for t in targets if t])
    )


def _in_endpoints(endpoints: Endpoints, item: EndpointSlice, port: EndpointPort) -> OriginList:
    """Return the places of addresses whose slice mirrors `endpoints`.

    What subsets say of one address is put together, so it is looked for in those with this port.
    """
    paths: dict[str, str] = {}
    for address, path in _addresses(endpoints, port):
        paths.setdefault(address, path)
    owner = ("Endpoints", endpoints.namespace, endpoints.name)
    return OriginList(tuple([Origin(*owner, paths[e.addresses[0]]) for e in item.endpoints]))


def _addresses(endpoints: Endpoints, port: EndpointPort) -> Iterator[tuple[str, str]]:
    for number, subset in enumerate(endpoints.subsets):
        if port in subset.ports:
            for index, address in enumerate(subset.addresses):
                yield address.ip, f"subsets[{number}].addresses[{index}].ip"
            for index, address in enumerate(subset.not_ready_addresses):
                yield address.ip, f"subsets[{number}].notReadyAddresses[{index}].ip"
