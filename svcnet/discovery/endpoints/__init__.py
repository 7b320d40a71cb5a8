"""Endpoints from selectors, by the rules of Kubernetes's three controllers of endpoints.

:func:`reconcile` makes the EndpointSlices of one Service, :func:`endpoints_from_pods` its
Endpoints object, :func:`mirror` the slices of Endpoints that somebody wrote. For a whole
cluster there are :func:`slices_of` and :func:`with_slices`, and where it goes on changing
:class:`Selections` and :class:`Completion`, in this order.
"""

from svcnet.discovery.endpoints.completion import Completion
from svcnet.discovery.endpoints.manifests import endpoints_manifest, slice_manifest
from svcnet.discovery.endpoints.mirror import mirror
from svcnet.discovery.endpoints.packing import MAX_ENDPOINTS
from svcnet.discovery.endpoints.pods import has_selector
from svcnet.discovery.endpoints.remarks import remarks
from svcnet.discovery.endpoints.selections import Selections, SliceChanges
from svcnet.discovery.endpoints.selectors import Selectors
from svcnet.discovery.endpoints.slices import reconcile
from svcnet.discovery.endpoints.state import (
    endpoints_of,
    needs_slices,
    services_with_endpoints,
    slices_of,
    with_slices,
)
from svcnet.discovery.endpoints.subsets import MAX_ADDRESSES, endpoints_from_pods

__all__ = [
    "MAX_ADDRESSES",
    "MAX_ENDPOINTS",
    "Completion",
    "Selections",
    "Selectors",
    "SliceChanges",
    "endpoints_from_pods",
    "endpoints_manifest",
    "endpoints_of",
    "has_selector",
    "mirror",
    "needs_slices",
    "reconcile",
    "remarks",
    "services_with_endpoints",
    "slice_manifest",
    "slices_of",
    "with_slices",
]
