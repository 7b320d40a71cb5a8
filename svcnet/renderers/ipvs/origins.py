"""Which field a line of a set, an address or a rule came from: by the values that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from attrs import frozen

from svcnet.addresses import canonical_address
from svcnet.graph import Fragment, LocalEndpoint, Origin, Translate
from svcnet.graph.nodes import Frontend
from svcnet.graph.origins import dispatch_at, source_origin
from svcnet.netfilter import ip, ipset
from svcnet.renderers.ipvs import sets
from svcnet.renderers.ipvs.sets import SETS, SetDefinition

_RULE_LINE = re.compile(r"-A KUBE-IPVS-OUT-FILTER .*--vaddr (\S+) .*--vport (\d+)")
_BALANCER: tuple[Frontend, ...] = ("load-balancer",)
_NODE_PORT: tuple[Frontend, ...] = ("node-port",)
_FRONTENDS: dict[SetDefinition, tuple[Frontend, ...]] = {
    sets.CLUSTER_IP: ("cluster-ip",),
    sets.EXTERNAL_IP: ("external-ip",),
    sets.EXTERNAL_IP_LOCAL: ("external-ip",),
    sets.LOAD_BALANCER: _BALANCER,
    sets.LOAD_BALANCER_FW: _BALANCER,
    sets.LOAD_BALANCER_LOCAL: _BALANCER,
    sets.LOAD_BALANCER_SOURCE_IP: _BALANCER,
}


@frozen
class Said:
    """What a line says: an address or else the port of nodes, and for a source what it is."""

    definition: SetDefinition
    address: str
    port: int
    source: str = ""

    @property
    def key(self) -> str:
        """What service ports are looked up by."""
        return self.address or str(self.port)


def said_in(line: str, family: str) -> Said | None:
    """Return what a line for ipset, ``ip -batch`` or iptables-restore says of a Service."""
    if asked := ip.read(line):
        return Said(sets.IPVS_IPS, canonical_address(asked.address), 0)
    if found := _RULE_LINE.match(line):
        return Said(sets.LOAD_BALANCER_FW, canonical_address(found[1]), int(found[2]))
    _, name, entry = ipset.read(line)
    definitions = (each for each in SETS if entry and each.name_in(family) == name)
    return next((_entry(each, entry) for each in definitions), None)


def _entry(definition: SetDefinition, entry: str) -> Said:
    place, _, rest = entry.partition(",")
    portal, _, source = rest.partition(",")
    if definition.type == "bitmap:port":
        return Said(definition, "", int(place))
    if definition in (sets.NODE_PORT_SCTP, sets.NODE_PORT_LOCAL_SCTP):
        return Said(definition, "", int(portal.partition(":")[2]))
    return Said(definition, canonical_address(place), int(portal.partition(":")[2] or 0), source)


def keys_of(fragment: Fragment) -> Iterator[str]:
    """Yield all that :attr:`Said.key` can be for lines that a service port caused."""
    for dispatch in fragment.dispatches:
        yield canonical_address(dispatch.address) or str(dispatch.port)
    if fragment.health_check is not None:
        yield str(fragment.health_check.port)
    for endpoint in fragment.local_endpoints:
        yield canonical_address(endpoint.address)


def origin_of(fragment: Fragment, said: Said) -> Origin | None:
    """Return what in a service port a line came from, None if it is another's."""
    definition = said.definition
    if definition is sets.LOOP_BACK:
        return endpoint_origin(fragment, said.address, said.port)
    if definition is sets.HEALTH_CHECK_NODE_PORT:
        check = fragment.health_check
        return check.origin if check is not None and check.port == said.port else None
    if definition is sets.LOAD_BALANCER_SOURCE_CIDR:
        owner = dispatch_at(fragment, said.address, said.port, _BALANCER)
        return None if owner is None else source_origin(fragment, _range(said.source))
    frontends = _FRONTENDS.get(definition, ()) if said.address else _NODE_PORT
    dispatch = dispatch_at(fragment, said.address, said.port, frontends)
    return None if dispatch is None else dispatch.origin


def endpoint_origin(fragment: Fragment, address: str, port: int) -> Origin | None:
    """Return the place of an endpoint of a service port, None if it has none such."""
    endpoints: Iterator[Translate | LocalEndpoint] = chain(
        fragment.translates, fragment.local_endpoints
    )
    own = canonical_address(address)
    for endpoint in endpoints:
        if endpoint.port == port and canonical_address(endpoint.address) == own:
            return endpoint.origin
    return None


def _range(source: str) -> str:
    """Return the range that an entry's network is of: the kernel has 0.0.0.0/0 in two halves."""
    address, _, length = source.partition("/")
    return f"{address}/0" if length == "1" else source
