"""What the kernel of a fake machine has of IPVS mode, told over netlink and by ipset."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from errno import (
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOENT,
    EOPNOTSUPP,
    EPROTONOSUPPORT,
    ESRCH,
)
from struct import pack
from sys import byteorder

from svcnet.addresses import address_text
from svcnet.executors.children import Output
from svcnet.executors.ipvs.observe import key_of
from svcnet.family import IP_FAMILIES, IPFamily
from svcnet.netfilter import ip
from svcnet.netfilter.ip import wire as links
from svcnet.netfilter.ipvs import wire
from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Dest,
    IPVSService,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.netfilter.ipvs.wire.uapi import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_CMD_NEWFAMILY,
    GENL_ID_CTRL,
    IPVS_CMD_ATTR_DEST,
    IPVS_CMD_ATTR_SERVICE,
    IPVS_CMD_ATTR_TIMEOUT_TCP,
    IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
    IPVS_CMD_ATTR_TIMEOUT_UDP,
    IPVS_DEST_ATTR_ACTIVE_CONNS,
    IPVS_DEST_ATTR_ADDR,
    IPVS_DEST_ATTR_FWD_METHOD,
    IPVS_DEST_ATTR_INACT_CONNS,
    IPVS_DEST_ATTR_L_THRESH,
    IPVS_DEST_ATTR_PORT,
    IPVS_DEST_ATTR_U_THRESH,
    IPVS_DEST_ATTR_WEIGHT,
    IPVS_SVC_ATTR_ADDR,
    IPVS_SVC_ATTR_AF,
    IPVS_SVC_ATTR_FLAGS,
    IPVS_SVC_ATTR_PORT,
    IPVS_SVC_ATTR_PROTOCOL,
    IPVS_SVC_ATTR_SCHED_NAME,
    IPVS_SVC_ATTR_TIMEOUT,
    PROTOCOL_NAMES,
)
from svcnet.netlink import NLMSGHDR, attribute, attributes, nest
from svcnet.renderers.ipvs.tables import DUMMY_DEVICE
from svcnet.testing.fake_ipvs import FakeIPVS, FakeSet, KernelRefusal

_FAMILY_ID = 0x1C
_INDEX = 7
_SET_LIST, _SET_SAVE = 7, 8  # IPSET_CMD_LIST, IPSET_CMD_SAVE
_GET_SERVICE, _GET_DEST, _GET_CONFIG, _SET_CONFIG = 4, 8, 13, 12  # linux/ip_vs.h
_ABOUT_SERVICES: dict[int, Callable[[IPVSService], Message]] = {
    1: NewService,
    2: SetService,
    3: DelService,
}
_ABOUT_DESTS: dict[int, Callable[[IPVSService, Dest], Message]] = {
    5: NewDest,
    6: SetDest,
    7: DelDest,
}


class FakeIPVSKernel:
    """Virtual servers, sets and one device of a network namespace, in both families.

    ``families`` are the machine's state by family, to be looked at and changed. `lacks` are the
    modules and options that the kernel does not have, and `references` counts the rules that name
    a set; `refuses` says of a line of ``ipset restore`` or ``ip -batch``, or of a message as text,
    whether it is refused. ``addresses`` are those of the other devices, as ``ip address add`` takes
    them.
    """

    def __init__(
        self,
        lacks: set[str],
        references: Callable[[str], int],
        refuses: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.families = {family: FakeIPVS(family) for family in IP_FAMILIES}
        self.sets: dict[str, FakeSet] = {}
        for each in self.families.values():
            each.sets = self.sets
        self.lacks = lacks
        self.is_loaded = False
        self.device: links.Link | None = None
        self.addresses = ["127.0.0.1/8", "::1/128"]
        self._references = references
        self._refuses = refuses

    def generic(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Answer a message of generic netlink. Raises OSError for what is refused."""
        if "ip_vs" in self.lacks:
            raise OSError(ENOENT, "no such family")
        self.is_loaded = True
        if kind == GENL_ID_CTRL:
            family = attribute(CTRL_ATTR_FAMILY_ID, pack("=H", _FAMILY_ID))
            yield GENL_ID_CTRL, bytes([CTRL_CMD_NEWFAMILY, 1, 0, 0]) + family
            return
        command, told = body[0], attributes(body, 4)
        service = _service(told[IPVS_CMD_ATTR_SERVICE]) if IPVS_CMD_ATTR_SERVICE in told else None
        dest = _dest(told[IPVS_CMD_ATTR_DEST]) if IPVS_CMD_ATTR_DEST in told else None
        if command == _GET_SERVICE:
            yield from (_body_of(NewService(found)) for found in self._services(service))
        elif command == _GET_DEST and service is not None:
            fake = self.families[service.family]
            yield from (_list_service(service, found) for found in fake.dests(key_of(service)))
        elif command == _GET_CONFIG:
            yield _body_of(SetConfig(self.families["IPv4"].timeouts))
        elif command == _SET_CONFIG:
            for fake in self.families.values():
                fake.message(SetConfig(_timeouts(told)))
        elif command in _ABOUT_SERVICES and service is not None:
            self._change(_ABOUT_SERVICES[command](service), service)
        elif command in _ABOUT_DESTS and service is not None and dest is not None:
            self._change(_ABOUT_DESTS[command](service, dest), service)
        else:
            raise OSError(EINVAL, "no such command")

    def _check(self, text: str) -> None:
        if self._refuses(text):
            raise OSError(EINVAL, "it is refused")

    def _services(self, asked: IPVSService | None) -> list[IPVSService]:
        every = [found for fake in self.families.values() for found in fake.servers.values()]
        if asked is None:
            return every
        found = [each for each in every if each.key == asked.key]
        if not found:
            raise OSError(ESRCH, "no such service")
        return found

    def _change(self, message: Message, service: IPVSService) -> None:
        self._check(str(message))
        if isinstance(message, NewService):
            if service.family == "IPv6" and "CONFIG_IP_VS_IPV6" in self.lacks:
                raise OSError(EAFNOSUPPORT, "no IPv6")
            if f"CONFIG_IP_VS_PROTO_{service.protocol}" in self.lacks:
                raise OSError(EPROTONOSUPPORT, "no such protocol")
        schedules = isinstance(message, NewService | SetService)
        if schedules and f"ip_vs_{service.scheduler}" in self.lacks:
            raise OSError(ENOENT, "no such scheduler")
        _carry_out(lambda: self.families[service.family].message(message))

    def route(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Answer a message about devices and addresses. Raises OSError for what is refused."""
        match kind:
            case links.RTM_GETLINK:
                device = self._device(0)
                yield links.RTM_NEWLINK, _link(device)
            case links.RTM_NEWLINK:
                self._make(attributes(body, links.LINK.size))
            case links.RTM_DELLINK:
                self._device(links.parse_link(body).index)
                self.device = None
                for fake in self.families.values():
                    fake.addresses = None
            case links.RTM_GETADDR:
                yield from self._addresses(body[0], links.device_of(body))
            case links.RTM_NEWADDR | links.RTM_DELADDR:
                self._device(links.device_of(body))
                self._address(kind, body)
            case _:
                raise OSError(EOPNOTSUPP, "no such message")

    def _addresses(self, number: int, index: int) -> Iterator[tuple[int, bytes]]:
        """Yield addresses of a family, or both, and of a device, or all."""
        for family, fake in self.families.items():
            if number not in (socket.AF_UNSPEC, links.FAMILIES[family]):
                continue
            own = [each for each in self.addresses if (":" in each) == (family == "IPv6")]
            for each, texts in ((1, own), (_INDEX, sorted(fake.addresses or ()))):
                if index in (0, each):
                    for text in texts:
                        yield links.RTM_NEWADDR, _address(family, text, each)

    def _device(self, index: int) -> links.Link:
        """Return the device, which is the only one. Raises OSError if it is not there."""
        if self.device is None or index not in (0, self.device.index):
            raise OSError(ENODEV, "no such device")
        return self.device

    def _make(self, told: dict[int, bytes]) -> None:
        """Make the device, or give it an alias."""
        if links.IFLA_LINKINFO not in told:
            there = self._device(0)
            alias = told[links.IFLA_IFALIAS].decode()
            self.device = links.Link(there.index, there.kind, alias, there.group)
            return
        self._check("link add")
        if self.device is not None:
            raise OSError(EEXIST, "it exists")
        if "dummy" in self.lacks:
            raise OSError(EOPNOTSUPP, "no such kind")
        group = int.from_bytes(told[links.IFLA_GROUP], byteorder)
        self.device = links.Link(_INDEX, "dummy", "", group)
        for fake in self.families.values():
            fake.addresses = set()

    def _address(self, kind: int, body: bytes) -> None:
        one = links.parse_address(body)
        verb = "add" if kind == links.RTM_NEWADDR else "del"
        fake = self.families["IPv6" if ":" in one.address else "IPv4"]
        errno = EEXIST if verb == "add" else EADDRNOTAVAIL
        self._check(ip.address(verb, one.text, DUMMY_DEVICE).strip())
        _carry_out(lambda: fake.line("address", ip.address(verb, one.text, "dummy")), errno)

    def ask_sets(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        """Answer a question about a set. Raises OSError where there is none."""
        if "ip_set" in self.lacks:
            raise OSError(EINVAL, "no such subsystem")
        name = attributes(body, 4)[2].rstrip(b"\0").decode()
        found = self.sets.get(name)
        if found is None:
            raise OSError(ENOENT, "no such set")
        head = bytes(4) + attribute(2, name.encode() + b"\0")
        head += attribute(3, found.type.encode() + b"\0")
        if "family" in found.options:
            six = found.options["family"] == "inet6"
            head += attribute(5, bytes([socket.AF_INET6 if six else socket.AF_INET]))
        data = attribute(19, pack("!I", found.size)) if found.size else b""
        if "timeout" in found.options:
            data += attribute(6, pack("!I", int(found.options["timeout"])))
        data += attribute(24, pack("!I", len(found.entries)))
        data += attribute(25, pack("!I", self._references(name)))
        told = head + nest(7, data)
        if kind & 0xFF == _SET_SAVE:
            entries = (nest(7, attribute(1, each.encode())) for each in sorted(found.entries))
            told += nest(8, b"".join(entries))
        yield kind, told

    def ipset(self, text: str) -> Output:
        """Do what ``ipset restore`` does: it stops at the first line that it refuses."""
        printed: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                printed.append(self._set_line(line))
            except ValueError as error:
                told = f"ipset v7.17: Error in line {number}: {error}"
                return Output(1, "".join(printed), told)
        return Output(0, "".join(printed), "")

    def _set_line(self, line: str) -> str:
        if self._refuses(line):
            raise ValueError("it is refused")
        match line.split():
            case ["save", name]:
                return self._save(name)
            case ["create", _, kind, *_] if _module(kind) in self.lacks or "ip_set" in self.lacks:
                raise ValueError("Kernel error received: set type not supported")
            case ["destroy", name] if self._references(name):
                raise ValueError("Set cannot be destroyed: it is in use by a kernel component")
        self.families["IPv4"].line("ipset", line)
        return ""

    def _save(self, name: str) -> str:
        if name not in self.sets:
            raise ValueError("The set with the given name does not exist")
        found = self.sets[name]
        given = [f"{key} {value}" for key, value in found.options.items() if key != "timeout"]
        size = [f"hashsize 1024 maxelem {found.size}"] if found.size else []
        time = [f"timeout {found.options['timeout']}"] if "timeout" in found.options else []
        lines = [" ".join(["create", name, found.type, *given, *size, *time])]
        lines += [" ".join(["add", name, entry, *time]) for entry in sorted(found.entries)]
        return "".join(f"{line}\n" for line in lines)


def _module(kind: str) -> str:
    return f"ip_set_{kind.replace(':', '_').replace(',', '')}"


def _carry_out(work: Callable[[], None], errno: int = 0) -> None:
    """Have what is refused come as an OSError."""
    try:
        work()
    except KernelRefusal as error:
        raise OSError(errno or error.errno, str(error)) from None


def _service(value: bytes) -> IPVSService:
    told = attributes(value)
    six = int.from_bytes(told[IPVS_SVC_ATTR_AF], byteorder) == socket.AF_INET6
    number = int.from_bytes(told[IPVS_SVC_ATTR_PROTOCOL], byteorder)
    key = IPVSService(
        address_text(told[IPVS_SVC_ATTR_ADDR][: 16 if six else 4]),
        int.from_bytes(told[IPVS_SVC_ATTR_PORT], "big"),
        PROTOCOL_NAMES[number],
    )
    if IPVS_SVC_ATTR_SCHED_NAME not in told:
        return key
    return IPVSService(
        key.address,
        key.port,
        key.protocol,
        scheduler=told[IPVS_SVC_ATTR_SCHED_NAME].rstrip(b"\0").decode(),
        flags=int.from_bytes(told[IPVS_SVC_ATTR_FLAGS][:4], byteorder),
        timeout=int.from_bytes(told[IPVS_SVC_ATTR_TIMEOUT], byteorder),
    )


def _dest(value: bytes) -> Dest:
    told = attributes(value)

    def number(kind: int) -> int:
        return int.from_bytes(told.get(kind, b""), byteorder)

    # IPVS_DEST_ATTR_ADDR_FAMILY
    six = number(11) == socket.AF_INET6
    return Dest(
        address_text(told[IPVS_DEST_ATTR_ADDR][: 16 if six else 4]),
        int.from_bytes(told[IPVS_DEST_ATTR_PORT], "big"),
        weight=number(IPVS_DEST_ATTR_WEIGHT),
        forward=number(IPVS_DEST_ATTR_FWD_METHOD),
        upper_threshold=number(IPVS_DEST_ATTR_U_THRESH),
        lower_threshold=number(IPVS_DEST_ATTR_L_THRESH),
    )


def _timeouts(told: dict[int, bytes]) -> Timeouts:
    kinds = (IPVS_CMD_ATTR_TIMEOUT_TCP, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, IPVS_CMD_ATTR_TIMEOUT_UDP)
    tcp, tcp_fin, udp = (int.from_bytes(told.get(kind, b""), byteorder) for kind in kinds)
    return Timeouts(tcp=tcp, tcp_fin=tcp_fin, udp=udp)


def _body_of(message: Message) -> tuple[int, bytes]:
    """Return what tells of something: the message that makes it, as the kernel's."""
    return _FAMILY_ID, wire.encode(message, _FAMILY_ID)[NLMSGHDR.size :]


def _list_service(service: IPVSService, found: ObservedDest) -> tuple[int, bytes]:
    _, body = _body_of(NewDest(service, found.dest))
    dest = attributes(body, 4)[IPVS_CMD_ATTR_DEST]
    dest += attribute(IPVS_DEST_ATTR_ACTIVE_CONNS, pack("=I", found.active_connections))
    dest += attribute(IPVS_DEST_ATTR_INACT_CONNS, pack("=I", found.inactive_connections))
    return _FAMILY_ID, body[:4] + nest(IPVS_CMD_ATTR_DEST, dest)


def _link(device: links.Link) -> bytes:
    """Return the body of the message by which the kernel tells of a device."""
    kind = attribute(links.IFLA_INFO_KIND, device.kind.encode() + b"\0")
    told = nest(links.IFLA_LINKINFO, kind)
    told += attribute(links.IFLA_GROUP, links.NUMBER.pack(device.group))
    if device.alias:
        told += attribute(links.IFLA_IFALIAS, device.alias.encode() + b"\0")
    return links.LINK.pack(socket.AF_UNSPEC, 0, device.index, 0, 0) + told


def _address(family: IPFamily, text: str, index: int) -> bytes:
    """Return the body of the message by which the kernel tells of an address."""
    words = text if "/" in text else links.own_address(text).text
    asked = ip.read(ip.address("add", words, "dummy"))
    assert asked is not None
    return links.address_body(asked, family, index)
