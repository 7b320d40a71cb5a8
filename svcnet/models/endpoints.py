"""EndpointSlice (discovery.k8s.io/v1) and Endpoints (core/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.labels import HEADLESS_LABEL
from svcnet.models.service import Protocol


@frozen(repr=False)
class EndpointPort(Brief):
    """A port that every endpoint of a slice serves; ``port`` 0 means none was given.

    ``app_protocol`` is the empty string where it is not told.
    """

    port: int
    name: str = ""
    protocol: Protocol = "TCP"
    app_protocol: str = ""


@frozen(repr=False)
class TargetRef(Brief):
    """The object behind an endpoint, a Pod nearly always; ``uid`` may be empty."""

    namespace: str
    name: str
    uid: str = ""
    kind: str = "Pod"


@frozen(repr=False, weakref_slot=False)
class Endpoint(Brief):
    """One endpoint of a slice.

    A cluster has a hundred thousand of these, so there is no room for weak references to them.

    ``addresses`` are canonical text, as the reference prints them. ``zone_hints`` and
    ``node_hints`` are the names in ``hints.forZones`` and ``hints.forNodes``. Absent
    conditions have their meaning already: ready and serving true, terminating false.
    """

    addresses: tuple[str, ...]
    node_name: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone: str = ""
    zone_hints: tuple[str, ...] = ()
    hostname: str = ""
    node_hints: tuple[str, ...] = ()
    target_ref: TargetRef | None = None


@frozen(repr=False)
class EndpointSlice(Brief):
    """A slice of the endpoints of the Service that its kubernetes.io/service-name label names.

    ``ipvs_weight`` is the annotation ``svcnet.io/ipvs-weight``: the weight of each of the
    slice's endpoints in IPVS mode, 0 for no new connections; ``annotations`` are the others.
    ``is_of_pods`` says that svcnet made the slice, of Pods: it is in no input.
    """

    namespace: str
    name: str
    service_name: str
    address_type: Literal["IPv4", "IPv6", "FQDN"] = "IPv4"
    ports: tuple[EndpointPort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)
    ipvs_weight: int = 1
    annotations: Mapping[str, str] = field(factory=dict)
    is_of_pods: bool = field(default=False, eq=False, repr=False)

    @property
    def is_seen(self) -> bool:
        """Whether nodes look at the slice: not where a label says that its Service is headless."""
        return HEADLESS_LABEL not in self.labels


@frozen(repr=False)
class EndpointAddress(Brief):
    """An address of a core/v1 Endpoints subset."""

    ip: str
    node_name: str = ""
    hostname: str = ""
    target_ref: TargetRef | None = None


@frozen(repr=False)
class EndpointSubset(Brief):
    """Addresses that serve the same ports."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@frozen(repr=False)
class Endpoints(Brief):
    """A core/v1 Endpoints object; it has the name of its Service."""

    namespace: str
    name: str
    subsets: tuple[EndpointSubset, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)
    ipvs_weight: int = 1
    annotations: Mapping[str, str] = field(factory=dict)
