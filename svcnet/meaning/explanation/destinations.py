"""Where a packet goes to: an address with a port, a Service, or a name that DNS knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from svcnet.addresses import canonical_address, is_address
from svcnet.compiler import NodeView
from svcnet.discovery.dns import DNSOptions, Search, records, search
from svcnet.discovery.dns.names import is_name
from svcnet.errors import AbsentError, UsageError
from svcnet.family import IPFamily, family_of
from svcnet.graph.packet import PROTOCOLS, check_port
from svcnet.models import ClusterState, NamespacedName, Service, ServicePort

FORMS = "ADDRESS:PORT, service/NAMESPACE/NAME[:PORT] or a DNS name with :PORT, each with /PROTOCOL"
_BOXED = re.compile(r"\[([^\]]*)\](?::(.*))?", re.ASCII)
_NUMERIC = re.compile(r"[0-9.]+", re.ASCII)


@frozen
class PacketTarget:
    """What is asked for, as it was written.

    ``name`` is of a Service, namespace and name, or of DNS; ``port`` is a number or the name of a
    port, empty where it was left out.
    """

    kind: Literal["address", "service", "name"]
    name: str
    port: str
    protocol: str


@frozen
class Destination:
    """Where a packet goes to; ``lookup`` is how its address was found by a name, if it was.

    ``others`` are the further addresses that the name has.
    """

    address: str
    port: int
    protocol: str
    lookup: Search | None = None
    others: tuple[str, ...] = ()


def target(where: str) -> PacketTarget:
    """Return what is asked for. Raises UsageError for what is nothing of the kind."""
    rest, protocol = _protocol(where)
    if rest.startswith("service/"):
        _, _, name = rest.partition("/")
        name, _, port = name.partition(":")
        if name.count("/") != 1 or not all(name.split("/")):
            raise _unknown(where)
        return PacketTarget("service", name, port, protocol)
    boxed = _BOXED.fullmatch(rest)
    address, port = boxed.groups(default="") if boxed else (rest, "")
    if boxed is None and rest.count(":") == 1:
        address, _, port = rest.partition(":")
    if is_address(address):
        if not port:
            raise UsageError(f"--to {where}: has no port")
        if bool(boxed) != (":" in address):
            raise _unknown(where)
        return PacketTarget("address", canonical_address(address), port, protocol)
    plain = address.removesuffix(".")
    if boxed or ":" in address or _NUMERIC.fullmatch(address) or not is_name(f"{plain.lower()}."):
        raise _unknown(where)
    return PacketTarget("name", address, port, protocol)


def family_of_target(asked: PacketTarget) -> IPFamily | None:
    """Return the IP family of an address, None for names."""
    return family_of(asked.name) if asked.kind == "address" else None


def destination(
    asked: PacketTarget, state: ClusterState, view: NodeView, namespace: str
) -> Destination:
    """Return where a packet goes to.

    `namespace` is where the sender is: names of DNS are looked for from there. Raises UsageError
    for a port that is none, and AbsentError for what the objects do not have.
    """
    match asked.kind:
        case "address":
            return destination_of_address(asked)
        case "service":
            return _service(asked, state, view)
        case "name":
            return _name(asked, state, view, namespace)


def destination_of_address(asked: PacketTarget) -> Destination:
    """Return an address with its port. Raises UsageError for a port that is none."""
    return Destination(asked.name, _number(asked.port), asked.protocol or "TCP")


def _unknown(where: str) -> UsageError:
    return UsageError(f"--to is {FORMS}; not {where!r}")


def _protocol(where: str) -> tuple[str, str]:
    """Return what is before a protocol at the end, and the protocol, empty for none."""
    head, slash, tail = where.rpartition("/")
    if not slash or (head == "service" or (head.startswith("service/") and head.count("/") < 2)):
        return where, ""
    if tail.upper() in PROTOCOLS:
        return head, tail.upper()
    raise UsageError(f"--to {where}: a protocol is tcp, udp or sctp; not {tail!r}")


def _number(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    if not is_number:
        raise UsageError(f"a port is from 1 to 65535; not {text!r}")
    check_port(int(text))
    return int(text)


def _service(asked: PacketTarget, state: ClusterState, view: NodeView) -> Destination:
    name = NamespacedName(*asked.name.split("/"))
    service = state.services.get(name)
    if service is None:
        raise AbsentError(f"there is no Service {name}{_instead(name, state.services)}")
    port = _port_of(service, asked)
    address = "" if service.is_headless else service.cluster_ip(view.family)
    if not address:
        raise AbsentError(f"Service {name} has no cluster IP {_why(service, view)}")
    return Destination(address, port.port, port.protocol)


def _why(service: Service, view: NodeView) -> str:
    if service.is_headless:
        return "as it is headless: names lead to its endpoints themselves"
    if service.type == "ExternalName":
        return f"as it stands for the name {service.external_name}"
    return f"of {view.family}"


def _instead(name: NamespacedName, there: Iterable[NamespacedName]) -> str:
    """Return a hint at Services that may be meant."""
    from difflib import get_close_matches

    names = sorted(there)
    found = [str(each) for each in names if each.name == name.name]
    found = found or get_close_matches(str(name), map(str, names), n=3)
    return f"; there is {', '.join(found[:3])}" if found else ""


def _port_of(service: Service, asked: PacketTarget) -> ServicePort:
    """Return the port of a Service that is asked for by number or name."""
    ports = [p for p in service.ports if asked.protocol in ("", p.protocol)]
    named = f"Service {service.namespace}/{service.name}"
    if asked.port.isascii() and asked.port.isdigit():
        number = _number(asked.port)
        # Ports that it does not have can be asked for as well.
        other = ServicePort(number, protocol=_as_protocol(asked.protocol))
        return next((port for port in ports if port.port == number), other)
    if asked.port:
        for port in ports:
            if port.name == asked.port:
                return port
        known = ", ".join(port.name for port in service.ports if port.name) or "none"
        raise AbsentError(f"{named} has no port {asked.port!r}; those with names are {known}")
    if len(ports) == 1:
        return ports[0]
    if not service.ports:
        raise AbsentError(f"{named} has no port")
    listed = ", ".join(f"{port.port}/{port.protocol}" for port in service.ports)
    raise UsageError(f"{named} has several ports: say which, of {listed}")


def _as_protocol(text: str) -> Literal["TCP", "UDP", "SCTP"]:
    return "UDP" if text == "UDP" else "SCTP" if text == "SCTP" else "TCP"


def _name(asked: PacketTarget, state: ClusterState, view: NodeView, namespace: str) -> Destination:
    rdtype = "A" if view.family == "IPv4" else "AAAA"
    found = search(records(state, DNSOptions()), asked.name, rdtype, namespace=namespace)
    addresses = [record.data for record in found.answer.answers if record.type == rdtype]
    if not addresses:
        raise AbsentError(f"{asked.name} has no {rdtype} record here: {_failure(found)}")
    first, *others = addresses
    service = _service_of(found, state)
    if service is None:
        number, protocol = _number(asked.port), asked.protocol or "TCP"
    else:
        port = _port_of(service, asked)
        number, protocol = port.port, port.protocol
    return Destination(first, number, protocol, found, tuple(others))


def _failure(found: Search) -> str:
    told = [f"{each.name} {each.answer.rcode} ({each.answer.rule})" for each in found.attempts]
    leads = [f"it leads to {record.data}" for record in found.answer.answers]
    return "; ".join([*told, *leads])


def _service_of(found: Search, state: ClusterState) -> Service | None:
    namespace, _, name = str(found.answer.service or "").partition("/")
    return state.services.get(NamespacedName(namespace, name))
