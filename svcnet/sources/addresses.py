"""Addresses and CIDRs as text: checked and made canonical without building objects.

The rules are those of the API server's legacy parsers (k8s.io/utils/net, ``ParseIPSloppy``):
leading zeros in an IPv4 octet are dropped, and an IPv4-mapped IPv6 address is IPv4.
"""

from __future__ import annotations

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from svcnet.models.family import IPFamily

_MAPPED = bytes(10) + b"\xff\xff"


def canonical_address(text: str) -> str | None:
    """Return an address as Go prints it, or None if it is none."""
    packed = packed_address(text)
    return None if packed is None else _printed(packed)


_WHERE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?")


def address_and_port(text: str, default: int) -> tuple[str, int]:
    """Return ``127.0.0.1:5353`` or ``[::1]:5353`` as a pair; without a port it is `default`.

    Raises ValueError with what it must be like.
    """
    match = _WHERE.fullmatch(text)
    if match is not None:
        address, port = match["six"] or match["four"], int(match["port"] or default)
        family: IPFamily = "IPv6" if match["six"] else "IPv4"
        if is_address(address, family) and port <= 65535:
            return address, port
    raise ValueError(f"must be like 127.0.0.1:{default} or [::1]:{default}")


def packed_address(text: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address, or None if it is none."""
    try:
        if ":" in text:
            packed = inet_pton(AF_INET6, text)
            return packed[12:] if packed[:12] == _MAPPED else packed
        return inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return _sloppy(text)


def _sloppy(text: str) -> bytes | None:
    octets = text.split(".")
    if len(octets) != 4 or not all(o.isascii() and o.isdigit() and len(o) <= 20 for o in octets):
        return None
    numbers = [int(octet) for octet in octets]
    return bytes(numbers) if max(numbers) < 256 else None


def _printed(packed: bytes) -> str:
    if len(packed) == 4:
        return inet_ntop(AF_INET, packed)
    text = inet_ntop(AF_INET6, packed)
    # The C library writes ::1.2.3.4 where Go writes ::102:304.
    if "." in text:
        return f"::{packed[12] << 8 | packed[13]:x}:{packed[14] << 8 | packed[15]:x}"
    return text


def is_address(text: str, family: IPFamily) -> bool:
    """Return whether `text` is an address of `family`; the hot path of loading slices."""
    try:
        if family == "IPv4":
            inet_pton(AF_INET, text)
        else:
            return inet_pton(AF_INET6, text)[:12] != _MAPPED
    except (OSError, ValueError):
        return False
    return True


MAX_CIDR = 100


def canonical_cidr(text: str) -> str | None:
    """Return a CIDR trimmed and without host bits, or None if it is none."""
    # What is much too long for any is not remembered.
    return _canonical_cidr(text) if len(text) <= MAX_CIDR else None


@lru_cache(1024)
def _canonical_cidr(text: str) -> str | None:
    address, slash, length = text.strip().partition("/")
    packed = packed_address(address)
    digits = length.isascii() and length.isdigit() and len(length) <= 3
    if packed is None or not slash or not digits or (len(length) > 1 and length[0] == "0"):
        return None
    bits, prefix = len(packed) * 8, int(length)
    if ":" in address and bits == 32:
        bits, packed = 128, _MAPPED + packed
    if prefix > bits:
        return None
    if bits == 128 and packed[:12] == _MAPPED and prefix < 96:
        packed = bytes(16)
    mask = (1 << bits) - (1 << (bits - prefix))
    network = (int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big")
    if len(network) == 16 and network[:12] == _MAPPED:
        return f"{_printed(network[12:])}/{prefix - 96}"
    return f"{_printed(network)}/{prefix}"


def why_not_external(text: str) -> str:
    """Return why an address cannot be an external IP or an endpoint, empty when it can.

    Source: ``ValidateNonSpecialIP`` in pkg/apis/core/validation.
    """
    from netaddr import IPAddress

    address = IPAddress(text)
    if int(address) == 0:
        return "may not be unspecified"
    if address.is_loopback():
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if address.is_link_local():
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if address.is_multicast():
        return "may not be in a multicast range (224.0.0.0/4, ff00::/8)"
    return ""
