"""Addresses as the kernel has them, and their canonical text."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton


def address_text(packed: bytes) -> str:
    """Return the canonical text (RFC 5952) of an address of 4 or 16 bytes."""
    if len(packed) == 4:
        return inet_ntop(AF_INET, packed)
    text = inet_ntop(AF_INET6, packed)
    if "." in text and packed[:12] == bytes(12):
        # The C library writes ::1.2.3.4 where RFC 5952 writes ::102:304.
        return f"::{packed[12] << 8 | packed[13]:x}:{packed[14] << 8 | packed[15]:x}"
    return text


def canonical_address(text: str) -> str:
    """Return the canonical text (RFC 5952) of an address; that of IPv4 has only one."""
    return address_text(inet_pton(AF_INET6, text)) if ":" in text else text
