"""Subsets of Endpoints in their canonical form, and the slices that mirror them.

Source: ``RepackSubsets`` in pkg/api/v1/endpoints/util.go and ``reconcile`` in
pkg/controller/endpointslicemirroring/reconciler.go of Kubernetes v1.36.

The controllers order ports and subsets by a hash of a dump of memory. Here ports are in
the order of name, protocol and number, subsets in that of their ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress

from svcnet.family import IP_FAMILIES, IPFamily, family_of
from svcnet.models.endpoints import (
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
)

MAX_ADDRESSES = 1000
"""How many addresses of a subset are mirrored, ready ones first; the rest is dropped."""

_AS_NUMBERS = bytes.maketrans(b"01", b"\0\1")

Key = tuple[str, str]
"""What makes an address the same one: IP and UID of the object behind it."""

PortOrder = tuple[str, str, int, str]

Hosts = tuple[int, int]
"""Who serves a port: a bit for each address, and one for each that is not ready."""


def slices_of_endpoints(endpoints: Endpoints) -> tuple[EndpointSlice, ...]:
    """Return the slices that stand for an Endpoints object: one a subset and IP family.

    They are those of the mirroring controller, but for its own labels. No slice can have two
    ports of one name; the API server refuses those, and there are none.
    """
    packed = repack(endpoints.subsets)
    # Ports by addresses are a product: each address is made an endpoint once, not once a port.
    listed = {id(a): a for s in packed for a in (*s.addresses, *s.not_ready_addresses)}
    ready = {key: _endpoint(address, True) for key, address in listed.items()}
    others = {key: _endpoint(address, False) for key, address in listed.items()}
    are_unique = len(set(map(_identity, listed.values()))) == len(listed)
    families = {family_of(address.ip) for address in listed.values()}
    made = []
    for number, subset in enumerate(packed):
        if shared_port_name(subset) is not None:
            continue
        first = subset.addresses[:MAX_ADDRESSES]
        rest = subset.not_ready_addresses[: MAX_ADDRESSES - len(first)]
        found = (*map(ready.__getitem__, map(id, first)), *map(others.__getitem__, map(id, rest)))
        if not are_unique:
            # Of one object that is there twice the last counts.
            found = tuple(dict(zip(map(_identity, (*first, *rest)), found, strict=True)).values())
        for family in IP_FAMILIES:
            of_family = found if families == {family} else _of_family(found, family)
            if not of_family:
                continue
            made.append(
                EndpointSlice(
                    namespace=endpoints.namespace,
                    name=f"{endpoints.name}-{number}-{family.lower()}",
                    service_name=endpoints.name,
                    address_type=family,
                    ports=subset.ports,
                    endpoints=of_family,
                    labels=endpoints.labels,
                    ipvs_weight=endpoints.ipvs_weight,
                )
            )
    return tuple(made)


def _identity(address: EndpointAddress) -> tuple[str, str, str, str]:
    """Return what makes two endpoints of a slice the same one."""
    target = address.target_ref
    named = (target.namespace, target.name) if target else ("", "")
    return address.ip, address.hostname, *named


def _of_family(found: Iterable[Endpoint], family: IPFamily) -> tuple[Endpoint, ...]:
    return tuple([each for each in found if family_of(each.addresses[0]) == family])


def shared_port_name(subset: EndpointSubset) -> str | None:
    """Return a name that two ports of a subset have, None where each has its own."""
    names: set[str] = set()
    for port in subset.ports:
        if port.name in names:
            return port.name
        names.add(port.name)
    return None


def _endpoint(address: EndpointAddress, ready: bool) -> Endpoint:
    """Return an endpoint of which only readiness is told: absent, serving means true."""
    return Endpoint(
        addresses=(address.ip,),
        node_name=address.node_name,
        ready=ready,
        hostname=address.hostname,
        target_ref=address.target_ref,
    )


def repack(subsets: Sequence[EndpointSubset]) -> tuple[EndpointSubset, ...]:
    """Return subsets in their canonical form, which says the same of each address and port.

    An address that is ready in one place and not in another, for the same port, is not ready.
    Ports that the same addresses serve, equally ready, share a subset. An address that is
    there twice with different details has those of the first.
    """
    addresses: dict[Key, EndpointAddress] = {}
    for subset in subsets:
        for address in (*subset.addresses, *subset.not_ready_addresses):
            addresses.setdefault(_key(address), address)
    order = sorted(addresses)
    place = {key: number for number, key in enumerate(order)}
    by_port: dict[EndpointPort | None, Hosts] = {}
    for subset in subsets:
        ready, others = _bits(subset.addresses, place), _bits(subset.not_ready_addresses, place)
        if not ready | others:
            continue
        # None stands for no port at all, which a subset may have.
        for port in subset.ports or (None,):
            all_before, others_before = by_port.get(port, (0, 0))
            by_port[port] = (all_before | ready | others, others_before | others)
    ports_of: dict[Hosts, list[EndpointPort]] = {}
    for port, hosts in by_port.items():
        ports = ports_of.setdefault(hosts, [])
        if port is not None:
            ports.append(port)
    listed = [addresses[key] for key in order]
    packed = [
        EndpointSubset(
            addresses=_choose(listed, everyone & ~others),
            not_ready_addresses=_choose(listed, others),
            ports=tuple(sorted(ports, key=_port_order)),
        )
        for (everyone, others), ports in ports_of.items()
    ]
    return tuple(sorted(packed, key=_subset_order))


def _key(address: EndpointAddress) -> Key:
    """Return what tells addresses apart; the IP counts as text, as in the order of addresses."""
    return address.ip, address.target_ref.uid if address.target_ref else ""


def _bits(listed: Iterable[EndpointAddress], place: dict[Key, int]) -> int:
    """Return addresses as bits: so many ports by so many addresses are small to compare."""
    octets = bytearray(len(place) // 8 + 1)
    for address in listed:
        number = place[_key(address)]
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


def _choose(listed: Sequence[EndpointAddress], bits: int) -> tuple[EndpointAddress, ...]:
    digits = f"{bits:b}"[::-1].encode().translate(_AS_NUMBERS)
    return tuple(compress(listed, digits))


def _port_order(port: EndpointPort) -> PortOrder:
    return port.name, port.protocol, port.port, port.app_protocol


def _subset_order(subset: EndpointSubset) -> list[PortOrder]:
    """Return what subsets are sorted by: no two have a port in common."""
    return list(map(_port_order, subset.ports))
