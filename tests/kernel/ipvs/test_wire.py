"""IPVS's messages as others send them and as the kernel takes and gives them."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from socket import IPPROTO_TCP, IPPROTO_UDP

import pytest
from attrs import evolve
from pyroute2 import IPVS
from pyroute2.ipvs import IPVSDest
from pyroute2.ipvs import IPVSService as TheirService

from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.netfilter.ipvs.messages import (
    BYPASS,
    HASHED,
    ONE_PACKET,
    PERSISTENT,
    ROUTE,
    SCHED1,
    SCHED2,
    SCHED3,
    TUNNEL,
    DelDest,
    DelService,
    Dest,
    Flush,
    GetConfig,
    GetDest,
    GetInfo,
    GetService,
    Info,
    IPVSService,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    ObservedService,
    SetConfig,
    SetDest,
    SetService,
    Stats,
    Timeouts,
    Zero,
)
from svcnet.netfilter.ipvs.wire import encode, encode_all
from tests.kernel.ipvs.netlink import Ear, Kernel, own_namespace, run

pytestmark = [pytest.mark.kernel, pytest.mark.ipvs]

# linux/ip_vs.h
SERVICE, DEST = 1, 2
SVC_ADDR, SVC_SCHED_NAME, SVC_FLAGS, SVC_TIMEOUT, SVC_NETMASK = 3, 6, 7, 8, 9
DEST_ADDR, DEST_TUN_TYPE, DEST_TUN_PORT, DEST_TUN_FLAGS = 1, 13, 14, 15
ABOUT_DESTS = (5, 6, 7)
GET_INFO = 15

Tree = dict[int, "bytes | Tree"]


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """IPVS without any service, in a namespace of its own."""
    with own_namespace(), Kernel.open() as opened:
        yield opened


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes in `data`, read by the rules of linux/netlink.h alone."""
    found, offset = {}, 0
    while offset < len(data):
        length, kind = struct.unpack_from("<HH", data, offset)
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def tree(message: bytes) -> tuple[int, Tree]:
    """Return the command of a message and its attributes, those of services and dests nested."""
    top: Tree = {}
    for kind, value in attributes(message[20:]).items():
        nested = message[16] != 12 and kind in (SERVICE, DEST)
        top[kind] = dict(attributes(value)) if nested else value
    return message[16], top


def without_nothing(message: bytes) -> tuple[int, Tree]:
    """Return a message's tree less what says nothing to the kernel.

    A tunnel's attributes say nothing of a destination without tunnel, and of a service
    whose destinations are meant, or which is deleted, the kernel reads only the key
    (``need_full_svc`` in ``ip_vs_genl_parse_service``).
    """
    command, top = tree(message)
    service, dest = top.get(SERVICE), top.get(DEST)
    if isinstance(service, dict) and command in (*ABOUT_DESTS, 3, 16):
        for kind in (SVC_SCHED_NAME, SVC_FLAGS, SVC_TIMEOUT, SVC_NETMASK):
            service.pop(kind, None)
    if isinstance(dest, dict):
        for kind in (DEST_TUN_TYPE, DEST_TUN_PORT, DEST_TUN_FLAGS):
            assert not any(dest.pop(kind, b"\0"))
    return command, top


WEB = IPVSService("10.96.0.10", 80)
DNS = IPVSService("10.96.0.11", 53, "UDP", "wlc", PERSISTENT, 60, netmask=0xFFFFFF00)
SIX = IPVSService("fd00:10:96::10", 80, "TCP", "sh", SCHED1 | SCHED2)
SIX_BY_NET = IPVSService("fd00:10:96::11", 65535, "SCTP", "wrr", PERSISTENT, 86400, netmask=64)
MARK = IPVSService(fwmark=5, scheduler="mh", flags=SCHED2)
MARK_SIX = IPVSService(fwmark=0xFFFFFFFF, family="IPv6", scheduler="lc")
OPS = IPVSService("10.96.0.12", 53, "UDP", "rr", ONE_PACKET)
POD, POD_SIX = Dest("10.244.1.5", 8080), Dest("fd00:10:244::5", 8080, 0)

