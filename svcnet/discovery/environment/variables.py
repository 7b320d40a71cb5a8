"""Which variables a Pod's containers get for Services.

Source of the rules: pkg/kubelet/envvars/envvars.go and ``getServiceEnvVarMap`` in
pkg/kubelet/kubelet_pods.go of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import field, frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import family_of
from svcnet.models import ClusterState, NamespacedName, Service, ServicePort
from svcnet.models.service import HEADLESS

API_SERVER = NamespacedName("default", "kubernetes")
"""The Service that every container is told of."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Variable:
    """One variable, and the Service that set it."""

    name: str
    value: str
    origin: NamespacedName


@frozen
class Collision:
    """One name with more than one value; ``lost`` is in the order of the Services' names."""

    won: Variable
    lost: tuple[Variable, ...]


@frozen
class NameRemark:
    """What is surely a mistake in the name of a Service."""

    service: NamespacedName
    message: str
    check: Check = checks.VARIABLE_CONFLICT

    def __str__(self) -> str:
        return f"Service {self.service} {self.message}"


@frozen
class Environment:
    """What containers of one namespace are told about Services.

    ``variables`` has each name once, in the order of the names. ``collisions`` are about
    names that several Services define with different values.
    """

    namespace: str
    variables: tuple[Variable, ...] = field(repr=False)
    collisions: tuple[Collision, ...] = ()

    @property
    def unreadable(self) -> tuple[Variable, ...]:
        """The variables whose names no shell can read."""
        return tuple(v for v in self.variables if not is_readable(v.name))

    def remarks(self) -> tuple[NameRemark, ...]:
        """Return a remark for each collision, and one for each Service with unreadable names."""
        found = [
            NameRemark(lost.origin, _contest(collision.won, lost))
            for collision in self.collisions
            for lost in collision.lost
        ]
        first: dict[NamespacedName, str] = {}
        for variable in self.unreadable:
            first.setdefault(variable.origin, variable.name)
        for origin, name in first.items():
            message = f"sets variables that no shell can read, such as {name}"
            found.append(NameRemark(origin, message, checks.UNREADABLE_VARIABLE))
        return tuple(found)


def is_readable(name: str) -> bool:
    """Return whether a shell can read a variable of this name (POSIX XBD 3.216)."""
    return _NAME.fullmatch(name) is not None


def environment(state: ClusterState, namespace: str, *, service_links: bool = True) -> Environment:
    """Return what containers in `namespace` are told, were they started now.

    `service_links` is the Pod's ``enableServiceLinks``; without, there is only the API
    server's Service. Where two Services define one variable, the kubelet lets its map's
    order decide, which is random. Here the Service wins whose name comes first. It is the
    one with the shorter name, so of ``db`` and ``db-service`` the documented
    ``DB_SERVICE_PORT`` of ``db`` stays.
    """
    defined: dict[str, list[Variable]] = {}
    for service in _visible(state, namespace, service_links):
        for variable in _variables(service):
            defined.setdefault(variable.name, []).append(variable)
    ordered = [defined[name] for name in sorted(defined)]
    collisions = []
    for won, *others in ordered:
        lost = tuple(other for other in others if other.value != won.value)
        if lost:
            collisions.append(Collision(won, lost))
    return Environment(namespace, tuple(won for won, *_ in ordered), tuple(collisions))


def _visible(state: ClusterState, namespace: str, service_links: bool) -> list[Service]:
    """Return the Services that set variables, by name.

    A Service ``kubernetes`` of the namespace itself takes the place of the API server's.
    """
    services = {}
    api_server = state.services.get(API_SERVER)
    if api_server is not None and _has_address(api_server):
        services[api_server.name] = api_server
    if service_links:
        for service in state.services.values():
            if service.namespace == namespace and _has_address(service):
                services[service.name] = service
    return [services[name] for name in sorted(services)]


def _has_address(service: Service) -> bool:
    """Return whether a Service has a cluster IP; headless ones and ExternalName have none."""
    return service.cluster_ips[:1] not in ((), (HEADLESS,))


def _variables(service: Service) -> Iterator[Variable]:
    """Yield what one Service sets; of two cluster IPs only the first is told."""
    origin = NamespacedName(service.namespace, service.name)
    prefix, host = _upper(service.name), service.cluster_ips[0]
    yield Variable(f"{prefix}_SERVICE_HOST", host, origin)
    for first in service.ports[:1]:
        yield Variable(f"{prefix}_SERVICE_PORT", str(first.port), origin)
        yield Variable(f"{prefix}_PORT", _url(host, first), origin)
    for port in service.ports:
        if port.name:
            name = f"{prefix}_SERVICE_PORT_{_upper(port.name)}"
            yield Variable(name, str(port.port), origin)
        yield from _link(origin, prefix, host, port)


def _link(origin: NamespacedName, prefix: str, host: str, port: ServicePort) -> Iterator[Variable]:
    """Yield the variables that a Docker container link would set for a port."""
    name = f"{prefix}_PORT_{port.port}_{port.protocol}"
    yield Variable(name, _url(host, port), origin)
    yield Variable(f"{name}_PROTO", port.protocol.lower(), origin)
    yield Variable(f"{name}_PORT", str(port.port), origin)
    yield Variable(f"{name}_ADDR", host, origin)


def _url(host: str, port: ServicePort) -> str:
    bracketed = f"[{host}]" if family_of(host) == "IPv6" else host
    return f"{port.protocol.lower()}://{bracketed}:{port.port}"


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")


def _contest(won: Variable, lost: Variable) -> str:
    return (
        f"sets {lost.name} to {lost.value!r}, Service {won.origin} to {won.value!r}: "
        f"{won.origin} wins here, and in a cluster any of them"
    )
