"""Slices of Endpoints that somebody wrote, by the rules of the mirroring controller.

Source: pkg/controller/endpointslicemirroring of Kubernetes.
"""

from __future__ import annotations

from attrs import evolve

from svcnet.discovery.endpoints.slices import MANAGED_BY, SERVICE_NAME
from svcnet.models import Endpoints, EndpointSlice, Service
from svcnet.models.subsets import SKIP_LABEL, slices_of_endpoints

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = (
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
)


def mirror(service: Service, endpoints: Endpoints) -> tuple[EndpointSlice, ...]:
    """Return the slices that mirror `endpoints`: one a subset and IP family, ready ones first.

    There are none for a Service with a selector, whose slices come from Pods, and where
    the Endpoints ask not to be mirrored or only hold a lock.
    """
    skipped = endpoints.labels.get(SKIP_LABEL) == "true"
    if service.selector or skipped or LEADER_ANNOTATION in endpoints.annotations:
        return ()
    own = {SERVICE_NAME: endpoints.name, MANAGED_BY: CONTROLLER}
    labels = {**endpoints.labels, **own}
    annotations = {k: v for k, v in endpoints.annotations.items() if k not in NOT_COPIED}
    return tuple(
        evolve(item, labels=labels, annotations=annotations)
        for item in slices_of_endpoints(endpoints)
    )
