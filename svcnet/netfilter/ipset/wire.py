"""What is asked about sets over netlink, and what the kernel answers, as bytes.

Names of constants are those of Linux ``linux/netfilter/nfnetlink.h`` and
``linux/netfilter/ipset/ip_set.h``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from socket import AF_INET, AF_INET6, AF_UNSPEC
from types import MappingProxyType
from typing import Literal, TypeAlias

from attrs import frozen

from svcnet.netlink import NFGENMSG, attribute, attributes, each_attribute

_NFNL_SUBSYS_IPSET = 6
_IPSET_PROTOCOL = 6  # the oldest that kernels of today speak
_IPSET_CMD_LIST = 7
_IPSET_CMD_SAVE = 8
_IPSET_ATTR_PROTOCOL = 1
_IPSET_ATTR_SETNAME = 2
_IPSET_ATTR_TYPENAME = 3
_IPSET_ATTR_FAMILY = 5
_IPSET_ATTR_FLAGS = 6
_IPSET_ATTR_DATA = 7
_IPSET_ATTR_ADT = 8
_IPSET_FLAG_LIST_HEADER = 1 << 2
# Of what is in IPSET_ATTR_DATA.
_IPSET_ATTR_TIMEOUT = 6
_IPSET_ATTR_CADT_FLAGS = 8
_IPSET_ATTR_MAXELEM = 19
_IPSET_ATTR_ELEMENTS = 24
_IPSET_ATTR_REFERENCES = 25
_IPSET_FLAG_WITH_COMMENT = 1 << 4
SetFamily: TypeAlias = Literal["inet", "inet6", ""]
"""ipset's word for a family; a set of ports has none."""

_FAMILIES: Mapping[int, SetFamily] = MappingProxyType(
    {int(AF_INET): "inet", int(AF_INET6): "inet6"}
)


@frozen
class Header:
    """What the kernel itself says of a set.

    ``entries`` is how many it has, None where the kernel is too old to say. With comments a
    listing may hold anything. ``references`` counts what uses it, such as rules.
    """

    type: str
    family: SetFamily
    max_elements: int
    timeout: str
    entries: int | None
    references: int
    has_comments: bool


def header_request(name: str) -> tuple[int, bytes]:
    """Return the kind and body of the message that asks what a set is, without its entries."""
    flags = attribute(_IPSET_ATTR_FLAGS, _IPSET_FLAG_LIST_HEADER.to_bytes(4, "big"))
    return _NFNL_SUBSYS_IPSET << 8 | _IPSET_CMD_LIST, _about(name) + flags


def save_request(name: str) -> tuple[int, bytes]:
    """Return the kind and body of the message that asks what a set is and has."""
    return _NFNL_SUBSYS_IPSET << 8 | _IPSET_CMD_SAVE, _about(name)


def _about(name: str) -> bytes:
    return (
        NFGENMSG.pack(AF_UNSPEC, 0, 0)
        + attribute(_IPSET_ATTR_PROTOCOL, bytes([_IPSET_PROTOCOL]))
        + attribute(_IPSET_ATTR_SETNAME, name.encode() + b"\0")
    )


def parse_header(answer: bytes) -> Header:
    """Return what the body of an answer to a :func:`header_request` says. Raises ValueError."""
    told = attributes(answer, NFGENMSG.size)
    data = attributes(told.get(_IPSET_ATTR_DATA, b""))

    def number(kind: int) -> int:
        return int.from_bytes(data.get(kind, b""), "big")

    return Header(
        type=told.get(_IPSET_ATTR_TYPENAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        family=_FAMILIES.get(int.from_bytes(told.get(_IPSET_ATTR_FAMILY, b""), "big"), ""),
        max_elements=number(_IPSET_ATTR_MAXELEM),
        timeout=str(number(_IPSET_ATTR_TIMEOUT)) if _IPSET_ATTR_TIMEOUT in data else "",
        entries=number(_IPSET_ATTR_ELEMENTS) if _IPSET_ATTR_ELEMENTS in data else None,
        references=number(_IPSET_ATTR_REFERENCES),
        has_comments=bool(number(_IPSET_ATTR_CADT_FLAGS) & _IPSET_FLAG_WITH_COMMENT),
    )


def fingerprint(answer: bytes, *, has_times: bool) -> Iterator[bytes]:
    """Yield what one body of the answers to a :func:`save_request` says, for comparison.

    It is the same as long as nobody changes the set. If the set `has_times`, that is without the
    seconds that its entries still have. Raises ValueError for what is no attributes.
    """
    for kind, value in each_attribute(answer, NFGENMSG.size):
        if has_times and kind == _IPSET_ATTR_ADT:
            yield from (_without_time(entry) for _, entry in each_attribute(value))
        elif not has_times or kind != _IPSET_ATTR_DATA:
            yield value


def _without_time(entry: bytes) -> bytes:
    return b"".join(
        attribute(kind, value)
        for kind, value in each_attribute(entry)
        if kind != _IPSET_ATTR_TIMEOUT
    )
