"""What a Pod's containers make of the variables that they are told.

Source of the rules: ``makeEnvironmentVariables`` in pkg/kubelet/kubelet_pods.go, and
third_party/forked/golang/expansion/expand.go of Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from svcnet.discovery.environment.variables import Environment, Variable, environment
from svcnet.models import ClusterState, Container, Pod

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


@frozen
class Override:
    """A variable of a Service that a container sets itself.

    ``value`` is what the container sets it to, None where ``valueFrom`` gives it.
    """

    replaced: Variable
    value: str | None


@frozen
class ContainerEnvironment:
    """What one container is started with, as far as its Pod tells.

    ``values`` has the Services' variables and the container's own, in the order of their
    names; None for a value that ``valueFrom`` gives. ``env_from`` says that there are others,
    which may replace any variable of a Service as well.
    """

    name: str
    overrides: tuple[Override, ...]
    env_from: bool
    values: Mapping[str, str | None] = field(repr=False)


def pod_environment(
    state: ClusterState, pod: Pod
) -> tuple[Environment, tuple[ContainerEnvironment, ...]]:
    """Return what a Pod is told about Services, and what each of its containers makes of it.

    Init containers come first, as they start first.
    """
    told = environment(state, pod.namespace, service_links=pod.enable_service_links)
    containers = (*pod.init_containers, *pod.containers)
    return told, tuple(_container(told, container) for container in containers)


def _container(told: Environment, container: Container) -> ContainerEnvironment:
    services = {variable.name: variable for variable in told.variables}
    known = {name: variable.value for name, variable in services.items()}
    own: dict[str, str | None] = {}
    for variable in container.env:
        # A reference sees the container's variables above this one, then the Services'.
        value = None if variable.value is None else _expand(variable.value, known)
        own[variable.name] = value
        if value is None:
            known.pop(variable.name, None)
        else:
            known[variable.name] = value
    overrides = tuple(
        Override(services[name], own[name]) for name in sorted(own) if name in services
    )
    values = {name: variable.value for name, variable in services.items()} | own
    ordered = {name: values[name] for name in sorted(values)}
    return ContainerEnvironment(container.name, overrides, container.env_from, ordered)


def _expand(text: str, known: Mapping[str, str]) -> str:
    """Return `text` with ``$(NAME)`` replaced where the name is known, and ``$$`` by ``$``."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else known.get(name, match[0])

    return _REFERENCE.sub(value, text)
