"""The devices of a network namespace and their addresses, as the kernel lists them."""

from __future__ import annotations

from errno import ENODEV

from svcnet.executors.machine import Machine
from svcnet.executors.netlink import UnsettledDump, ask
from svcnet.family import IPFamily
from svcnet.netfilter.ip import wire

_TRIES = 10
"""How often a list is asked for that changes while it is made: each takes well below 1 ms."""


def link(machine: Machine, name: str) -> bytes | None:
    """Return what the kernel tells of a device, None if it is not there. Raises OSError."""
    body = wire.link_body(name)
    try:
        return next(ask(wire.NETLINK_ROUTE, wire.RTM_GETLINK, body, machine=machine), None)
    except OSError as error:
        if error.errno == ENODEV:
            return None
        raise


def addresses(machine: Machine, family: IPFamily, index: int) -> list[bytes]:
    """Return what the kernel tells of the addresses of a device, each in a message's body.

    Raises OSError, and ValueError for what is no answer.
    """
    found = _addresses(machine, wire.addresses_body(family, index))
    return [body for body in found if wire.device_of(body) == index]


def all_addresses(machine: Machine) -> list[bytes]:
    """Return the same of all devices and both families, in the kernel's order."""
    for _ in range(_TRIES - 1):
        try:
            return _addresses(machine, wire.addresses_body())
        except UnsettledDump:
            continue
    return _addresses(machine, wire.addresses_body())


def _addresses(machine: Machine, body: bytes) -> list[bytes]:
    return [*ask(wire.NETLINK_ROUTE, wire.RTM_GETADDR, body, dump=True, machine=machine)]
