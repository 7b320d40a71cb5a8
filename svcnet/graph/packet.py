"""A packet that the graph, and what is made of it, is asked about."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from attrs import field, frozen

from svcnet.addresses import canonical_address, is_address
from svcnet.brief import Brief
from svcnet.errors import UsageError
from svcnet.family import IPFamily, family_of

PROTOCOLS = ("TCP", "UDP", "SCTP")
"""The protocols that have ports, and that Services have."""

MOST_PORT = 65535
MOST_INTERFACE = 15
"""The most bytes of an interface's name (``IFNAMSIZ``)."""


def _canonical(text: Any) -> Any:
    return canonical_address(text) if isinstance(text, str) else text


def _endpoints(texts: Any) -> frozenset[str]:
    return frozenset(endpoint(text) for text in texts)


@frozen(repr=False)
class Packet(Brief):
    """The first packet of a connection, as it reaches the node or is sent by it.

    ``interface`` is the one it came in by; empty for packets of the node itself.
    ``remembered`` are the endpoints (``ip:port``) that session affinity still holds for
    this source. Addresses become canonical text. Raises :class:`svcnet.errors.UsageError` for what
    no packet can be: what is no address, addresses of two families, a source that stands for no
    sender, a port that is none, another protocol.
    """

    source: str = field(converter=_canonical)
    destination: str = field(converter=_canonical)
    port: int
    protocol: str = "TCP"
    interface: str = ""
    remembered: frozenset[str] = field(default=frozenset(), converter=_endpoints)

    def __attrs_post_init__(self) -> None:
        _check_address("source", self.source)
        _check_address("destination", self.destination)
        if family_of(self.source) != family_of(self.destination):
            raise UsageError(
                f"a packet has addresses of one IP family: not from {self.source} "
                f"to {self.destination}"
            )
        _check_sender(self.source)
        if not any(_octets(self.destination)):
            raise UsageError(f"no packet has the destination {self.destination}")
        check_port(self.port)
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"a protocol is TCP, UDP or SCTP; not {self.protocol!r}")
        _check_interface(self.interface)
        for each in self.remembered:
            if family_of(each.rpartition(":")[0]) != self.family:
                raise UsageError(f"{each} is no endpoint of a packet from {self.source}")

    @property
    def family(self) -> IPFamily:
        """The IP family of both addresses."""
        return family_of(self.destination)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, with its own names as keys; ``remembered`` is a list."""
        return {
            "source": self.source,
            "destination": self.destination,
            "port": self.port,
            "protocol": self.protocol,
            "interface": self.interface,
            "remembered": sorted(self.remembered),
        }


def endpoint(text: str) -> str:
    """Return ``ip:port``, IPv6 in brackets, in its canonical form. Raises UsageError for others."""
    address, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    is_boxed = address.startswith("[") and address.endswith("]")
    bare = address[1:-1] if is_boxed else address
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(MOST_PORT))
    if not colon or not is_address(bare) or is_boxed != (":" in bare) or not is_number:
        raise UsageError(f"an endpoint is like 10.244.1.5:8080 or [fd00::5]:8080; not {text!r}")
    _check_address("an endpoint", bare)
    check_port(int(port))
    found = canonical_address(bare)
    return f"[{found}]:{int(port)}" if is_boxed else f"{found}:{int(port)}"


def check_port(port: object) -> None:
    """Raise UsageError for what is no number of a port."""
    if type(port) is not int or not 0 < port <= MOST_PORT:
        raise UsageError(f"a port is from 1 to {MOST_PORT}; not {port!r}")


def _check_address(name: str, text: object) -> None:
    if not isinstance(text, str) or not is_address(text):
        scoped = " without a zone" if isinstance(text, str) and "%" in text else ""
        raise UsageError(f"{name}: must be an IP address{scoped}; not {text!r}")
    found = ip_address(text)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        raise UsageError(f"{name}: {text} never stands in a packet: IPv4 is {found.ipv4_mapped}")


def _check_sender(text: str) -> None:
    found = ip_address(text)
    if found.is_multicast or found.is_unspecified or text == "255.255.255.255":
        raise UsageError(f"source: {text} is no sender's address")


def _check_interface(name: object) -> None:
    if not isinstance(name, str) or not _is_interface(name):
        raise UsageError(
            f"an interface has a name of at most {MOST_INTERFACE} bytes, without blanks and "
            f"slashes; not {name!r}"
        )


def _is_interface(name: str) -> bool:
    if not name:
        return True
    is_name = name.isprintable() and not set(name) & set(" /:") and name not in (".", "..")
    return is_name and len(name.encode()) <= MOST_INTERFACE


def _octets(address: str) -> bytes:
    return ip_address(address).packed