IPVSADM: tuple[tuple[str, Message], ...] = (
    ("-A -t 10.96.0.10:80 -s rr", NewService(WEB)),
    ("-A -u 10.96.0.11:53 -s wlc -p 60 -M 255.255.255.0", NewService(DNS)),
    ("-A -t [fd00:10:96::10]:80 -s sh -b sh-fallback,sh-port", NewService(SIX)),
    ("-A --sctp-service [fd00:10:96::11]:65535 -s wrr -p 86400 -M 64", NewService(SIX_BY_NET)),
    ("-A -f 5 -s mh -b mh-port", NewService(MARK)),
    ("-A -f 4294967295 -6 -s lc", NewService(MARK_SIX)),
    ("-A -u 10.96.0.12:53 -s rr -o", NewService(OPS)),
    ("-E -t 10.96.0.10:80 -s dh -b flag-3", SetService(evolve(WEB, scheduler="dh", flags=SCHED3))),
    ("-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 1", NewDest(WEB, POD)),
    (
        "-a -t 10.96.0.10:80 -r 10.244.1.6:80 -g -w 65535 -x 9 -y 4",
        NewDest(WEB, Dest("10.244.1.6", 80, 65535, ROUTE, 9, 4)),
    ),
    ("-a -t [fd00:10:96::10]:80 -r [fd00:10:244::5]:8080 -m -w 0", NewDest(SIX, POD_SIX)),
    ("-a -f 5 -r 10.244.1.5:0 -m -w 1", NewDest(MARK, Dest("10.244.1.5", 0))),
    (
        "-a -t 10.96.0.10:80 -r 10.244.1.7:80 -i -w 1",
        NewDest(WEB, Dest("10.244.1.7", 80, 1, TUNNEL)),
    ),
    ("-e -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 7", SetDest(WEB, evolve(POD, weight=7))),
    ("-d -t 10.96.0.10:80 -r 10.244.1.6:80", DelDest(WEB, Dest("10.244.1.6", 80))),
    ("--set 900 120 300", SetConfig(Timeouts(900, 120, 300))),
    ("-Z -t 10.96.0.10:80", Zero(WEB)),
    ("-Z", Zero()),
    ("-D -t 10.96.0.10:80", DelService(WEB)),
    ("-C", Flush()),
)


def test_ipvsadm_sends_the_same(kernel: Kernel) -> None:
    """Each change has the attributes, byte for byte, with which ipvsadm asks for it."""
    with Ear.open(kernel.family) as ear:
        run("ipvsadm", "--restore", stdin="".join(f"{line}\n" for line, _ in IPVSADM))
        heard = [message for message in ear.heard() if message[16] != GET_INFO]
    assert len(heard) == len(IPVSADM)
    for theirs, (line, message) in zip(heard, IPVSADM, strict=True):
        ours = encode(message, kernel.family)
        dest = message.dest if isinstance(message, DelDest) else None
        expected, found = without_nothing(theirs), without_nothing(ours)
        if dest is not None:
            # What is deleted has no more to it than its key, and ipvsadm says other things of it.
            expected, found = _only_keys(expected), _only_keys(found)
        assert found == expected, line
        assert ours[6:8] == theirs[6:8], "the flags: a request that is acknowledged"
        if isinstance(message, NewService | SetService | SetConfig | Flush):
            assert ours[16:] == theirs[16:], line


def _only_keys(found: tuple[int, Tree]) -> tuple[int, Tree]:
    command, top = found
    dest = top[DEST]
    assert isinstance(dest, dict)
    return command, {**top, DEST: {kind: dest[kind] for kind in (1, 2, 11)}}


def test_pyroute2_sends_the_same(kernel: Kernel) -> None:
    """Where pyroute2 is right its attributes are ours, but for padding and nesting marks."""
    web = TheirService(addr="10.96.0.10", port=80, protocol=IPPROTO_TCP, sched_name="rr")
    udp = TheirService(addr="10.96.0.11", port=53, protocol=IPPROTO_UDP, sched_name="wlc")
    # It knows no IPv6 netmask: this is prefix length 128 in the host's order.
    six = TheirService(
        addr="fd00:10:96::10",
        port=80,
        protocol=IPPROTO_TCP,
        sched_name="sh",
        netmask="128.0.0.0",
    )
    pod = IPVSDest(addr="10.244.1.5", port=8080, fwd_method=0)
    heavier = IPVSDest(addr="10.244.1.5", port=8080, fwd_method=0, weight=7)
    pod_six = IPVSDest(addr="fd00:10:244::5", port=8080, fwd_method=0, weight=0)
    ours: list[Message] = [
        NewService(WEB),
        NewService(IPVSService("10.96.0.11", 53, "UDP", "wlc")),
        NewService(IPVSService("fd00:10:96::10", 80, scheduler="sh")),
        NewDest(WEB, POD),
        SetDest(WEB, evolve(POD, weight=7)),
        NewDest(SIX, POD_SIX),
        DelDest(WEB, POD),
        DelService(WEB),
    ]
    with Ear.open(kernel.family) as ear, IPVS() as theirs:
        for each in (web, udp, six):
            theirs.service("add", service=each)
        theirs.dest("add", service=web, dest=pod)
        theirs.dest("set", service=web, dest=heavier)
        theirs.dest("add", service=six, dest=pod_six)
        theirs.dest("del", service=web, dest=pod)
        theirs.service("del", service=web)
        heard = ear.heard()
    assert [_unpadded(without_nothing(message)) for message in heard] == [
        _unpadded(without_nothing(encode(message, kernel.family))) for message in ours
    ]


