"""Addresses as text: the one form of each, and the network that has nothing else."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from svcnet.family import IPFamily

BITS: dict[IPFamily, int] = {"IPv4": 32, "IPv6": 128}
"""How long an address is, and so the prefix of a network of one."""


def address_text(packed: bytes) -> str:
    """Return the canonical text (RFC 5952) of an address of 4 or 16 bytes."""
    return ipv4_text(packed) if len(packed) == 4 else ipv6_text(packed)


def ipv4_text(packed: bytes) -> str:
    """Return the one text of an IPv4 address. Raises ValueError for another size."""
    return inet_ntop(AF_INET, packed)


def ipv6_text(packed: bytes) -> str:
    """Return the canonical text of an IPv6 address. Raises ValueError for another size."""
    text = inet_ntop(AF_INET6, packed)
    if "." in text and packed[:12] == bytes(12):
        # The C library writes ::1.2.3.4 where RFC 5952 writes ::102:304.
        return f"::{packed[12] << 8 | packed[13]:x}:{packed[14] << 8 | packed[15]:x}"
    return text


def address_number(text: str) -> int:
    """Return an address as a number. Raises ValueError for what is none."""
    try:
        return int.from_bytes(inet_pton(AF_INET6 if ":" in text else AF_INET, text), "big")
    except (OSError, UnicodeError):
        raise ValueError(text) from None


def number_address(number: int, family: IPFamily) -> str:
    """Return the canonical text of an address that is a number."""
    return address_text(number.to_bytes(BITS[family] // 8, "big"))


def canonical_address(text: str) -> str:
    """Return the canonical text (RFC 5952) of an address; that of IPv4 has only one.

    What is no address is returned as it is.
    """
    if ":" not in text:
        return text
    try:
        return address_text(inet_pton(AF_INET6, text))
    except (OSError, ValueError):
        return text


def is_address(text: str) -> bool:
    """Return whether a text is an address, in whichever of its forms."""
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def host_network(address: str) -> str:
    """Return the CIDR of the network that has this address only."""
    return f"{address}/{128 if ':' in address else 32}"


def network_of(cidr: str) -> IPv4Network | IPv6Network:
    """Return the network of a CIDR, whose address may be any in it. Raises ValueError."""
    return ip_network(cidr, strict=False)


def contains(cidr: str, address: str) -> bool:
    """Return whether an address lies in a CIDR; never true across IP families."""
    return ip_address(address) in network_of(cidr)
