"""The dummy device that holds the Services' addresses."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from socket import AF_INET, AF_INET6, AF_UNSPEC, NETLINK_ROUTE, if_nametoindex
from struct import Struct
from typing import Any

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.commands import run
from svcnet.executors.netlink import ask
from svcnet.netlink import each_attribute
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE
from svcnet.renderers.ipvs.wire import canonical_address

ALIAS = "svcnet"
"""The device's ``ifalias``, by which svcnet knows one that it made."""

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h
_RTM_GETLINK = 18
_RTM_GETADDR = 22
_IFLA_LINKINFO = 18
_IFLA_IFALIAS = 20
_LINK = Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg


@frozen
class Device:
    """The device as it is; ``is_ours`` if svcnet made it."""

    is_ours: bool
    addresses: frozenset[str]


def observe(family: str) -> Device | None:
    """Return the device with its addresses of a family, None if there is none.

    Raises ApplyError if another kind of device has its name.
    """
    try:
        if_nametoindex(DUMMY_DEVICE)
    except OSError:
        return None
    [link] = json.loads(run("iproute2", "ip", "-j", "-d", "address", "show", "dev", DUMMY_DEVICE))
    kind = link.get("linkinfo", {}).get("info_kind")
    if kind != "dummy":
        raise ApplyError(f"{DUMMY_DEVICE} is no dummy device but of kind {kind}")
    wanted = "inet6" if family == "IPv6" else "inet"
    addresses = [each["local"] for each in link["addr_info"] if each["family"] == wanted]
    return Device(link.get("ifalias") == ALIAS, frozenset(map(canonical_address, addresses)))


def mark(family: str) -> Hashable:
    """Return what is the same as long as nobody changes the device or its addresses of a family.

    Raises OSError.
    """
    try:
        index = if_nametoindex(DUMMY_DEVICE)
    except OSError:
        return None
    told = _LINK.pack(AF_UNSPEC, 0, index, 0, 0)
    link = [
        pair
        for answer in ask(NETLINK_ROUTE, _RTM_GETLINK, told)
        for pair in each_attribute(answer, _LINK.size)
        if pair[0] in (_IFLA_IFALIAS, _IFLA_LINKINFO)
    ]
    wanted = _ADDRESS.pack(AF_INET6 if family == "IPv6" else AF_INET, 0, 0, 0, index)
    addresses = blake2b()
    for answer in ask(NETLINK_ROUTE, _RTM_GETADDR, wanted, dump=True):
        addresses.update(answer)
    return (index, tuple(link), addresses.digest())


def make() -> None:
    """Make the device. Raises ApplyError."""
    with _route() as route:
        route.link("add", ifname=DUMMY_DEVICE, kind="dummy")
        route.link("set", index=if_nametoindex(DUMMY_DEVICE), ifalias=ALIAS)


def remove() -> None:
    """Remove the device and the addresses that it has. Raises ApplyError."""
    with _route() as route:
        route.link("del", ifname=DUMMY_DEVICE)


def change_addresses(lines: str) -> None:
    """Carry out lines of ``ip -batch``. Raises ApplyError; lines before a bad one are done."""
    run("iproute2", "ip", "-batch", "-", stdin=lines)


@contextmanager
def _route() -> Iterator[Any]:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as route:
            yield route
    except (NetlinkError, OSError) as error:
        raise ApplyError(f"{DUMMY_DEVICE}: {error}") from None
