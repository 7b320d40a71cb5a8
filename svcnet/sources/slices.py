"""EndpointSlice and Endpoints documents to models.

Endpoints are by far the most numerous part of any input, so the loop over them reads
dicts directly and asks :class:`Fields` only about one that is not plainly right.
Source of the rules: pkg/apis/discovery/validation and ``ValidateEndpoints`` in
pkg/apis/core/validation, Kubernetes v1.30.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from svcnet import checks
from svcnet.checks import Check
from svcnet.models import (
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    TargetRef,
)
from svcnet.models.endpoints import WEIGHT_ANNOTATION
from svcnet.models.family import IPFamily
from svcnet.sources.addresses import is_address, why_not_external
from svcnet.sources.fields import NAMES, Fields, is_name, is_text, shown
from svcnet.sources.services import PROTOCOLS, read_app_protocol

SERVICE_NAME = "kubernetes.io/service-name"
MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100


def read_slice(document: Fields, namespace: str, name: str) -> EndpointSlice:
    """Return the EndpointSlice that `document` describes; what is wrong becomes a finding."""
    metadata = document.mapping("metadata")
    labels = metadata.string_map("labels")
    if not document.string("addressType"):
        document.error(checks.REQUIRED, "addressType", "is required")
    kind = document.choice("addressType", ("IPv4", "IPv6", "FQDN"), "IPv4")
    listed = document.items("endpoints")
    if len(listed) > MAX_ENDPOINTS:
        document.error(
            checks.ENDPOINT_COUNT,
            "endpoints",
            f"has {len(listed)} endpoints; at most {MAX_ENDPOINTS}",
        )
        listed = listed[:MAX_ENDPOINTS]
    return EndpointSlice(
        namespace=namespace,
        name=name,
        service_name=labels.get(SERVICE_NAME, ""),
        address_type=kind,
        ports=_ports(document),
        endpoints=tuple([_endpoint(document, i, item, kind) for i, item in enumerate(listed)]),
        labels=labels,
        ipvs_weight=_weight(metadata),
        annotations=_annotations(metadata),
    )


def _weight(metadata: Fields) -> int:
    """Return the weight that an annotation gives; kernels take what ipvsadm does."""
    if not metadata.data.get("annotations"):
        return 1
    text = metadata.string_map("annotations").get(WEIGHT_ANNOTATION)
    if text is None:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 2**16):
        message = f"must be a whole number from 0 to 65535, as text; not {shown(text)}"
        metadata.error_at(checks.ANNOTATION, ("annotations", WEIGHT_ANNOTATION), message)
        return 1
    return int(text)


def _annotations(metadata: Fields) -> Mapping[str, str]:
    """Return the annotations but for the weight."""
    found = metadata.string_map("annotations")
    return {key: text for key, text in found.items() if key != WEIGHT_ANNOTATION}


def _ports(document: Fields) -> tuple[EndpointPort, ...]:
    names: set[str] = set()
    found = []
    for port in document.mappings("ports"):
        read = _port(port)
        if read.name in names:
            port.error(checks.REPEATED_MEMBER, "name", f"{read.name!r} is there twice")
        names.add(read.name)
        found.append(read)
    return tuple(found)


def _port(port: Fields) -> EndpointPort:
    name = port.string("name")
    if name and not is_name(name, "label"):
        port.error(checks.NAME, "name", f"{NAMES['label']}; not {shown(name)}")
        name = ""
    return EndpointPort(
        port=port.integer("port", 1, 65535),
        name=name,
        protocol=port.choice("protocol", PROTOCOLS, "TCP"),
        app_protocol=read_app_protocol(port),
    )


def _endpoint(document: Fields, index: int, item: Any, kind: str) -> Endpoint:
    if type(item) is not dict:
        document.error_at(
            checks.TYPE, ("endpoints", index), f"must be a mapping, not {shown(item)}"
        )
        return Endpoint(("",))
    addresses: Any = item.get("addresses")
    node, zone = item.get("nodeName"), item.get("zone")
    conditions, hints = item.get("conditions"), item.get("hints")
    plain = (
        type(addresses) is list
        and len(addresses) == 1
        and type(addresses[0]) is str
        and (kind == "FQDN" or _is_usable(addresses[0], kind))
        and (node is None or (type(node) is str and is_name(node, "subdomain")))
        and (zone is None or (type(zone) is str and is_text(zone)))
        and not hints
        and not item.get("hostname")
    )
    if not plain:
        return _unusual_endpoint(_fields(document, index, item), kind)
    target = item.get("targetRef")
    if target:
        target = _target_ref(_fields(document, index, item))
    ready, serving, terminating = True, True, False
    if conditions:
        ready, serving, terminating = _conditions(document, index, item)
    return Endpoint(
        (addresses[0],),
        node or "",
        ready,
        serving,
        terminating,
        zone or "",
        target_ref=target or None,
    )


def _target_ref(endpoint: Fields) -> TargetRef | None:
    """Return the object that an endpoint or address names, None if it names none."""
    target = endpoint.mapping("targetRef")
    if not target.data.get("name"):
        return None
    namespace, name = target.string("namespace"), target.string("name")
    return TargetRef(namespace, name, target.string("uid"), target.string("kind"))


def _fields(document: Fields, index: int, item: Any) -> Fields:
    return Fields(document.place, document.findings, item, ("endpoints", index))


def _conditions(document: Fields, index: int, item: Any) -> tuple[bool, bool, bool]:
    """Return ready, serving and terminating; a null means true, true and false."""
    conditions = item["conditions"]
    if type(conditions) is dict:
        ready = conditions.get("ready")
        serving = conditions.get("serving")
        terminating = conditions.get("terminating")
        if {type(ready), type(serving), type(terminating)} <= {bool, type(None)}:
            return ready is not False, serving is not False, terminating is True
    fields = _fields(document, index, item).mapping("conditions")
    return (
        fields.boolean("ready", True),
        fields.boolean("serving", True),
        fields.boolean("terminating", False),
    )


def _is_usable(address: str, family: IPFamily | str) -> bool:
    """Return whether an address is of the family and none of the special ranges.

    The first byte tells nearly always; where it does not, the slow check decides.
    """
    if not is_address(address, "IPv4" if family == "IPv4" else "IPv6"):
        return False
    if family == "IPv4" and address[:1] in "13456789" and address[:4] not in ("127.", "169."):
        return True
    return not why_not_external(address)


def _unusual_endpoint(fields: Fields, kind: str) -> Endpoint:
    """Read an endpoint with hints, a hostname, several addresses, or something wrong."""
    addresses = _addresses(fields, kind)
    node, hostname = _node_and_hostname(fields)
    conditions = fields.mapping("conditions")
    hints = fields.mapping("hints")
    return Endpoint(
        addresses=addresses or ("",),
        node_name=node,
        ready=conditions.boolean("ready", True),
        serving=conditions.boolean("serving", True),
        terminating=conditions.boolean("terminating", False),
        zone=fields.string("zone"),
        zone_hints=tuple(zone.string("name") for zone in hints.mappings("forZones")),
        hostname=hostname,
        node_hints=tuple(node.string("name") for node in hints.mappings("forNodes")),
        target_ref=_target_ref(fields),
    )


def _node_and_hostname(fields: Fields) -> tuple[str, str]:
    """Read what places and names an address, of a slice or of Endpoints; both are optional."""
    node, hostname = fields.string("nodeName"), fields.string("hostname")
    if node and not is_name(node, "subdomain"):
        fields.error(checks.NAME, "nodeName", f"{NAMES['subdomain']}; not {shown(node)}")
    if hostname and not is_name(hostname, "label"):
        fields.error(checks.NAME, "hostname", f"{NAMES['label']}; not {shown(hostname)}")
    return node, hostname


def _addresses(fields: Fields, kind: str) -> tuple[str, ...]:
    listed = fields.items("addresses")
    if not listed and not fields.data.get("addresses"):
        fields.error(checks.REQUIRED, "addresses", "is required: at least one address")
    if len(listed) > MAX_ADDRESSES:
        fields.error(
            checks.ENDPOINT_COUNT,
            "addresses",
            f"has {len(listed)} addresses; at most {MAX_ADDRESSES}",
        )
    kept = []
    for index, text in fields.strings("addresses"):
        wrong = _why_not(text, kind)
        if wrong:
            check, message = wrong
            fields.error_at(check, ("addresses", index), message)
        else:
            kept.append(text)
    return tuple(kept)


def _why_not(text: str, kind: str) -> tuple[Check, str] | None:
    if kind == "FQDN":
        good = is_name(text.removesuffix("."), "subdomain")
        return None if good else (checks.NAME, f"must be a domain name, not {shown(text)}")
    if not is_address(text, "IPv4" if kind == "IPv4" else "IPv6"):
        message = f"must be an {kind} address, as addressType says, not {shown(text)}"
        return checks.ADDRESS_TYPE, message
    reason = why_not_external(text)
    return (checks.SPECIAL_ADDRESS, f"{text} {reason}") if reason else None


def read_endpoints(document: Fields, namespace: str, name: str) -> Endpoints:
    """Return the Endpoints object that `document` describes."""
    metadata = document.mapping("metadata")
    return Endpoints(
        namespace=namespace,
        name=name,
        subsets=tuple(_subset(subset) for subset in document.mappings("subsets")),
        labels=metadata.string_map("labels"),
        ipvs_weight=_weight(metadata),
        annotations=_annotations(metadata),
    )


def _subset(subset: Fields) -> EndpointSubset:
    ports = tuple(_port(port) for port in subset.mappings("ports"))
    for port in subset.mappings("ports"):
        if port.data.get("port") is None:
            port.error(checks.REQUIRED, "port", "is required")
    return EndpointSubset(
        addresses=tuple(_subset_addresses(subset, "addresses")),
        not_ready_addresses=tuple(_subset_addresses(subset, "notReadyAddresses")),
        ports=ports,
    )


def _subset_addresses(subset: Fields, key: str) -> list[EndpointAddress]:
    found = []
    for item in subset.mappings(key):
        address = item.address("ip")
        if not address:
            if not item.data.get("ip"):
                item.error(checks.REQUIRED, "ip", "is required")
            continue
        reason = why_not_external(address)
        if reason:
            item.error(checks.SPECIAL_ADDRESS, "ip", f"{address} {reason}")
        node, hostname = _node_and_hostname(item)
        found.append(EndpointAddress(address, node, hostname, _target_ref(item)))
    return found
