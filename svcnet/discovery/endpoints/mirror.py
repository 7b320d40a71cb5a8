"""Slices of Endpoints that somebody wrote, by the rules of the mirroring controller.

Source: pkg/controller/endpointslicemirroring of Kubernetes.
"""

from __future__ import annotations

from attrs import evolve

from svcnet.labels import (
    APPLIED_ANNOTATION,
    LEADER_ANNOTATION,
    MANAGED_BY_LABEL,
    SERVICE_NAME_LABEL,
    SKIP_LABEL,
    TRIGGER_ANNOTATION,
)
from svcnet.models import Endpoints, EndpointSlice, Service
from svcnet.models.subsets import slices_of_endpoints

CONTROLLER = "endpointslicemirroring-controller.k8s.io"
NOT_COPIED = (TRIGGER_ANNOTATION, APPLIED_ANNOTATION)


def mirror(service: Service, endpoints: Endpoints) -> tuple[EndpointSlice, ...]:
    """Return the slices that mirror `endpoints`: one a subset and IP family, ready ones first.

    There are none for a Service with a selector, whose slices come from Pods, and where
    the Endpoints ask not to be mirrored or only hold a lock.
    """
    skipped = endpoints.labels.get(SKIP_LABEL) == "true"
    if service.selector or skipped or LEADER_ANNOTATION in endpoints.annotations:
        return ()
    own = {SERVICE_NAME_LABEL: endpoints.name, MANAGED_BY_LABEL: CONTROLLER}
    labels = {**endpoints.labels, **own}
    annotations = {k: v for k, v in endpoints.annotations.items() if k not in NOT_COPIED}
    return tuple(
        evolve(item, labels=labels, annotations=annotations)
        for item in slices_of_endpoints(endpoints)
    )