def _unpadded(found: tuple[int, Tree]) -> tuple[int, Tree]:
    """Cut IPv4 addresses to their 4 bytes, and drop which flags are to change."""
    command, top = found
    for name, address in ((SERVICE, SVC_ADDR), (DEST, DEST_ADDR)):
        nested = top.get(name)
        if isinstance(nested, dict):
            value = nested[address]
            assert isinstance(value, bytes)
            if value[4:] == bytes(12):
                nested[address] = value[:4]
            flags = nested.get(SVC_FLAGS)
            if name == SERVICE and isinstance(flags, bytes):
                nested[SVC_FLAGS] = flags[:4]
    return command, top


KEPT = (
    *(IPVSService("10.96.1.1", 1 + n, "TCP", name) for n, name in enumerate(IPVS_SCHEDULERS)),
    *(IPVSService("fd00::1:1", 1 + n, "UDP", name) for n, name in enumerate(IPVS_SCHEDULERS)),
    WEB,
    DNS,
    SIX,
    SIX_BY_NET,
    MARK,
    MARK_SIX,
    OPS,
    IPVSService("10.96.0.13", 0, "TCP", "rr", PERSISTENT, 1),
    IPVSService("10.96.0.14", 65535, "SCTP", "mh", PERSISTENT | SCHED1 | SCHED2 | SCHED3, 2592000),
    IPVSService("::ffff:10.0.0.1", 80),
    IPVSService("10.96.0.15", 5060, "UDP", "rr", PERSISTENT, 300, pe_name="sip"),
)


@pytest.mark.parametrize("service", KEPT, ids=str)
def test_services_come_back(kernel: Kernel, service: IPVSService) -> None:
    """The kernel lists a service as it was sent, alone and among all."""
    kernel.ask(NewService(service))
    listed = ObservedService(evolve(service, flags=service.flags | HASHED), Stats())
    assert kernel.ask(GetService(service)) == kernel.ask(GetService()) == [listed]
    assert kernel.ask(GetDest(service)) == []
    plain = evolve(service, flags=0, timeout=0, scheduler="rr", pe_name="")
    kernel.ask(SetService(plain))
    (found,) = kernel.ask(GetService())
    assert isinstance(found, ObservedService)
    assert found.service.scheduler == "rr"
    kernel.ask(DelService(service))
    assert kernel.ask(GetService()) == []


def test_ipvsadm_reads_the_same(kernel: Kernel) -> None:
    """ipvsadm prints what was sent in the words that stand for it."""
    for service in (WEB, DNS, SIX, SIX_BY_NET, MARK, OPS):
        kernel.ask(NewService(service))
    kernel.ask(NewDest(WEB, Dest("10.244.1.5", 8080, 65535)))
    kernel.ask(NewDest(SIX, POD_SIX))
    assert sorted(run("ipvsadm", "-Sn").splitlines()) == sorted(
        [
            "-A -t 10.96.0.10:80 -s rr",
            "-a -t 10.96.0.10:80 -r 10.244.1.5:8080 -m -w 65535",
            "-A -u 10.96.0.11:53 -s wlc -p 60 -M 255.255.255.0",
            "-A -t [fd00:10:96::10]:80 -s sh -b sh-fallback,sh-port",
            "-a -t [fd00:10:96::10]:80 -r [fd00:10:244::5]:8080 -m -w 0",
            "-A --sctp-service [fd00:10:96::11]:65535 -s wrr -p 86400 -M 64",
            "-A -f 5 -s mh -b mh-port",
            "-A -u 10.96.0.12:53 -s rr -o",
        ]
    )


DESTS = (
    Dest("10.244.1.1", 1, 0),
    Dest("10.244.1.2", 65535, 65535),
    Dest("10.244.1.3", 80, 2**31 - 1),
    Dest("10.244.1.4", 80, 1, ROUTE),
    Dest("10.244.1.5", 80, 1, TUNNEL),
    Dest("10.244.1.6", 80, 1, BYPASS),
    Dest("10.244.1.7", 80, 1, upper_threshold=2**32 - 1, lower_threshold=2**32 - 1),
    Dest("10.244.1.8", 80, 1, upper_threshold=1),
)


