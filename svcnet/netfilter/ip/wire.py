"""Messages about devices and their addresses as bytes, and the kernel's answers as values.

Names of constants are those of Linux ``linux/rtnetlink.h``, ``linux/if_link.h``,
``linux/if_addr.h`` and ``linux/netlink.h``.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping
from ipaddress import IPv4Network
from socket import AF_INET, AF_INET6, AF_UNSPEC, inet_pton
from struct import Struct
from sys import byteorder
from types import MappingProxyType

from attrs import frozen

from svcnet.addresses import address_text, host_network
from svcnet.family import IPFamily
from svcnet.netfilter.ip.text import Address
from svcnet.netlink import attribute, attributes, each_attribute, nest

NETLINK_ROUTE = 0
"""The protocol of netlink."""

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
IFLA_IFNAME = 3
IFLA_LINKINFO = 18
IFLA_INFO_KIND = 1
IFLA_IFALIAS = 20
IFLA_GROUP = 27
IFA_ADDRESS = 1
IFA_LOCAL = 2
_IFA_CACHEINFO = 6
LINK = Struct("=BxHiII")
"""struct ifinfomsg."""
ADDRESS = Struct("=BBBBI")
"""struct ifaddrmsg."""
NUMBER = Struct("=I")
_LIFETIMES = Struct("=II")  # the head of struct ifa_cacheinfo: preferred, valid
_FOR_EVER = 0xFFFFFFFF
_SCOPE_GLOBAL = 0
FAMILIES: Mapping[IPFamily, int] = MappingProxyType({"IPv4": AF_INET, "IPv6": AF_INET6})
ADDRESS_CHANGES = MappingProxyType(
    {"add": (RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL), "del": (RTM_DELADDR, 0)}
)
"""The kind of the message for what ``ip address`` calls so, and its flags."""


@frozen
class Link:
    """A device: its number, its kind such as ``dummy``, its alias and its group."""

    index: int
    kind: str
    alias: str
    group: int


@frozen
class DeviceAddress:
    """An address as a device holds it.

    ``text`` is what ``ip address del`` takes for it. It is ``plain`` as svcnet adds one: of
    one address, without an other end, for good and for everywhere.
    """

    address: str
    text: str
    plain: bool = True

    @property
    def network(self) -> IPv4Network | None:
        """The network of IPv4 that the address is one of several of, if it is one of such."""
        if ":" in self.address or " " in self.text or self.text.endswith("/32"):
            return None
        return IPv4Network(self.text, strict=False)


def own_address(address: str) -> DeviceAddress:
    """Return an address as svcnet adds it."""
    return DeviceAddress(address, host_network(address))


def link_body(name: str) -> bytes:
    """Return the body of a message that is about a device of a name."""
    return LINK.pack(AF_UNSPEC, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name.encode() + b"\0")


def dummy_body(name: str, group: int) -> bytes:
    """Return the body of the RTM_NEWLINK that makes a dummy device in a group."""
    kind = nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"dummy\0"))
    return link_body(name) + kind + attribute(IFLA_GROUP, NUMBER.pack(group))


def alias_body(name: str, alias: str) -> bytes:
    """Return the body of the RTM_NEWLINK that gives a device an alias."""
    return link_body(name) + attribute(IFLA_IFALIAS, alias.encode())


def deletion_body(index: int) -> bytes:
    """Return the body of the RTM_DELLINK of a device."""
    return LINK.pack(AF_UNSPEC, 0, index, 0, 0)


def addresses_body(family: IPFamily | None = None, index: int = 0) -> bytes:
    """Return the body of the RTM_GETADDR that lists addresses: all, or of a family or a device."""
    return ADDRESS.pack(FAMILIES[family] if family else AF_UNSPEC, 0, 0, 0, index)


def address_body(asked: Address, family: IPFamily, index: int) -> bytes:
    """Return the body of the message that adds an address to a device, or deletes it."""
    number = FAMILIES[family]
    head = ADDRESS.pack(number, asked.length, 0, _SCOPE_GLOBAL, index)
    local = attribute(IFA_LOCAL, inet_pton(number, asked.address))
    return head + local + attribute(IFA_ADDRESS, inet_pton(number, asked.peer))


def parse_link(body: bytes) -> Link:
    """Return the device in the body of an RTM_NEWLINK. Raises ValueError."""
    try:
        index = LINK.unpack_from(body)[2]
    except struct.error as error:
        raise ValueError(f"a device that ends within its header: {error}") from None
    told = attributes(body, LINK.size)
    kind = attributes(told.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_KIND, b"").rstrip(b"\0")
    return Link(
        index,
        kind.decode(errors="replace") or "no kind",
        told.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        int.from_bytes(told.get(IFLA_GROUP, b""), byteorder),
    )


def link_mark(body: bytes) -> Hashable:
    """Return what of an RTM_NEWLINK is the same as long as nobody makes another of the device.

    Raises ValueError.
    """
    told = each_attribute(body, LINK.size)
    about = [pair for pair in told if pair[0] in (IFLA_IFALIAS, IFLA_LINKINFO, IFLA_GROUP)]
    return (parse_link(body).index, tuple(about))


def device_of(body: bytes) -> int:
    """Return the number of the device that an RTM_NEWADDR is about. Raises ValueError."""
    try:
        index: int = ADDRESS.unpack_from(body)[4]
    except struct.error as error:
        raise _cut(error) from None
    return index


def parse_address(body: bytes) -> DeviceAddress:
    """Return the address in the body of an RTM_NEWADDR. Raises ValueError."""
    try:
        family, length, _, scope, _ = ADDRESS.unpack_from(body)
        told = attributes(body, ADDRESS.size)
        other = told.get(IFA_ADDRESS, b"")
        own = told.get(IFA_LOCAL, other)
        lifetimes = told.get(_IFA_CACHEINFO, b"")
        ends = lifetimes and _LIFETIMES.unpack_from(lifetimes)[1] != _FOR_EVER
    except struct.error as error:
        raise _cut(error) from None
    address = address_text(own)
    text = address if other in (own, b"") else f"{address} peer {address_text(other)}"
    is_scoped = family == AF_INET and scope != _SCOPE_GLOBAL
    one = own_address(address)
    text = f"{text}/{length}"
    return DeviceAddress(address, text, text == one.text and not is_scoped and not ends)


def _cut(error: struct.error) -> ValueError:
    return ValueError(f"an address that ends within its header: {error}")
