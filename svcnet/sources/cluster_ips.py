"""Cluster IPs that somebody else has too, or that no API server would give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter

from svcnet import checks
from svcnet.checks import Check
from svcnet.models import EndpointSlice, Node, Pod, Service, ServiceCIDR
from svcnet.models.service import HEADLESS
from svcnet.models.state import ClusterObject
from svcnet.sources.addresses import packed_address
from svcnet.sources.findings import Findings, ObjectPlace, Path

Located = tuple[ClusterObject, ObjectPlace]
Use = tuple[Service, ObjectPlace]

_ADDRESSES, _FIRST = attrgetter("addresses"), itemgetter(0)


def check_cluster_ips(located: Sequence[Located], findings: Findings) -> None:
    """Warn of cluster IPs that are addresses of Nodes, Pods or endpoints, or in no ServiceCIDR."""
    uses = {
        address: (item, place)
        for item, place in located
        if isinstance(item, Service)
        for address in item.cluster_ips
        if address != HEADLESS
    }
    for address, place in _others(located, uses):
        what = "an endpoint" if place.label.startswith("EndpointSlice") else "an address"
        message = (
            f"{address} is {what} of {place.label} too: "
            "what is sent there goes to this Service's endpoints"
        )
        _warn(checks.CLUSTER_IP_TAKEN, address, uses[address], message, findings)
    given, pods = _networks_of(located), _of_pods(located)
    for address, use in uses.items() if given else ():
        if given.holder(address) is None:
            message = f"{address} is in no ServiceCIDR: an API server gives no such address"
            _warn(checks.OUTSIDE_SERVICE_CIDR, address, use, message, findings)
    for address, use in uses.items() if pods else ():
        if (pod_cidr := pods.holder(address)) is not None:
            message = f"{address} is in {pod_cidr}: a Pod that is given it cannot be reached"
            _warn(checks.CLUSTER_IP_TAKEN, address, use, message, findings)


def _warn(check: Check, address: str, use: Use, message: str, findings: Findings) -> None:
    service, place = use
    several = len(service.cluster_ips) > 1
    index = service.cluster_ips.index(address)
    path: Path = ("spec", "clusterIPs", index) if several else ("spec", "clusterIP")
    findings.warning(check, place, path, message)


def _others(
    located: Iterable[Located], uses: Mapping[str, Use]
) -> Iterator[tuple[str, ObjectPlace]]:
    """Yield the cluster IPs that others have, each once, with whose they are."""
    found: dict[str, ObjectPlace] = {}
    for item, place in located:
        if isinstance(item, EndpointSlice):
            # The most numerous by far, and hardly ever is there one.
            addresses: Iterable[str] = map(_FIRST, map(_ADDRESSES, item.endpoints))
        elif isinstance(item, Node):
            addresses = item.addresses
        elif isinstance(item, Pod):
            addresses = item.pod_ips
        else:
            continue
        for address in filter(uses.__contains__, addresses):
            found.setdefault(address, place)
    yield from found.items()


class _Networks:
    """Which of some networks an address is in; it costs as much as there are prefix lengths."""

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        for cidr, name in named:
            network, _, length = cidr.partition("/")
            packed = packed_address(network) or b""
            bits = len(packed) * 8 - int(length)
            found = self._by_length.setdefault((len(packed), bits), {})
            found.setdefault(int.from_bytes(packed, "big") >> bits, name)

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def holder(self, address: str) -> str | None:
        """Return the name of a network that an address is in, None if it is in none."""
        packed = packed_address(address) or b""
        number = int.from_bytes(packed, "big")
        for (size, bits), found in self._by_length.items():
            if size == len(packed) and (name := found.get(number >> bits)) is not None:
                return name
        return None


def _networks_of(located: Iterable[Located]) -> _Networks:
    return _Networks(
        (cidr, item.name)
        for item, _ in located
        if isinstance(item, ServiceCIDR)
        for cidr in item.cidrs
    )


def _of_pods(located: Iterable[Located]) -> _Networks:
    return _Networks(
        (cidr, f"{cidr}, the pod CIDR of Node {item.name}")
        for item, _ in located
        if isinstance(item, Node)
        for cidr in item.pod_cidrs
    )
