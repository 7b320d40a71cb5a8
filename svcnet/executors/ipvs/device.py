"""The dummy device that holds the Services' addresses: what it is, and what changes it."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EEXIST, ENODEV
from hashlib import blake2b
from itertools import groupby

from attrs import frozen

from svcnet.errors import ApplyError
from svcnet.executors.commands import complaint, hint
from svcnet.executors.links import addresses, link
from svcnet.executors.lock import Busy
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ask, reason, tell
from svcnet.family import IP_FAMILIES, IPFamily
from svcnet.netfilter import ip
from svcnet.netfilter.ip import Address, wire
from svcnet.netfilter.ip.wire import DeviceAddress, own_address
from svcnet.netlink import errno_text
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE

ALIAS = "svcnet"
"""The device's ``ifalias``, by which people know one that svcnet made."""
GROUP = 0x7376_6E65
"""The device's group, which comes with the device in one message: no kill leaves one without."""


@frozen
class Device:
    """The device as it is; ``is_ours`` if svcnet made it.

    One of another kind than dummy has only its name in common with it.
    """

    is_ours: bool
    held: tuple[DeviceAddress, ...]
    kind: str = "dummy"

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses that it holds, however it holds them."""
        return frozenset(each.address for each in self.held)


def observe(machine: Machine, family: IPFamily) -> Device | None:
    """Return the device with its addresses of a family, None if there is none.

    Of one of another kind the addresses are not listed. Raises ApplyError.
    """
    with _translate_errors(machine):
        body = link(machine, DUMMY_DEVICE)
        if body is None:
            return None
        device = wire.parse_link(body)
        is_marked = device.alias == ALIAS or device.group == GROUP
        if device.kind != "dummy":
            return Device(is_ours=False, held=(), kind=device.kind)
        told = addresses(machine, family, device.index)
        return Device(is_marked, tuple(map(wire.parse_address, told)))


def mark(machine: Machine, family: IPFamily) -> Hashable:
    """Return what is the same as long as nobody changes the device or its addresses of a family.

    Raises OSError, and ValueError for what is no answer.
    """
    body = link(machine, DUMMY_DEVICE)
    if body is None:
        return None
    digest = blake2b()
    for answer in addresses(machine, family, wire.parse_link(body).index):
        digest.update(answer)
    return (wire.link_mark(body), digest.digest())


def make(machine: Machine) -> None:
    """Make the device; one that somebody made meanwhile is as good. Raises ApplyError."""
    flags = wire.NLM_F_CREATE | wire.NLM_F_EXCL
    with _translate_errors(machine):
        try:
            _change(machine, wire.RTM_NEWLINK, wire.dummy_body(DUMMY_DEVICE, GROUP), flags)
        except OSError as error:
            if error.errno != EEXIST:
                raise
            return
        _change(machine, wire.RTM_NEWLINK, wire.alias_body(DUMMY_DEVICE, ALIAS))


def remove_unused(machine: Machine) -> Iterator[str]:
    """Remove the device that svcnet made, when no family has need of it; yield what was done.

    Another svcnet that is at work on the other family may be about to.
    """
    if not _is_unused(machine):
        return
    try:
        with machine.locks(IP_FAMILIES):
            is_gone = _is_unused(machine)
            if is_gone:
                _remove(machine)
    except Busy as error:
        yield f"{DUMMY_DEVICE} is left: {error}"
        return
    if is_gone:
        yield f"{DUMMY_DEVICE} removed"


def _is_unused(machine: Machine) -> bool:
    found = [observe(machine, family) for family in IP_FAMILIES]
    return all(each is not None and each.is_ours and not each.held for each in found)


def _remove(machine: Machine) -> None:
    """Remove the device and the addresses that it has, if it is there. Raises ApplyError."""
    with _translate_errors(machine):
        body = link(machine, DUMMY_DEVICE)
        if body is None:
            return
        try:
            index = wire.parse_link(body).index
            _change(machine, wire.RTM_DELLINK, wire.deletion_body(index))
        except OSError as error:
            if error.errno != ENODEV:
                raise


def address_changes(
    wanted: frozenset[str],
    own: Container[str],
    there: Sequence[DeviceAddress],
    kept: Container[str],
) -> tuple[str, ...]:
    """Return what puts the wanted addresses on the device, and takes `own` others off.

    Those that are `kept` stay. One that is there in another way, such as with another prefix
    length, is put right.
    """
    right = {each.address for each in there if each.plain}
    wrong = [each for each in there if not each.plain and each.address in wanted]
    gone = [
        each
        for each in there
        if each.address in own and each.address not in wanted and each.address not in kept
    ]
    put_right = frozenset(each.address for each in wrong)
    lines = [_line("add", own_address(address)) for address in sorted(wanted - right - put_right)]
    for address in sorted(put_right):
        ways = [each for each in wrong if each.address == address]
        lines += _in_place_of(ways, is_there=address in right)
    lines += [_line("del", each) for each in gone]
    return tuple(lines) + tuple(_put_back([*wrong, *gone], there))


def removed_addresses(
    gone: Iterable[DeviceAddress], there: Iterable[DeviceAddress]
) -> tuple[str, ...]:
    """Return what takes addresses off the device, and leaves all others there."""
    gone = tuple(gone)
    return tuple(_line("del", each) for each in gone) + tuple(_put_back(gone, there))


def _put_back(gone: Iterable[DeviceAddress], there: Iterable[DeviceAddress]) -> Iterator[str]:
    """Yield what puts addresses of others back that the kernel takes with one that goes.

    Of the IPv4 addresses of one network the first takes all others along, unless the kernel is
    told to promote one (``promote_secondaries``): then they are there still.
    """
    gone = tuple(gone)
    networks = {each.network for each in gone} - {None}
    for each in there:
        if each.network in networks and each not in gone:
            yield _line("add", each)


def _in_place_of(ways: list[DeviceAddress], *, is_there: bool) -> Iterator[str]:
    """Yield what has an address held in the one right way, and in none of others.

    With IPv6, or where the text of both is the same, the kernel takes the one for the other:
    then the wrong one goes first.
    """
    one = own_address(ways[0].address)
    added = [] if is_there else [_line("add", one)]
    is_taken = ":" in one.address or any(each.text == one.text for each in ways)
    gone = [_line("del", each) for each in ways]
    yield from gone + added if is_taken else added + gone


def address_lines(verb: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that add addresses as svcnet does, or delete (``del``) such."""
    return tuple(_line(verb, own_address(address)) for address in sorted(addresses))


