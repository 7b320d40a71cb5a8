"""Pod documents to models.

Source of the rules: ``ValidatePodCreate`` and ``ValidatePodStatusUpdate`` in
pkg/apis/core/validation, the defaults and the conversion of podIP to podIPs in pkg/apis/core/v1,
Kubernetes v1.36. Nobody checks the phase, nor the status of a condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from svcnet import checks
from svcnet.family import family_of
from svcnet.models import Container, ContainerPort, EnvVar, Pod
from svcnet.sources.addresses import canonical_address
from svcnet.sources.fields import Fields, list_choices, quote_value
from svcnet.sources.labels import LABEL_KEY, is_label_key
from svcnet.sources.metadata import is_deleted, read_labels
from svcnet.sources.services import PROTOCOLS, read_port_number

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
POLICIES = ("Always", "OnFailure", "Never")
STATUSES = ("True", "False", "Unknown")
# KEP-4369: any printable ASCII but "=".
_VARIABLE = re.compile(r"[ -<>-~]+")


def read_pod(document: Fields, namespace: str, name: str) -> Pod:
    """Return the Pod that `document` describes; what is wrong becomes a finding."""
    metadata, spec = document.mapping("metadata"), document.mapping("spec")
    status = document.mapping("status")
    containers, init_containers = read_containers(spec)
    return Pod(
        namespace=namespace,
        name=name,
        uid=metadata.string("uid"),
        labels=read_labels(metadata),
        node_name=spec.optional_name("nodeName", "subdomain"),
        phase=_word_or_unknown(status, "phase", PHASES, "Pending"),
        pod_ips=_pod_ips(status),
        hostname=spec.optional_name("hostname", "label"),
        subdomain=spec.optional_name("subdomain", "label"),
        ready=_is_ready(status),
        deleting=is_deleted(metadata),
        enable_service_links=spec.boolean("enableServiceLinks", True),
        containers=containers,
        init_containers=init_containers,
    )


def _word_or_unknown(fields: Fields, key: str, values: tuple[str, ...], default: str) -> Any:
    """Return a word of a status, Unknown where it is none that Kubernetes has."""
    text = fields.string(key) or default
    if text not in values:
        message = f"counts as Unknown: {quote_value(text)} is not {list_choices(values)}"
        fields.warning(checks.POD_STATUS, key, message)
        return "Unknown"
    return text


def _pod_ips(status: Fields) -> tuple[str, ...]:
    """Return the addresses; where podIP and podIPs differ, podIP counts alone."""
    primary = status.string("podIP")
    several = [(item, item.string("ip")) for item in status.mappings("podIPs")]
    if primary and (not several or several[0][1] != primary):
        address = status.address("podIP")
        return (address,) if address else ()
    found = []
    for item, text in several:
        address = canonical_address(text) or ""
        if not address and isinstance(item.data.get("ip"), str | None):
            item.error(checks.ADDRESS, "ip", f"must be an IP address, not {quote_value(text)}")
        found.append(address)
    kept = tuple(filter(None, found))
    if len({family_of(address) for address in kept}) < len(kept):
        message = "may hold at most one address of each IP family"
        status.error(checks.IP_FAMILY, "podIPs", message)
    return kept


def _is_ready(status: Fields) -> bool:
    ready = False
    for condition in status.mappings("conditions"):
        kind, state = condition.string("type"), condition.string("status")
        if isinstance(condition.data.get("type"), str | None) and not is_label_key(kind):
            condition.error(checks.LABEL, "type", f"{LABEL_KEY}; not {quote_value(kind)}")
        if kind == "Ready":
            state = _word_or_unknown(condition, "status", STATUSES, "Unknown")
            ready = ready or state == "True"
    return ready


def read_containers(spec: Fields) -> tuple[tuple[Container, ...], tuple[Container, ...]]:
    """Return the containers and the init containers of a Pod, or of a template of Pods."""
    seen: dict[str, str] = {}
    return _containers(spec, "containers", seen), _containers(spec, "initContainers", seen)


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
        env_from=bool(list(container.mappings("envFrom"))),
        restart_always=container.choice("restartPolicy", POLICIES, "", empty=False) == "Always",
    )


def _ports(container: Fields) -> Iterator[ContainerPort]:
    names: set[str] = set()
    for port in container.mappings("ports"):
        name = port.optional_name("name", "port")
        if name and name in names:
            port.error(checks.REPEATED_MEMBER, "name", f"{name!r} is there twice")
        names.add(name)
        yield ContainerPort(
            port=read_port_number(port, "containerPort"),
            name=name,
            protocol=port.choice("protocol", PROTOCOLS, "TCP"),
        )


def _env(container: Fields) -> Iterator[EnvVar]:
    for variable in container.mappings("env"):
        name = variable.string("name")
        if not name and variable.data.get("name") in (None, ""):
            variable.error(checks.REQUIRED, "name", "is required")
        elif name and not _VARIABLE.fullmatch(name):
            variable.error(
                checks.VARIABLE_NAME,
                "name",
                f"must be printable ASCII without '='; not {quote_value(name)}",
            )
        value = variable.string("value")
        if variable.data.get("valueFrom") is None:
            yield EnvVar(name, value)
            continue
        _check_source(variable, value)
        yield EnvVar(name, None)


def _check_source(variable: Fields, value: str) -> None:
    source = variable.mapping("valueFrom")
    if type(variable.data["valueFrom"]) is dict and not any(
        one is not None for one in source.data.values()
    ):
        message = "says nothing of where the value is taken from"
        variable.error(checks.VARIABLE_VALUE, "valueFrom", message)
    elif value:
        variable.error(checks.VARIABLE_VALUE, "valueFrom", "may not be given beside a value")
