"""Domain names as text, and addresses as names."""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_pton

from svcnet.addresses import address_text

REVERSE = ("in-addr.arpa.", "ip6.arpa.")
MAX_NAME = 253
_NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+")


def absolute(name: str) -> str:
    """Return a name in lower case and with its final dot."""
    name = name.lower()
    return name if name.endswith(".") else f"{name}."


def is_name(name: str) -> bool:
    """Return whether an absolute name in lower case fits into a message (RFC 1035, 2.3.4)."""
    return len(name) <= MAX_NAME + 1 and _NAME.fullmatch(name) is not None


def within(name: str, zone: str) -> bool:
    """Return whether `name` is `zone` or below it; both are absolute."""
    if zone in (name, "."):
        return True
    if not name.endswith(f".{zone}"):
        return False
    return "\\" not in name or not _ends_in_escape(name.removesuffix(f".{zone}"))


def _ends_in_escape(text: str) -> bool:
    """Return whether a dot that follows would be a letter of a label (RFC 1035, 5.1)."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def is_reverse(zone: str) -> bool:
    """Return whether a zone is one of addresses."""
    return any(within(zone, top) for top in REVERSE)


def is_ip(text: str) -> bool:
    """Return whether `text` is an address of either family."""
    return pack_address(text) is not None


def pack_address(text: str) -> bytes | None:
    """Return the bytes of an address, None if it is none."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return None


def reverse_name(address: str) -> str:
    """Return the name whose PTR record leads from `address` to names."""
    data = pack_address(address)
    if data is None:
        raise ValueError(f"{address!r} is no address")
    if len(data) == 4:
        return ".".join(str(octet) for octet in reversed(data)) + ".in-addr.arpa."
    return ".".join(reversed(data.hex())) + ".ip6.arpa."


def dash_address(address: str) -> str:
    """Return the label that spells an address, with dashes for dots and colons."""
    return address.replace(".", "-").replace(":", "-")


def address_of_label(label: str) -> str | None:
    """Return the address that the label of a Pod's name stands for, None if it is none."""
    four = label.count("-") == 3 and "--" not in label
    data = pack_address(label.replace("-", "." if four else ":"))
    if data is None:
        return None
    return address_text(data)