def _line(verb: str, one: DeviceAddress) -> str:
    return ip.address(verb, one.text, DUMMY_DEVICE)


def link_lines() -> tuple[str, ...]:
    """Return the lines that make the device."""
    return ip.make_dummy(DUMMY_DEVICE, GROUP), ip.name_alias(DUMMY_DEVICE, ALIAS)


def change_addresses(
    machine: Machine, lines: Iterable[str], family: IPFamily
) -> Iterator[tuple[str, str]]:
    """Carry out lines of ``ip -batch`` about addresses; yield those that are refused, and why.

    What a line asks for may be so already, by another's hand: that is as good. Lines of a verb
    that follow each other go to the kernel together.
    """
    refused: list[tuple[str, Address, str]] = []
    read: list[tuple[str, Address]] = []
    for line in lines:
        asked = ip.read(line)
        if asked is None:
            yield line, "it is no line about an address"
        else:
            read.append((line, asked))
    for verb, group in groupby(read, lambda pair: pair[1].verb):
        same = tuple(group)
        try:
            addresses = [address for _, address in same]
            for number, why in _change_addresses(machine, verb, addresses, family):
                line, address = same[number]
                refused.append((line, address, why))
        except OSError as error:
            refused += ((line, address, reason(error)) for line, address in same)
        except ValueError as error:
            refused += ((line, address, str(error)) for line, address in same)
    if not refused:
        return
    try:
        there = observe(machine, family)
    except ApplyError:
        there = None
    for line, address, why in refused:
        if there is None or not _is_done(address, there.held):
            yield line, f"{why}{hint(why, machine=machine)}"


def _change_addresses(
    machine: Machine, verb: str, asked: Iterable[Address], family: IPFamily
) -> Iterator[tuple[int, str]]:
    """Have the kernel do the same with addresses; yield the place of each it refuses, and why.

    Raises OSError where it cannot be spoken to, or there is no device, and ValueError for what
    is no answer.
    """
    body = link(machine, DUMMY_DEVICE)
    if body is None:
        raise OSError(ENODEV, errno_text(ENODEV))
    index = wire.parse_link(body).index
    kind, flags = wire.ADDRESS_CHANGES[verb]
    bodies = [wire.address_body(address, family, index) for address in asked]
    for number, errno in tell(wire.NETLINK_ROUTE, kind, flags, bodies, machine=machine):
        yield number, errno_text(errno)


def _is_done(asked: Address, there: Iterable[DeviceAddress]) -> bool:
    return any(each.text == asked.text for each in there) is (asked.verb == "add")


def _change(machine: Machine, kind: int, body: bytes, flags: int = 0) -> None:
    for _ in ask(wire.NETLINK_ROUTE, kind, body, flags=flags, machine=machine):
        pass


@contextmanager
def _translate_errors(machine: Machine) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise complaint(DUMMY_DEVICE, reason(error), machine=machine) from None
    except ValueError as error:
        raise ApplyError(f"{DUMMY_DEVICE}: {error}") from None
