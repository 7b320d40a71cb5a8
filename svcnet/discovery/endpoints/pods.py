"""What the controllers of slices and of Endpoints ask of a Pod alike.

Source: staging/src/k8s.io/endpointslice/util/controller_utils.go and
pkg/api/v1/pod (``FindPort``) of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping

from svcnet.family import family_of
from svcnet.labels import HEADLESS_LABEL
from svcnet.models import EndpointPort, IPFamily, Pod, Service, ServicePort, TargetRef
from svcnet.models.service import HEADLESS


def has_selector(service: Service) -> bool:
    """Return whether a Service's endpoints come from Pods.

    An empty selector selects nothing: it does not outlive the way through the API server.
    """
    return bool(service.selector) and service.type != "ExternalName"


def matches(selector: Mapping[str, str], pod: Pod) -> bool:
    """Return whether a Pod has every label that a selector names."""
    labels = pod.labels
    return all(labels.get(key) == value for key, value in selector.items())


def may_be_endpoint(pod: Pod, *, terminating: bool) -> bool:
    """Return whether a Pod can be an endpoint; `terminating` ones only where they count."""
    if pod.phase in ("Succeeded", "Failed") or not pod.pod_ips:
        return False
    return terminating or not pod.deleting


def hostname_in(pod: Pod, service: Service) -> str:
    """Return the name that a Pod has below a Service in DNS, empty if it has none."""
    same = pod.subdomain == service.name and pod.namespace == service.namespace
    return pod.hostname if same else ""


def target_of(pod: Pod) -> TargetRef:
    """Return the reference from an endpoint to its Pod."""
    return TargetRef(pod.namespace, pod.name, pod.uid)


class PortsOnPods:
    """The ports of a Service on Pods; those that are alike are the same object."""

    def __init__(self, service: Service) -> None:
        self._ports = service.ports
        self._known: dict[tuple[int, ...], tuple[EndpointPort, ...]] = {}
        own = [port_number(port, None) for port in service.ports]
        self._same = self._with(tuple(own)) if all(own) else None

    def on(self, pod: Pod) -> tuple[EndpointPort, ...]:
        """Return the ports that a Pod has, with their numbers on it."""
        if self._same is not None:
            return self._same
        numbers = tuple([port_number(port, pod) for port in self._ports])
        found = self._known.get(numbers)
        if found is None:
            found = self._known[numbers] = self._with(numbers)
        return found

    def _with(self, numbers: tuple[int, ...]) -> tuple[EndpointPort, ...]:
        return tuple(
            EndpointPort(number, port.name, port.protocol, port.app_protocol)
            for number, port in zip(numbers, self._ports, strict=True)
            if number
        )


def port_number(port: ServicePort, pod: Pod | None) -> int:
    """Return the number of a target port on a Pod, 0 where the Pod has none of that name.

    A name is looked for in the containers in their order, then in the init containers
    that run on, and must be of the port's protocol.
    """
    target = port.target_port
    if isinstance(target, int):
        return target or port.port
    return 0 if pod is None else pod.named_ports.get((target, port.protocol), 0)


def families(service: Service) -> tuple[IPFamily, ...]:
    """Return a Service's IP families: as named, else its cluster IP's; empty if nothing tells."""
    if service.ip_families or not has_cluster_ip(service):
        return service.ip_families
    return (family_of(service.cluster_ips[0]),)


def labels_of(service: Service, own: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a controller gives what it makes of a Service.

    They are the Service's, the controller's `own`, and whether there is no virtual IP.
    """
    labels = dict(service.labels)
    labels.pop(HEADLESS_LABEL, None)
    labels.update(own)
    if not has_cluster_ip(service):
        labels[HEADLESS_LABEL] = ""
    return labels


def has_cluster_ip(service: Service) -> bool:
    """Return whether a Service has a virtual IP; one that waits for it has none."""
    return service.cluster_ips[:1] not in ((), (HEADLESS,))
