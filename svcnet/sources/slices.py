"""EndpointSlice and Endpoints documents to models.

Endpoints are by far the most numerous part of any input, so the loop over them reads
dicts directly and asks :class:`Fields` only about one that is not plainly right.
Source of the rules: pkg/apis/discovery/validation and ``ValidateEndpoints`` in
pkg/apis/core/validation, Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import intern
from typing import Any

from svcnet import checks
from svcnet.checks import Check
from svcnet.family import family_of
from svcnet.labels import SERVICE_NAME_LABEL, WEIGHT_ANNOTATION
from svcnet.models import (
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    TargetRef,
)
from svcnet.sources.addresses import canonical_address, endpoint_address, why_no_endpoint
from svcnet.sources.fields import MAX_INT32, MIN_INT32, Fields, is_name, is_text, quote_value
from svcnet.sources.labels import LABEL_VALUE, is_label_value
from svcnet.sources.metadata import read_annotations, read_labels
from svcnet.sources.services import PROTOCOLS, read_app_protocol, read_port_number

MAX_ENDPOINTS = 1000
MAX_ADDRESSES = 100
MAX_PORTS = 20_000
MAX_HINTS = 8
FLAGS = (bool, type(None))


def read_slice(document: Fields, namespace: str, name: str) -> EndpointSlice:
    """Return the EndpointSlice that `document` describes; what is wrong becomes a finding."""
    metadata = document.mapping("metadata")
    labels = read_labels(metadata)
    weight, annotations = _weight_and_annotations(metadata)
    if document.data.get("addressType") in (None, ""):
        document.error(checks.REQUIRED, "addressType", "is required")
    kind = document.choice("addressType", ("IPv4", "IPv6", "FQDN"), "IPv4")
    listed = _limit(document, "endpoints", MAX_ENDPOINTS)
    return EndpointSlice(
        namespace=namespace,
        name=name,
        service_name=intern(labels.get(SERVICE_NAME_LABEL, "")),
        address_type=kind,
        ports=_ports(document),
        endpoints=tuple([_endpoint(document, i, item, kind) for i, item in enumerate(listed)]),
        labels=labels,
        ipvs_weight=weight,
        annotations=annotations,
    )


def _limit(fields: Fields, key: str, most: int) -> list[Any]:
    """Return the members of a list that may have so many, and no more than these."""
    listed = fields.items(key)
    if len(listed) > most:
        message = f"has {len(listed)} members; at most {most}"
        fields.error(checks.ENDPOINT_COUNT, key, message)
    return listed[:most]


def _weight_and_annotations(metadata: Fields) -> tuple[int, Mapping[str, str]]:
    """Return the weight that an annotation gives, and the other annotations."""
    if metadata.data.get("annotations") is None:
        return 1, {}
    found = dict(read_annotations(metadata))
    text = found.pop(WEIGHT_ANNOTATION, "1")
    # Kernels take what ipvsadm does.
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 2**16:
        return int(text), found
    message = (
        f"must be a whole number from 0 to 65535, as text; not {quote_value(text)}: it counts as 1"
    )
    metadata.warning_at(checks.ANNOTATION, ("annotations", WEIGHT_ANNOTATION), message)
    return 1, found


def _ports(document: Fields) -> tuple[EndpointPort, ...]:
    _limit(document, "ports", MAX_PORTS)
    names: set[str] = set()
    found = []
    for port in document.mappings("ports"):
        name = port.optional_name("name", "label")
        if name in names:
            port.error(checks.REPEATED_MEMBER, "name", f"{name!r} is there twice")
        names.add(name)
        protocol = port.choice("protocol", PROTOCOLS, "TCP", empty=False)
        found.append(EndpointPort(_number(port), name, protocol, read_app_protocol(port)))
    return tuple(found)


def _number(port: Fields) -> int:
    """Return the port of a slice: the API server takes any number, and none at all."""
    number = port.integer("port", MIN_INT32, MAX_INT32)
    if 0 <= number <= 65535:
        return number
    message = f"{number} is no port: nothing is sent to these endpoints under this name"
    port.warning(checks.ENDPOINT_PORT, "port", message)
    return 0


def _endpoint(document: Fields, index: int, item: Any, kind: str) -> Endpoint:
    if type(item) is not dict:
        if item is not None:
            message = f"must be a mapping, not {quote_value(item)}"
            document.error_at(checks.TYPE, ("endpoints", index), message)
            return Endpoint(("",))
        item = {}
    get = item.get
    addresses: Any = get("addresses")
    node, zone = get("nodeName"), get("zone")
    address = ""
    if type(addresses) is list and len(addresses) == 1:
        address = endpoint_address(addresses[0], kind)
    plain = (
        address
        and kind != "FQDN"
        and (node is None or (type(node) is str and is_name(node, "subdomain")))
        and (zone is None or (type(zone) is str and is_text(zone)))
        and get("hints") is None
        and get("hostname") is None
    )
    if not plain:
        return _unusual_endpoint(_fields(document, index, item), kind)
    target = get("targetRef")
    if target is not None:
        target = _plain_target(target) or _target_ref(_fields(document, index, item))
    # Many endpoints are on each node.
    node, zone = intern(node or ""), intern(zone or "")
    conditions = get("conditions")
    if conditions is None:
        return Endpoint((address,), node, zone=zone, target_ref=target)
    ready, serving, terminating = _conditions(document, index, conditions)
    return Endpoint(
        (address,),
        node,
        ready,
        serving,
        terminating,
        zone,
        target_ref=target,
    )


def _plain_target(target: Any) -> TargetRef | None:
    """Return the object that an endpoint names, None where that is not plain."""
    if type(target) is not dict:
        return None
    namespace: Any = target.get("namespace")
    name: Any = target.get("name")
    uid: Any = target.get("uid")
    kind: Any = target.get("kind")
    if not (type(namespace) is type(name) is type(uid) is type(kind) is str) or not name:
        return None
    plain = namespace.isascii() and name.isascii() and uid.isascii() and kind.isascii()
    return TargetRef(intern(namespace), name, uid, intern(kind)) if plain else None


def _target_ref(endpoint: Fields) -> TargetRef | None:
    """Return the object that an endpoint or address names, None if it names none."""
    target = endpoint.mapping("targetRef")
    namespace, name = target.string("namespace"), target.string("name")
    found = TargetRef(namespace, name, target.string("uid"), target.string("kind"))
    return found if name else None


def _fields(document: Fields, index: int, item: Any) -> Fields:
    return Fields(document.place, document.findings, item, ("endpoints", index))


def _conditions(document: Fields, index: int, conditions: Any) -> tuple[bool, bool, bool]:
    """Return ready, serving and terminating; a null means true, true and false."""
    if type(conditions) is dict:
        ready = conditions.get("ready")
        serving = conditions.get("serving")
        terminating = conditions.get("terminating")
        if type(ready) in FLAGS and type(serving) in FLAGS and type(terminating) in FLAGS:
            return ready is not False, serving is not False, terminating is True
    fields = _fields(document, index, {"conditions": conditions}).mapping("conditions")
    return (
        fields.boolean("ready", True),
        fields.boolean("serving", True),
        fields.boolean("terminating", False),
    )


def _unusual_endpoint(fields: Fields, kind: str) -> Endpoint:
    """Read an endpoint with hints, a hostname, several addresses, or something wrong."""
    conditions, hints = fields.mapping("conditions"), fields.mapping("hints")
    return Endpoint(
        addresses=_addresses(fields, kind) or ("",),
        node_name=fields.optional_name("nodeName", "subdomain", empty=False),
        ready=conditions.boolean("ready", True),
        serving=conditions.boolean("serving", True),
        terminating=conditions.boolean("terminating", False),
        zone=fields.string("zone"),
        zone_hints=_hints(hints, "forZones"),
        hostname=fields.optional_name("hostname", "label", empty=False),
        node_hints=_hints(hints, "forNodes"),
        target_ref=_target_ref(fields),
    )


def _hints(hints: Fields, key: str) -> tuple[str, ...]:
    """Return the names of zones, which are values of a label, or of Nodes."""
    _limit(hints, key, MAX_HINTS)
    kept: list[str] = []
    for hint in hints.mappings(key):
        name = hint.string("name") if key == "forZones" else hint.name("name", "subdomain")
        if not is_label_value(name) and key == "forZones":
            hint.error(checks.LABEL, "name", f"{LABEL_VALUE}; not {quote_value(name)}")
        if name in kept:
            hint.error(checks.REPEATED_MEMBER, "name", f"{quote_value(name)} is there twice")
        kept.append(name)
    return tuple(kept)


def _addresses(fields: Fields, kind: str) -> tuple[str, ...]:
    if fields.data.get("addresses") in (None, []):
        fields.error(checks.REQUIRED, "addresses", "is required: at least one address")
    _limit(fields, "addresses", MAX_ADDRESSES)
    kept = []
    for index, text in fields.strings("addresses"):
        address, check, reason = _address(text, kind)
        if reason:
            fields.error_at(check, ("addresses", index), reason)
        else:
            kept.append(address)
    return tuple(kept)


def _address(text: str, kind: str) -> tuple[str, Check, str]:
    """Return an address of a slice in canonical form, or what is wrong with it."""
    if kind == "FQDN":
        labels = text.removesuffix(".").split(".")
        good = len(labels) > 1 and len(text) <= 254 and all(is_name(one, "label") for one in labels)
        message = f"must be a domain name of two labels or more, not {quote_value(text)}"
        return text, checks.NAME, "" if good else message
    address = canonical_address(text)
    if address is None or family_of(address) != kind:
        message = f"must be an {kind} address, as addressType says, not {quote_value(text)}"
        return "", checks.ADDRESS_TYPE, message
    reason = why_no_endpoint(address)
    return address, checks.SPECIAL_ADDRESS, f"{address} {reason}" if reason else ""


def read_endpoints(document: Fields, namespace: str, name: str) -> Endpoints:
    """Return the Endpoints object that `document` describes."""
    metadata = document.mapping("metadata")
    weight, annotations = _weight_and_annotations(metadata)
    return Endpoints(
        namespace=namespace,
        name=name,
        subsets=tuple(_subset(subset) for subset in document.mappings("subsets")),
        labels=read_labels(metadata),
        ipvs_weight=weight,
        annotations=annotations,
    )


def _subset(subset: Fields) -> EndpointSubset:
    listed = [subset.items(key) for key in ("addresses", "notReadyAddresses")]
    if not any(listed):
        message = "is required, or notReadyAddresses: at least one address"
        subset.error(checks.REQUIRED, "addresses", message)
    return EndpointSubset(
        addresses=tuple(_subset_addresses(subset, "addresses")),
        not_ready_addresses=tuple(_subset_addresses(subset, "notReadyAddresses")),
        ports=tuple(_subset_ports(subset)),
    )


def _subset_ports(subset: Fields) -> Iterator[EndpointPort]:
    several = len(subset.items("ports")) > 1
    for port in subset.mappings("ports"):
        if several and port.data.get("name") in (None, ""):
            port.error(checks.REQUIRED, "name", "is required when a subset has several ports")
        yield EndpointPort(
            port=read_port_number(port, "port"),
            name=port.optional_name("name", "label"),
            protocol=port.choice("protocol", PROTOCOLS, "TCP"),
            app_protocol=read_app_protocol(port),
        )


def _subset_addresses(subset: Fields, key: str) -> Iterator[EndpointAddress]:
    for item in subset.mappings(key):
        node = item.optional_name("nodeName", "subdomain", empty=False)
        hostname, target = item.optional_name("hostname", "label"), _target_ref(item)
        address = item.address("ip")
        if not address:
            if item.data.get("ip") in (None, ""):
                item.error(checks.REQUIRED, "ip", "is required")
            continue
        reason = why_no_endpoint(address)
        if reason:
            item.error(checks.SPECIAL_ADDRESS, "ip", f"{address} {reason}")
        yield EndpointAddress(address, node, hostname, target)
