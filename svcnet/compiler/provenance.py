"""Where in the input an endpoint is. Looked up only when somebody asks, so rules cost nothing."""

from __future__ import annotations

from collections.abc import Iterable

from svcnet.graph import FragmentName
from svcnet.models import ClusterState, EndpointPort, Endpoints, IPFamily, NamespacedName
from svcnet.models.service import is_labelled_away


def endpoint_field(
    state: ClusterState, family: IPFamily, name: FragmentName, address: str, port: int
) -> str:
    """Return the place of an endpoint, like ``EndpointSlice web-1: endpoints[3].addresses[0]``.

    That is what :func:`svcnet.compiler.endpoints.collect` made it of, and ``endpoints`` if
    nothing in `state` is like it.
    """
    owner = NamespacedName(name.namespace, name.name)
    if owner not in state.slices and owner in state.endpoints:
        return _in_endpoints(state.endpoints[owner], name, address, port)
    for item in state.slices_of(owner):
        if item.address_type != family or is_labelled_away(item.labels):
            continue
        if not _serve(item.ports, name, port):
            continue
        for index, endpoint in enumerate(item.endpoints):
            if endpoint.addresses[0] == address:
                return f"EndpointSlice {item.name}: endpoints[{index}].addresses[0]"
    return "endpoints"


def _in_endpoints(endpoints: Endpoints, name: FragmentName, address: str, port: int) -> str:
    for number, subset in enumerate(endpoints.subsets):
        if not _serve(subset.ports, name, port):
            continue
        for key, listed in (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        ):
            for index, found in enumerate(listed):
                if found.ip == address:
                    return f"Endpoints {endpoints.name}: subsets[{number}].{key}[{index}].ip"
    return "endpoints"


def _serve(ports: Iterable[EndpointPort], name: FragmentName, port: int) -> bool:
    return any((p.name, p.protocol, p.port) == (*name[2:], port) for p in ports)
