"""The dummy device that holds the Services' addresses."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EEXIST, ENODEV
from hashlib import blake2b
from ipaddress import IPv4Network
from itertools import groupby
from socket import AF_INET, AF_INET6, AF_UNSPEC, NETLINK_ROUTE, if_nametoindex, inet_pton
from struct import Struct
from types import MappingProxyType

from attrs import evolve, frozen

from svcnet.addresses import address_text, host_network
from svcnet.errors import ApplyError
from svcnet.executors.commands import complaint, hint
from svcnet.executors.ipvs.refusals import Refusal
from svcnet.executors.netlink import ask, reason, tell
from svcnet.netfilter import ip
from svcnet.netfilter.ip import Address
from svcnet.netlink import attribute, attributes, each_attribute, errno_text, nested
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

ALIAS = "svcnet"
"""The device's ``ifalias``, by which people know one that svcnet made."""
GROUP = 0x7376_6E65
"""The device's group, which comes with the device in one message: no kill leaves one without."""

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/netlink.h
_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_GETADDR = 22
_IFLA_IFNAME = 3
_IFLA_LINKINFO = 18
_IFLA_INFO_KIND = 1
_IFLA_IFALIAS = 20
_IFLA_GROUP = 27
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_CACHEINFO = 6
_LINK = Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg
_LIFETIMES = Struct("=II")  # the head of struct ifa_cacheinfo: preferred, valid
_NUMBER = Struct("=I")
_FOR_EVER = 0xFFFFFFFF
_SCOPE_GLOBAL = 0
_NLM_F_EXCL = 0x200
_NLM_F_CREATE = 0x400

_CHANGES = MappingProxyType(
    {"add": (_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL), "del": (_RTM_DELADDR, 0)}
)
"""The message for what ``ip address`` calls so, and its flags."""


@frozen
class Held:
    """An address as the device holds it.

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


def held(address: str) -> Held:
    """Return an address as svcnet adds it."""
    return Held(address, host_network(address))


@frozen
class Device:
    """The device as it is; ``is_ours`` if svcnet made it.

    One of another kind than dummy has only its name in common with it.
    """

    is_ours: bool
    held: tuple[Held, ...]
    kind: str = "dummy"

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses that it holds, however it holds them."""
        return frozenset(each.address for each in self.held)


def observe(family: str) -> Device | None:
    """Return the device with its addresses of a family, None if there is none.

    Of one of another kind the addresses are not listed. Raises ApplyError.
    """
    index = _index()
    if index is None:
        return None
    with _told():
        try:
            [link] = ask(NETLINK_ROUTE, _RTM_GETLINK, _LINK.pack(AF_UNSPEC, 0, index, 0, 0))
        except OSError as error:
            if error.errno == ENODEV:
                return None
            raise
        found = parse_link(link)
        if found.kind != "dummy":
            return found
        return evolve(found, held=tuple(map(parse_address, _addresses(family, index))))


def _index() -> int | None:
    """Return the device's number, None if it is not there: so an error without errno says."""
    try:
        return if_nametoindex(DUMMY_DEVICE)
    except OSError:
        return None


def parse_link(body: bytes) -> Device:
    """Return the device in the body of an RTM_NEWLINK, without addresses. Raises ValueError."""
    told = attributes(body, _LINK.size)
    kind = attributes(told.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"").rstrip(b"\0")
    alias = told.get(_IFLA_IFALIAS, b"").rstrip(b"\0")
    is_marked = alias == ALIAS.encode() or told.get(_IFLA_GROUP) == _NUMBER.pack(GROUP)
    return Device(is_marked and kind == b"dummy", (), kind.decode(errors="replace") or "no kind")


def _addresses(family: str, index: int) -> list[bytes]:
    """Return what the kernel tells of the addresses of a device, each in a message's body."""
    wanted = _ADDRESS.pack(AF_INET6 if family == "IPv6" else AF_INET, 0, 0, 0, index)
    told = ask(NETLINK_ROUTE, _RTM_GETADDR, wanted, dump=True)
    return [body for body in told if _ADDRESS.unpack_from(body)[4] == index]


def parse_address(body: bytes) -> Held:
    """Return the address in the body of an RTM_NEWADDR. Raises ValueError."""
    try:
        family, length, _, scope, _ = _ADDRESS.unpack_from(body)
        told = attributes(body, _ADDRESS.size)
        other = told.get(_IFA_ADDRESS, b"")
        own = told.get(_IFA_LOCAL, other)
        lifetimes = told.get(_IFA_CACHEINFO, b"")
        ends = lifetimes and _LIFETIMES.unpack_from(lifetimes)[1] != _FOR_EVER
    except struct.error as error:
        raise ValueError(f"an address that ends within its header: {error}") from None
    address = address_text(own)
    text = address if other in (own, b"") else f"{address} peer {address_text(other)}"
    is_scoped = family == AF_INET and scope != _SCOPE_GLOBAL
    one = held(address)
    text = f"{text}/{length}"
    return Held(address, text, text == one.text and not is_scoped and not ends)


