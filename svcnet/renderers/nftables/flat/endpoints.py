"""Endpoints as elements of a map: of each frontend they are numbered from 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from svcnet.graph import Translate
from svcnet.netfilter.nft import NFTElement
from svcnet.renderers.nftables import names

PROTOCOLS = ("tcp", "udp", "sctp")

_PREFIXES = {
    (False, False): "service-endpoints-",
    (False, True): "service-local-endpoints-",
    (True, False): "nodeport-endpoints-",
    (True, True): "nodeport-local-endpoints-",
}
_MAPS = {
    (protocol, *which): f"{prefix}{protocol}"
    for protocol in PROTOCOLS
    for which, prefix in _PREFIXES.items()
}
ENDPOINT_MAPS = frozenset(_MAPS.values())
"""The names of all maps of endpoints."""


def endpoint_map(protocol: str, *, is_node_port: bool, is_local: bool) -> str:
    """Return the name of the map with endpoints, of all of them or of this node's."""
    return _MAPS[protocol, is_node_port, is_local]


def frontend_of(container: str, key: str) -> tuple[str, str]:
    """Return where the element is that leads a frontend to its endpoints: which map, which key.

    `key` is the frontend's part of the keys in a map of endpoints.
    """
    protocol = container.rpartition("-")[2]
    address, _, port = key.rpartition(" . ")
    if container.startswith("nodeport-"):
        return names.SERVICE_NODE_PORTS, f"{protocol} . {port}"
    return names.SERVICE_IPS, f"{address} . {protocol} . {port}"


class EndpointRow(NamedTuple):
    """Endpoints of a frontend in a map, as many elements as there are, kept as one thing.

    ``key`` is the frontend's part of their keys, such as ``10.96.0.10 . 80`` or ``30080``, and
    ``first`` the number of the first of the ``endpoints``.
    """

    container: str
    key: str
    endpoints: tuple[Translate, ...]
    first: int = 0

    def elements(self) -> Iterator[NFTElement]:
        """Yield the elements one by one."""
        container, key, endpoints, first = self
        for number, each in enumerate(endpoints, first):
            yield NFTElement(container, f"{key} . {number}", f"{each.address} . {each.port}")

    def add(self, table: str) -> str:
        """Return the lines that add the elements, each its own."""
        container, key, endpoints, first = self
        head = f"add element {table} {container} {{ {key} . "
        return "".join(
            [
                f"{head}{number} : {each.address} . {each.port} }}\n"
                for number, each in enumerate(endpoints, first)
            ]
        )

    def delete(self, table: str) -> str:
        """Return the lines that delete the elements, whatever their values."""
        container, key, endpoints, first = self
        head = f"delete element {table} {container} {{ {key} . "
        return "".join([f"{head}{number} }}\n" for number in range(first, first + len(endpoints))])

    def part(self, begin: int, end: int) -> EndpointRow:
        """Return the elements from one number to before another."""
        first = self.first
        return self._replace(endpoints=self.endpoints[begin - first : end - first], first=begin)
