"""Pod (core/v1), as far as Services and what a container finds them by depend on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily, family_of
from svcnet.models.service import Protocol

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]


@frozen(repr=False)
class ContainerPort(Brief):
    """One entry of a container's ``ports``; ``name`` is the empty string if it has none."""

    port: int
    name: str = ""
    protocol: Protocol = "TCP"


@frozen(repr=False)
class EnvVar(Brief):
    """One entry of a container's ``env``; ``value`` is None where ``valueFrom`` gives it."""

    name: str
    value: str | None = ""


@frozen(repr=False)
class Container(Brief):
    """A container, or an init container; one of these runs on if ``restart_always``.

    ``env_from`` says that ``envFrom`` adds variables whose names the Pod does not tell.
    """

    name: str
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: bool = False
    restart_always: bool = False


@frozen(repr=False)
class Pod(Brief):
    """A Pod, with the API server's defaults filled in.

    ``pod_ips`` are canonical text, the primary one first. ``ready`` is whether the
    condition Ready is True, ``deleting`` whether a deletion timestamp is set.
    """

    namespace: str
    name: str
    uid: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    node_name: str = ""
    phase: PodPhase = "Pending"
    pod_ips: tuple[str, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    ready: bool = False
    deleting: bool = False
    enable_service_links: bool = True
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()

    def list_ports(self) -> Iterator[ContainerPort]:
        """Yield the ports of containers, then those of init containers that run on."""
        sidecars = (container for container in self.init_containers if container.restart_always)
        for container in (*self.containers, *sidecars):
            yield from container.ports

    @cached_property
    def named_ports(self) -> Mapping[tuple[str, str], int]:
        """The numbers of ports that have names, by name and protocol.

        Of two that are alike the first counts.
        """
        found: dict[tuple[str, str], int] = {}
        for port in self.list_ports():
            if port.name:
                found.setdefault((port.name, port.protocol), port.port)
        return found

    def ip(self, family: IPFamily) -> str:
        """Return the first address of `family`, or the empty string when there is none."""
        for address in self.pod_ips:
            if family_of(address) == family:
                return address
        return ""