def mark(family: str) -> Hashable:
    """Return what is the same as long as nobody changes the device or its addresses of a family.

    Raises OSError.
    """
    index = _index()
    if index is None:
        return None
    told = _LINK.pack(AF_UNSPEC, 0, index, 0, 0)
    link = [
        pair
        for answer in ask(NETLINK_ROUTE, _RTM_GETLINK, told)
        for pair in each_attribute(answer, _LINK.size)
        if pair[0] in (_IFLA_IFALIAS, _IFLA_LINKINFO, _IFLA_GROUP)
    ]
    addresses = blake2b()
    for answer in _addresses(family, index):
        addresses.update(answer)
    return (index, tuple(link), addresses.digest())


def make() -> None:
    """Make the device; one that somebody made meanwhile is as good. Raises ApplyError."""
    name = attribute(_IFLA_IFNAME, DUMMY_DEVICE.encode() + b"\0")
    kind = nested(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"dummy\0"))
    head = _LINK.pack(AF_UNSPEC, 0, 0, 0, 0)
    with _told():
        try:
            group = attribute(_IFLA_GROUP, _NUMBER.pack(GROUP))
            _change(_RTM_NEWLINK, head + name + kind + group, _NLM_F_CREATE | _NLM_F_EXCL)
        except OSError as error:
            if error.errno != EEXIST:
                raise
            return
        _change(_RTM_NEWLINK, head + name + attribute(_IFLA_IFALIAS, ALIAS.encode()))


def remove() -> None:
    """Remove the device and the addresses that it has, if it is there. Raises ApplyError."""
    index = _index()
    if index is None:
        return
    with _told():
        try:
            _change(_RTM_DELLINK, _LINK.pack(AF_UNSPEC, 0, index, 0, 0))
        except OSError as error:
            if error.errno != ENODEV:
                raise


def change_addresses(lines: Sequence[str], family: str) -> Iterator[Refusal]:
    """Carry out lines of ``ip -batch`` about addresses, and yield those that the kernel refuses.

    What a line asks for may be so already, by another's hand: that is as good. Lines of a verb
    that follow each other go to the kernel together.
    """
    refused: list[tuple[str, Address, str]] = []
    read = [(line, asked) for line in lines if (asked := ip.read(line))]
    for verb, group in groupby(read, lambda pair: pair[1].verb):
        same = tuple(group)
        try:
            addresses = [address for _, address in same]
            refused += ((*same[number], why) for number, why in _changed(verb, addresses, family))
        except OSError as error:
            refused += ((*pair, reason(error)) for pair in same)
    if not refused:
        return
    try:
        there = observe(family)
    except ApplyError:
        there = None
    for line, address, why in refused:
        if there is None or not _is_done(address, there.held):
            yield Refusal("ip", line.strip(), f"{why}{hint(why)}", line)


def _changed(verb: str, asked: Iterable[Address], family: str) -> Iterator[tuple[int, str]]:
    """Have the kernel do the same with addresses; yield the place of each it refuses, and why.

    Raises OSError where it cannot be spoken to, or there is no device.
    """
    index = _index()
    if index is None:
        raise OSError(ENODEV, errno_text(ENODEV))
    kind, flags = _CHANGES[verb]
    bodies = [_request(address, family, index) for address in asked]
    for number, errno in tell(NETLINK_ROUTE, kind, flags, bodies):
        yield number, errno_text(errno)


def _is_done(asked: Address, there: Iterable[Held]) -> bool:
    return any(each.text == asked.text for each in there) is (asked.verb == "add")


def _request(asked: Address, family: str, index: int) -> bytes:
    """Return the body of the message that asks for an address."""
    number = AF_INET6 if family == "IPv6" else AF_INET
    head = _ADDRESS.pack(number, asked.length, 0, _SCOPE_GLOBAL, index)
    local = attribute(_IFA_LOCAL, inet_pton(number, asked.address))
    return head + local + attribute(_IFA_ADDRESS, inet_pton(number, asked.peer))


def _change(kind: int, body: bytes, flags: int = 0) -> None:
    for _ in ask(NETLINK_ROUTE, kind, body, flags=flags):
        pass


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise complaint(DUMMY_DEVICE, reason(error)) from None
    except ValueError as error:
        raise ApplyError(f"{DUMMY_DEVICE}: {error}") from None
