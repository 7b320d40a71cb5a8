"""From a value that stands in a rule back to what in the input it came from.

Nothing here is on the way from manifests to rules: it is asked when a machine refused something.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network

from svcnet.graph.fragment import Fragment
from svcnet.graph.nodes import Dispatch, Frontend
from svcnet.graph.origin import Origin


def dispatch_at(
    fragment: Fragment, address: str, port: int = 0, frontends: Collection[Frontend] = ()
) -> Dispatch | None:
    """Return the destination at an address and port, of one of `frontends` if there are any.

    Port 0 is for any. A node port has no address of its own: it is found by its number, after
    all that have one.
    """
    found = [d for d in fragment.dispatches if not frontends or d.frontend in frontends]
    for dispatch in found:
        if dispatch.address and is_same(dispatch.address, address) and port in (0, dispatch.port):
            return dispatch
    nodes = (d for d in found if d.frontend == "node-port" and d.port == port)
    return next(nodes, None)


def source_origin(fragment: Fragment, source: str) -> Origin | None:
    """Return what lets a source use the load balancer's addresses: a range, or one of these.

    None if nothing does.
    """
    for dispatch in fragment.dispatches:
        if dispatch.frontend == "load-balancer" and is_same(dispatch.address, source):
            return dispatch.origin
    policy = fragment.policy
    for cidr, place in zip(policy.source_ranges, policy.source_fields, strict=True):
        if is_same(cidr, source):
            return fragment.origin_of("")._replace(path=place)
    return None


def is_same(one: str, other: str) -> bool:
    """Return whether two texts are the same address or network, in whatever spelling."""
    try:
        return one == other or ip_network(one, strict=False) == ip_network(other, strict=False)
    except ValueError:
        return False
