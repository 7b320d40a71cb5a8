"""Ports of Services, and whether the Pods behind them have such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from svcnet import checks
from svcnet.check.repository import Repository
from svcnet.check.rule import Remark
from svcnet.check.similarity import nearest
from svcnet.models import ContainerPort, Pod, Service, ServicePort

MOST_NAMED = 5


@frozen
class _Target:
    """A port of a Service, and the first of the Pods that have none for it.

    ``lacking`` is how many have none, of those that no workload tells apart one.
    """

    service: Service
    index: int
    port: ServicePort
    pod: Pod
    lacking: int
    ports: Sequence[ContainerPort]

    @property
    def path(self) -> tuple[str | int, ...]:
        return ("spec", "ports", self.index, "targetPort")

    @property
    def others(self) -> str:
        return f"; so is it with {self.lacking - 1} more" if self.lacking > 1 else ""


def names_of_no_port(repository: Repository) -> Iterator[Remark]:
    """Yield named target ports that a selected Pod has not, in whatever protocol."""
    for target in _targets(repository, named=True):
        names = [port.name for port in target.ports if port.protocol == target.port.protocol]
        if any(port.name == target.port.target_port for port in target.ports):
            continue
        near = nearest(str(target.port.target_port), filter(None, names))
        hint = f"; did you mean {near}?" if near else ""
        message = (
            f"{repository.name_of(target.pod)} has no {target.port.protocol} port named "
            f"{target.port.target_port!r}{target.others}{hint}"
        )
        yield checks.NO_TARGET_PORT, target.service, target.path, message


def numbers_of_no_port(repository: Repository) -> Iterator[Remark]:
    """Yield numeric target ports that no container has, where all Pods name their ports.

    A container need not name them, so it is said only of Pods that name others.
    """
    for target in _targets(repository, named=False):
        wanted = target.port.target_port or target.port.port
        if any(port.port == wanted for port in target.ports):
            continue
        message = (
            f"{wanted} is no port of {repository.name_of(target.pod)}, "
            f"which has {_list_ports(target.ports)}"
        )
        yield checks.UNLISTED_PORT, target.service, target.path, message


def ports_of_other_protocol(repository: Repository) -> Iterator[Remark]:
    """Yield target ports that the Pods have in another protocol alone."""
    for named in (True, False):
        for target in _targets(repository, named=named):
            wanted = target.port.target_port or target.port.port
            of = [port for port in target.ports if wanted == (port.name if named else port.port)]
            if of:
                protocols = " and ".join(sorted({port.protocol for port in of}))
                message = (
                    f"{target.port.protocol} is not the protocol of port {wanted} of "
                    f"{repository.name_of(target.pod)}, which is {protocols}"
                )
                path = ("spec", "ports", target.index, "protocol")
                yield checks.PORT_PROTOCOL, target.service, path, message


def _targets(repository: Repository, *, named: bool) -> Iterator[_Target]:
    """Yield target ports, names or numbers, that Pods lack in the protocol of the Service's port.

    One that is a name is yielded if a Pod lacks it; of numbers, if all Pods name ports, and all
    lack it.
    """
    for service in repository.services:
        ports = [
            (index, port)
            for index, port in enumerate(service.ports)
            if isinstance(port.target_port, str) is named
        ]
        pods = [pod for pod in repository.pods_of(service) if not _is_over(pod)] if ports else ()
        for index, port in ports if pods else ():
            lacking = [pod for pod in pods if not _has(pod, port)]
            if lacking and (named or (len(lacking) == len(pods) and all(map(_names_ports, pods)))):
                first = min(lacking, key=lambda pod: pod.name)
                ports_of_pod = tuple(first.list_ports())
                count = len({repository.name_of(pod) for pod in lacking})
                yield _Target(service, index, port, first, count, ports_of_pod)


def _is_over(pod: Pod) -> bool:
    return pod.phase in ("Succeeded", "Failed")


def _names_ports(pod: Pod) -> bool:
    return next(pod.list_ports(), None) is not None


def _has(pod: Pod, port: ServicePort) -> bool:
    target = port.target_port or port.port
    if isinstance(target, str):
        return (target, port.protocol) in pod.named_ports
    return any(each.port == target and each.protocol == port.protocol for each in pod.list_ports())


def _list_ports(ports: Sequence[ContainerPort]) -> str:
    shown = [
        f"{port.port} ({port.name})" if port.name else str(port.port) for port in ports[:MOST_NAMED]
    ]
    more = len(ports) - len(shown)
    return ", ".join([*shown, f"{more} more"] if more > 0 else shown)


def headless_ports(repository: Repository) -> Iterator[Remark]:
    """Yield ports of headless Services that stand for others, and that nothing tells of.

    DNS gives addresses of Pods. Who connects there uses the port that the Service has, unless an
    SRV record tells another; a port without a name has no such record of its own.
    """
    for service in repository.services:
        if not service.is_headless or service.type == "ExternalName":
            continue
        for index, port in enumerate(service.ports):
            target = _number(service, port, repository)
            if not port.name and target not in (0, port.port):
                message = (
                    f"Pods listen on {target}: who takes their addresses from DNS goes to "
                    f"{port.port}, and without a name the port has no SRV record that says "
                    "otherwise"
                )
                yield checks.HEADLESS_PORT, service, ("spec", "ports", index, "port"), message


def _number(service: Service, port: ServicePort, repository: Repository) -> int:
    """Return the port that endpoints have, 0 where it is not known or not one."""
    numbers = {
        each.port
        for item in repository.slices_of(service)
        if item.endpoints
        for each in item.ports
        if (each.name, each.protocol) == (port.name, port.protocol)
    }
    if isinstance(port.target_port, int):
        numbers.add(port.target_port or port.port)
    return numbers.pop() if len(numbers) == 1 else 0
