"""Names of the chains and sets: a hash, and then what people can read.

Source of the scheme: pkg/proxy/nftables/proxier.go of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256

from svcnet.graph import Dispatch, FragmentName

MOST = 240
"""The most characters of a name, without the word in front that says what it is of."""

_SURELY_SHORT = MOST - len("12345678-") - len("1111.2222.3333.4444.5555.6666.7777.8888/65535")
"""With so many characters before its address no name of an endpoint is too long."""

FILTER_PREROUTING_PRE_DNAT = "filter-prerouting-pre-dnat"
FILTER_OUTPUT_PRE_DNAT = "filter-output-pre-dnat"
FILTER_INPUT = "filter-input"
FILTER_FORWARD = "filter-forward"
FILTER_OUTPUT = "filter-output"
NAT_PREROUTING = "nat-prerouting"
NAT_OUTPUT = "nat-output"
NAT_POSTROUTING = "nat-postrouting"

SERVICES = "services"
MASQUERADING = "masquerading"
FIREWALL_CHECK = "firewall-check"
CLUSTER_IPS_CHECK = "cluster-ips-check"
NODE_PORT_ENDPOINTS_CHECK = "nodeport-endpoints-check"
SERVICE_ENDPOINTS_CHECK = "service-endpoints-check"
REJECT = "reject-chain"

CLUSTER_IPS = "cluster-ips"
HAIRPIN_CONNECTIONS = "hairpin-connections"
NODE_PORT_IPS = "nodeport-ips"
FIREWALL_IPS = "firewall-ips"
NO_ENDPOINT_SERVICES = "no-endpoint-services"
NO_ENDPOINT_NODE_PORTS = "no-endpoint-nodeports"
SERVICE_IPS = "service-ips"
SERVICE_NODE_PORTS = "service-nodeports"

LEADING = frozenset((SERVICE_IPS, SERVICE_NODE_PORTS))
"""The maps whose elements lead destinations to the chains that translate them."""


def frontend_key(dispatch: Dispatch, protocol: str) -> str:
    """Return what a destination is in maps; a node port's has no address."""
    if dispatch.frontend == "node-port":
        return f"{protocol} . {dispatch.port}"
    return f"{dispatch.address} . {protocol} . {dispatch.port}"


def leading_map(dispatch: Dispatch) -> str:
    """Return the map whose element leads a destination to a chain."""
    return SERVICE_NODE_PORTS if dispatch.frontend == "node-port" else SERVICE_IPS


def service_base(name: FragmentName) -> str:
    """Return what the names of a service port's own chains end in."""
    return _add_hash(_readable(name))


def endpoint_bases(name: FragmentName, endpoints: Iterable[tuple[str, int]]) -> list[str]:
    """Return what the names of the chain and the set of each of its endpoints end in."""
    port = f"{_readable(name)}__"
    readable = [f"{port}{address.replace(':', '.')}/{number}" for address, number in endpoints]
    if len(port) > _SURELY_SHORT:
        return list(map(_add_hash, readable))
    pairs, from_bytes = _pairs(), int.from_bytes
    bits = [from_bytes(sha256(each.encode()).digest()[:5], "big") for each in readable]
    return [
        f"{pairs[n >> 30]}{pairs[n >> 20 & 1023]}{pairs[n >> 10 & 1023]}{pairs[n & 1023]}-{each}"
        for n, each in zip(bits, readable, strict=True)
    ]


def _readable(name: FragmentName) -> str:
    return f"{name.namespace}/{name.name}/{name.protocol.lower()}/{name.port_name}"


def _add_hash(readable: str) -> str:
    """Return a name with eight letters of the base32 form (RFC 4648) of its SHA-256 before it.

    They are its first 40 bits, ten for each two letters: a fifth of the time of the standard
    library, and with session affinity each endpoint has a name.
    """
    pairs = _pairs()
    bits = int.from_bytes(sha256(readable.encode()).digest()[:5], "big")
    letters = (
        pairs[bits >> 30] + pairs[bits >> 20 & 1023] + pairs[bits >> 10 & 1023] + pairs[bits & 1023]
    )
    name = f"{letters}-{readable}"
    return name if len(name) <= MOST else f"{name[: MOST - 3]}..."


@cache
def _pairs() -> tuple[str, ...]:
    """Return the two letters of each ten bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return tuple([one + other for one in alphabet for other in alphabet])