def test_destinations_come_back(kernel: Kernel) -> None:
    """The kernel lists destinations as they were sent, and as they were edited."""
    kernel.ask(NewService(WEB))
    for dest in DESTS:
        kernel.ask(NewDest(WEB, dest))
    listed = {reply.dest for reply in kernel.ask(GetDest(WEB)) if isinstance(reply, ObservedDest)}
    assert listed == set(DESTS)
    for dest in DESTS:
        kernel.ask(SetDest(WEB, Dest(dest.address, dest.port, 5)))
    assert set(kernel.ask(GetDest(WEB))) == {
        ObservedDest(Dest(dest.address, dest.port, 5), 0, 0, 0, Stats()) for dest in DESTS
    }
    for dest in DESTS:
        kernel.ask(DelDest(WEB, dest))
    assert kernel.ask(GetDest(WEB)) == []


def test_families_of_a_tunnel(kernel: Kernel) -> None:
    """A tunnel may lead to the other family, and only a tunnel."""
    kernel.ask(NewService(WEB))
    through = Dest("fd00:10:244::5", 80, 1, TUNNEL)
    kernel.ask(NewDest(WEB, through))
    (found,) = kernel.ask(GetDest(WEB))
    assert isinstance(found, ObservedDest)
    assert found.dest == through
    assert kernel.refusal(NewDest(WEB, POD_SIX)) == errno.EINVAL


def test_what_the_kernel_refuses(kernel: Kernel) -> None:
    """Each refusal is the error that the message's documentation names."""
    assert kernel.refusal(NewService(evolve(WEB, scheduler="nobody"))) == errno.ENOENT
    of_service = (SetService(WEB), DelService(WEB), GetService(WEB), Zero(WEB))
    for message in (*of_service, NewDest(WEB, POD), SetDest(WEB, POD), DelDest(WEB, POD)):
        assert kernel.refusal(message) == errno.ESRCH, message
    assert kernel.ask(GetDest(WEB)) == []
    assert kernel.refusal(NewService(WEB)) == 0
    assert kernel.refusal(NewService(WEB)) == errno.EEXIST
    assert kernel.refusal(SetDest(WEB, POD)) == errno.ENOENT
    assert kernel.refusal(DelDest(WEB, POD)) == errno.ENOENT
    assert kernel.refusal(NewDest(WEB, POD)) == 0
    assert kernel.refusal(NewDest(WEB, POD)) == errno.EEXIST
    assert kernel.refusal(SetService(evolve(WEB, scheduler="nobody"))) == errno.ENOENT
    assert kernel.refusal(NewDest(WEB, Dest("10.244.1.9", 80, 2**31))) == errno.ERANGE
    crossed = Dest("10.244.1.9", 80, upper_threshold=1, lower_threshold=2)
    assert kernel.refusal(NewDest(WEB, crossed)) == errno.ERANGE
    for prefix in (0, 129):
        six = evolve(SIX, netmask=prefix)
        assert kernel.refusal(NewService(six)) == errno.EINVAL


def test_timeouts(kernel: Kernel) -> None:
    """Timeouts are set and listed; 0 leaves one as it is."""
    kernel.ask(SetConfig(Timeouts(900, 120, 300)))
    kernel.ask(SetConfig(Timeouts(tcp_fin=60)))
    assert kernel.ask(GetConfig()) == [Timeouts(900, 60, 300)]
    assert run("ipvsadm", "-L", "--timeout") == "Timeout (tcp tcpfin udp): 900 60 300\n"


def test_version(kernel: Kernel) -> None:
    """The kernel says which IPVS it has; the table's size is a power of two."""
    (found,) = kernel.ask(GetInfo())
    assert isinstance(found, Info)
    assert found.version == (1, 2, 1)
    assert found.connection_table_size & (found.connection_table_size - 1) == 0


def test_zero_and_flush(kernel: Kernel) -> None:
    """Zero is taken for one service and for all, and Flush leaves nothing."""
    kernel.ask(NewService(WEB))
    kernel.ask(NewService(SIX))
    assert kernel.ask(Zero(WEB)) == kernel.ask(Zero()) == []
    assert len(kernel.ask(GetService())) == 2
    kernel.ask(Flush())
    assert kernel.ask(GetService()) == []


def test_many_at_once(kernel: Kernel) -> None:
    """Batches of messages are one send each, and a list of any length is read to its end."""
    services = [IPVSService(f"10.96.{n // 250}.{n % 250 + 1}", 80) for n in range(500)]
    messages: list[Message] = []
    for service in services:
        messages += [NewService(service), NewDest(service, POD)]
    encoded = list(encode_all(messages, kernel.family, 100, acknowledge=False))
    for start in range(0, len(encoded), 50):
        kernel.socket.send(b"".join(encoded[start : start + 50]))
    found = kernel.ask(GetService())
    assert {reply.service.key for reply in found if isinstance(reply, ObservedService)} == {
        service.key for service in services
    }
    (dest,) = kernel.ask(GetDest(services[-1]))
    assert isinstance(dest, ObservedDest)
    assert dest.dest == POD
