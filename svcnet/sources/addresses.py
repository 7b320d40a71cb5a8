"""Addresses and CIDRs as text: checked and made canonical without building objects.

The rules are those of the API server's legacy parsers (k8s.io/utils/net, ``ParseIPSloppy``) in
Kubernetes v1.36: leading zeros are dropped, and an IPv4-mapped IPv6 address is IPv4. The API server
refuses these forms in new objects since v1.36, those before stored them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any

from svcnet.addresses import address_text
from svcnet.family import IPFamily

_MAPPED = bytes(10) + b"\xff\xff"
_LEADING_ZEROS = re.compile(r"(?<![0-9A-Fa-f])0+(?=[0-9A-Fa-f])")


def canonical_address(text: str) -> str | None:
    """Return an address as Go prints it, or None if it is none."""
    packed = packed_address(text)
    return None if packed is None else address_text(packed)


_WHERE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\+?([0-9]{1,20}))?")


def address_and_port(text: str, default: int) -> tuple[str, int]:
    """Return ``127.0.0.1:5353`` or ``[::1]:5353`` as a pair; without a port it is `default`.

    An address alone is one, IPv6 too. Raises ValueError with what it must be like.
    """
    alone = canonical_address(text)
    if alone is not None:
        return alone, default
    match = _WHERE.fullmatch(text)
    if match is not None:
        boxed, plain, port = match.groups(default="")
        address = canonical_address(boxed or plain)
        if address is not None and int(port or default) <= 65535:
            return address, int(port or default)
    raise ValueError(f"must be like 127.0.0.1:{default} or [::1]:{default}")


def packed_address(text: str) -> bytes | None:
    """Return the 4 or 16 bytes of an address, or None if it is none."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = inet_pton(family, text)
    except (OSError, ValueError):
        try:
            packed = inet_pton(family, _LEADING_ZEROS.sub("", text))
        except (OSError, ValueError):
            return None
    return packed[12:] if packed[:12] == _MAPPED else packed


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


def endpoint_address(text: Any, family: IPFamily | str) -> str:
    """Return an address of a slice in canonical form; the hot path of loading slices.

    It is empty where a closer look is needed: at what is no address of the family, or no text, and
    at what may be in one of the ranges that :func:`why_no_endpoint` knows.
    """
    try:
        if family == "IPv4":
            first = inet_pton(AF_INET, text)[0]
            return text if 0 < first < 224 and first not in (127, 169) else ""
        packed = inet_pton(AF_INET6, text)
        return inet_ntop(AF_INET6, packed) if 0 < packed[0] < 254 else ""
    except (OSError, TypeError, ValueError):
        return ""


MAX_CIDR = 100


def canonical_cidr(text: str) -> str | None:
    """Return a CIDR without host bits, or None if it is none."""
    # What is much too long for any is not remembered.
    return _canonical_cidr(text) if len(text) <= MAX_CIDR else None


@lru_cache(1024)
def _canonical_cidr(text: str) -> str | None:
    address, slash, length = text.partition("/")
    packed = packed_address(address)
    if packed is None or not slash or not (length.isascii() and length.isdigit()):
        return None
    bits, prefix = len(packed) * 8, int(length)
    if ":" in address and bits == 32:
        bits, packed = 128, _MAPPED + packed
    if prefix > bits:
        return None
    mask = (1 << bits) - (1 << (bits - prefix))
    network = (int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big")
    if len(network) == 16 and network[:12] == _MAPPED:
        return f"{address_text(network[12:])}/{prefix - 96}"
    return f"{address_text(network)}/{prefix}"


def why_no_endpoint(text: str) -> str:
    """Return why an address cannot be an external IP or an endpoint, empty when it can.

    Source: ``ValidateEndpointIP`` in pkg/apis/core/validation, Kubernetes v1.36. It takes the
    multicast addresses that routers forward.
    """
    packed = packed_address(text) or b""
    if not any(packed):
        return "may not be unspecified"
    loopback, link_local, multicast = _special(packed)
    if loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if multicast:
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/16)"
    return ""


def _special(packed: bytes) -> tuple[bool, bool, bool]:
    """Return whether an address is loopback, link-local unicast, link-local multicast."""
    if len(packed) == 4:
        return packed[0] == 127, packed[:2] == b"\xa9\xfe", packed[:3] == b"\xe0\x00\x00"
    return (
        packed == bytes(15) + b"\x01",
        packed[0] == 0xFE and packed[1] & 0xC0 == 0x80,
        packed[0] == 0xFF and packed[1] & 0x0F == 0x02,
    )
