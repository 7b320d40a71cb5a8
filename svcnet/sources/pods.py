"""Pod documents to models.

Source of the rules: ``ValidatePod`` in pkg/apis/core/validation, the defaults and the
conversion of podIP to podIPs in pkg/apis/core/v1, Kubernetes v1.30.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from svcnet import checks
from svcnet.models import Container, ContainerPort, EnvVar, Pod
from svcnet.models.family import family_of
from svcnet.sources.fields import NAMES, Fields, is_name, shown
from svcnet.sources.services import PROTOCOLS

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
POLICIES = ("Always", "OnFailure", "Never")
STATUSES = ("True", "False", "Unknown")
# KEP-4369: any printable ASCII but "=".
_VARIABLE = re.compile(r"[ -<>-~]+")


def read_pod(document: Fields, namespace: str, name: str) -> Pod:
    """Return the Pod that `document` describes; what is wrong becomes a finding."""
    metadata, spec = document.mapping("metadata"), document.mapping("spec")
    status = document.mapping("status")
    seen: dict[str, str] = {}
    return Pod(
        namespace=namespace,
        name=name,
        uid=metadata.string("uid"),
        labels=metadata.string_map("labels"),
        node_name=_optional_name(spec, "nodeName", "subdomain"),
        phase=status.choice("phase", PHASES, "Pending"),
        pod_ips=_pod_ips(status),
        hostname=_optional_name(spec, "hostname", "label"),
        subdomain=_optional_name(spec, "subdomain", "label"),
        ready=_is_ready(status),
        deleting=bool(metadata.string("deletionTimestamp")),
        enable_service_links=spec.boolean("enableServiceLinks", True),
        containers=_containers(spec, "containers", seen),
        init_containers=_containers(spec, "initContainers", seen),
    )


def _optional_name(fields: Fields, key: str, kind: str) -> str:
    text = fields.string(key)
    if text and not is_name(text, kind):
        fields.error(checks.NAME, key, f"{NAMES[kind]}; not {shown(text)}")
        return ""
    return text


def _pod_ips(status: Fields) -> tuple[str, ...]:
    """Return the addresses; where podIP and podIPs differ, podIP counts alone."""
    primary = status.address("podIP")
    listed = []
    for item in status.mappings("podIPs"):
        address = item.address("ip")
        if address:
            listed.append(address)
    if len({family_of(address) for address in listed}) < len(listed):
        status.error(checks.IP_FAMILY, "podIPs", "may hold at most one address of each IP family")
    if primary and primary not in listed[:1]:
        return (primary,)
    return tuple(listed)


def _is_ready(status: Fields) -> bool:
    return any(
        condition.string("type") == "Ready"
        and condition.choice("status", STATUSES, "Unknown") == "True"
        for condition in status.mappings("conditions")
    )


def _containers(spec: Fields, key: str, seen: dict[str, str]) -> tuple[Container, ...]:
    """Return the containers of one list; `seen` has the names that the Pod used before."""
    if key == "containers" and not spec.data.get(key):
        spec.error(checks.REQUIRED, key, "is required: at least one container")
    return tuple([_container(container, seen) for container in spec.mappings(key)])


def _container(container: Fields, seen: dict[str, str]) -> Container:
    name = container.name("name", "label")
    here = f"{container.path[-2]}[{container.path[-1]}]"
    if name and seen.setdefault(name, here) != here:
        container.error(checks.REPEATED_MEMBER, "name", f"{name} is that of {seen[name]} too")
    return Container(
        name=name,
        ports=tuple(_ports(container)),
        env=tuple(_env(container)),
        env_from=bool(container.items("envFrom")),
        restart_always=container.choice("restartPolicy", ("", *POLICIES), "") == "Always",
    )


def _ports(container: Fields) -> Iterator[ContainerPort]:
    names: set[str] = set()
    for port in container.mappings("ports"):
        if port.data.get("containerPort") is None:
            port.error(checks.REQUIRED, "containerPort", "is required")
        name = port.string("name")
        if name and not is_port_name(name):
            port.error(checks.PORT_NAME, "name", f"must be an IANA service name; not {shown(name)}")
            name = ""
        if name in names:
            port.error(checks.REPEATED_MEMBER, "name", f"{name!r} is there twice")
        if name:
            names.add(name)
        yield ContainerPort(
            port=port.integer("containerPort", 1, 65535),
            name=name,
            protocol=port.choice("protocol", PROTOCOLS, "TCP"),
        )


def is_port_name(text: str) -> bool:
    """Return whether `text` is an IANA service name (``IsValidPortName``)."""
    letters = any(character.isalpha() for character in text)
    return len(text) <= 15 and letters and "--" not in text and is_name(text, "label")


def _env(container: Fields) -> Iterator[EnvVar]:
    for variable in container.mappings("env"):
        name = variable.string("name")
        if not name and variable.data.get("name") in (None, ""):
            variable.error(checks.REQUIRED, "name", "is required")
        elif name and not _VARIABLE.fullmatch(name):
            variable.error(
                checks.VARIABLE_NAME,
                "name",
                f"must be printable ASCII without '='; not {shown(name)}",
            )
        value = variable.string("value")
        if variable.data.get("valueFrom") is None:
            yield EnvVar(name, value)
            continue
        if value:
            variable.error(checks.VARIABLE_VALUE, "valueFrom", "may not be given beside a value")
        yield EnvVar(name, None)
