"""IPVS's messages as bytes: exact, reversible, and safe to read whatever comes.

The kernel tests of the same name hold the bytes to the kernel and to other tools.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svcnet.addresses import address_text
from svcnet.models.config import IPVS_SCHEDULERS
from svcnet.netfilter.ipvs.messages import (
    HASHED,
    PERSISTENT,
    SCHED2,
    Acknowledgement,
    DelDest,
    DelService,
    Dest,
    DumpEnd,
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
from svcnet.netfilter.ipvs.wire import (
    answers,
    decode,
    encode,
    encode_all,
    encode_family_request,
    parse_acknowledgements,
    parse_family,
)
from svcnet.netlink import RefusedRequest
from svcnet.renderers.ipvs import listing

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="golden bytes")
FAMILY = 0x1C

u16, u31, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1)
v4 = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))


v6 = (
    st.integers(0, 2**128 - 1)
    | st.integers(0, 2**40)
    | st.integers(0xFFFF << 32, (0x10000 << 32) - 1)
).map(lambda number: address_text(number.to_bytes(16, "big")))
words = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=15)


@st.composite
def services(draw: st.DrawFn) -> IPVSService:
    """Any service that the messages have a form for."""
    mark = draw(st.sampled_from([0, 1, 2**32 - 1]))
    six = draw(st.booleans())
    common: dict[str, Any] = {
        "scheduler": draw(st.sampled_from(IPVS_SCHEDULERS) | words),
        "flags": draw(u32),
        "timeout": draw(u32),
        "netmask": draw(st.integers(0, 128) if six else u32),
        "pe_name": draw(st.just("") | words),
    }
    if mark:
        return IPVSService(fwmark=mark, family="IPv6" if six else "IPv4", **common)
    protocol = draw(st.sampled_from(["TCP", "UDP", "SCTP", "1", "255"]))
    return IPVSService(draw(v6 if six else v4), draw(u16), protocol, **common)


dests = st.builds(Dest, v4 | v6, u16, u32, st.integers(0, 4), u32, u32)


@given(services(), st.integers(17, 2**16 - 1), u32)
def test_services_there_and_back(service: IPVSService, family: int, sequence: int) -> None:
    """Decoding what was encoded gives the same service, and the header what it was given."""
    message = encode(NewService(service), family, sequence)
    assert int.from_bytes(message[:4], sys.byteorder) == len(message)
    assert int.from_bytes(message[4:6], sys.byteorder) == family
    assert int.from_bytes(message[8:12], sys.byteorder) == sequence
    assert len(message) % 4 == 0
    (found,) = decode(message)
    assert isinstance(found, ObservedService)
    assert found == ObservedService(service, Stats())


@given(services(), dests)
def test_destinations_there_and_back(service: IPVSService, dest: Dest) -> None:
    """Decoding what was encoded gives the same destination."""
    (found,) = decode(encode(NewDest(service, dest), FAMILY))
    assert found == ObservedDest(dest, 0, 0, 0, Stats())


@given(st.builds(Timeouts, u32, u32, u32))
def test_timeouts_there_and_back(timeouts: Timeouts) -> None:
    """Decoding what was encoded gives the same timeouts."""
    message = encode(SetConfig(timeouts), FAMILY)
    assert list(decode(message)) == [timeouts]
    assert list(answers([message])) == [timeouts]


WEB = IPVSService("10.96.0.10", 80)
SIX = IPVSService("fd00:10:96::10", 53, "UDP", "mh", PERSISTENT | SCHED2, 10800)
MARK = IPVSService(fwmark=5, family="IPv6", scheduler="rr")
POD = Dest("10.244.1.5", 8080, 7)


@given(st.lists(st.tuples(services(), dests), max_size=5), st.booleans(), u16)
def test_all_is_each(pairs: list[tuple[IPVSService, Dest]], acknowledge: bool, first: int) -> None:
    """Messages encoded together are those encoded one by one, with sequence numbers."""
    messages: list[Message] = [Flush(), SetConfig(Timeouts(1))]
    for service, dest in pairs:
        messages += [NewService(service), NewDest(service, dest), SetDest(service, dest)]
        messages += [DelDest(service, dest), GetDest(service), DelService(service)]
    assert list(encode_all(messages, FAMILY, first, acknowledge=acknowledge)) == [
        encode(message, FAMILY, sequence, acknowledge=acknowledge)
        for sequence, message in enumerate(messages, first)
    ]


KEY = "30000180 06000100 0200 0000 06000200 0600 0000 14000300 0a60000a 00000000 00000000 00000000"
KEY += "06000400 0050 0000"
GOLDEN: tuple[tuple[Message, str], ...] = (
    (
        NewService(WEB),
        # nlmsghdr: length, family, flags REQUEST|ACK, sequence, port; genlmsghdr: command, version
        (
            "68000000 1c00 0500 01000000 00000000 01 01 0000"
            # IPVS_CMD_ATTR_SERVICE: AF, PROTOCOL, ADDR, PORT (network order)
            "54000180 06000100 0200 0000 06000200 0600 0000"
            "14000300 0a60000a 00000000 00000000 00000000 06000400 0050 0000"
            # SCHED_NAME, FLAGS and their mask, TIMEOUT, NETMASK (network order)
            "07000600 727200 00 0c000700 00000000 ffffffff 08000800 00000000 08000900 ffffffff"
        ),
    ),
    (
        SetService(SIX),
        (
            "68000000 1c00 0500 01000000 00000000 02 01 0000"
            "54000180 06000100 0a00 0000 06000200 1100 0000"
            "14000300 fd000010 00960000 00000000 00000010 06000400 0035 0000"
            # NETMASK: of IPv6 a prefix length in the host's order
            "07000600 6d6800 00 0c000700 11000000 ffffffff 08000800 302a0000 08000900 80000000"
        ),
    ),
    (
        NewService(MARK),
        (
            "4c000000 1c00 0500 01000000 00000000 01 01 0000"
            "38000180 06000100 0a00 0000 08000500 05000000"
            "07000600 727200 00 0c000700 00000000 ffffffff 08000800 00000000 08000900 80000000"
        ),
    ),
    (
        NewService(evolve(WEB, pe_name="sip", netmask=0xFFFFFF00)),
        (
            "70000000 1c00 0500 01000000 00000000 01 01 0000"
            "5c000180 06000100 0200 0000 06000200 0600 0000"
            "14000300 0a60000a 00000000 00000000 00000000 06000400 0050 0000"
            "07000600 727200 00 08000b00 73697000"
            "0c000700 00000000 ffffffff 08000800 00000000 08000900 ffffff00"
        ),
    ),
    (DelService(WEB), f"44000000 1c00 0500 01000000 00000000 03 01 0000 {KEY}"),
    (GetService(WEB), f"44000000 1c00 0500 01000000 00000000 04 01 0000 {KEY}"),
    (GetService(), "14000000 1c00 0103 01000000 00000000 04 01 0000"),
    (
        NewDest(WEB, POD),
        (
            f"8c000000 1c00 0500 01000000 00000000 05 01 0000 {KEY}"
            # IPVS_CMD_ATTR_DEST: ADDR_FAMILY, ADDR, PORT (network order)
            "48000280 06000b00 0200 0000 14000100 0af40105 00000000 00000000 00000000"
            "06000200 1f90 0000"
            # FWD_METHOD, WEIGHT, U_THRESH, L_THRESH
            "08000300 00000000 08000400 07000000 08000500 00000000 08000600 00000000"
        ),
    ),
    (
        SetDest(MARK, Dest("fd00:10:244::5", 0, 2**31 - 1, 2, 9, 4)),
        (
            "70000000 1c00 0500 01000000 00000000 06 01 0000"
            "14000180 06000100 0a00 0000 08000500 05000000"
            "48000280 06000b00 0a00 0000 14000100 fd000010 02440000 00000000 00000005"
            "06000200 0000 0000"
            "08000300 02000000 08000400 ffffff7f 08000500 09000000 08000600 04000000"
        ),
    ),
    (GetDest(WEB), f"44000000 1c00 0103 01000000 00000000 08 01 0000 {KEY}"),
    (
        SetConfig(Timeouts(900, 120, 300)),
        (
            "2c000000 1c00 0500 01000000 00000000 0c 01 0000"
            "08000400 84030000 08000500 78000000 08000600 2c010000"
        ),
    ),
    (GetConfig(), "14000000 1c00 0500 01000000 00000000 0d 01 0000"),
    (GetInfo(), "14000000 1c00 0500 01000000 00000000 0f 01 0000"),
    (Zero(), "14000000 1c00 0500 01000000 00000000 10 01 0000"),
    (Zero(WEB), f"44000000 1c00 0500 01000000 00000000 10 01 0000 {KEY}"),
    (Flush(), "14000000 1c00 0500 01000000 00000000 11 01 0000"),
)


@little_endian
@pytest.mark.parametrize(("message", "expected"), GOLDEN, ids=[str(m) for m, _ in GOLDEN])
def test_golden_bytes(message: Message, expected: str) -> None:
    """Each message is these bytes, attribute by attribute."""
    assert encode(message, FAMILY, 1).hex() == expected.replace(" ", "")


@little_endian
def test_golden_family_request() -> None:
    """The family is asked for by its name."""
    expected = "20000000 1000 0100 07000000 00000000 03 01 0000 09000200 4950565300 000000"
    assert encode_family_request(7).hex() == expected.replace(" ", "")


def test_listing() -> None:
    """A listing has a message a line, family and sequence 0, and the words behind it."""
    lines = listing([NewService(WEB), NewDest(WEB, POD)]).splitlines()
    assert [line.split("  # ")[1] for line in lines] == [
        "add 10.96.0.10:80 TCP scheduler rr",
        "add 10.96.0.10:80 TCP -> 10.244.1.5:8080 weight 7",
    ]
    assert [bytes.fromhex(line.split("  # ")[0]) for line in lines] == [
        encode(NewService(WEB), 0),
        encode(NewDest(WEB, POD), 0),
    ]


@pytest.mark.parametrize(
    "message",
    [
        NewService(evolve(WEB, port=65536)),
        NewService(evolve(WEB, port=-1)),
        NewService(evolve(WEB, flags=2**32)),
        NewService(evolve(WEB, timeout=2**32)),
        NewService(evolve(WEB, netmask=2**32)),
        NewService(evolve(WEB, protocol="ICMPV6")),
        NewService(evolve(WEB, address="10.96.0.256")),
        NewService(evolve(WEB, address="fd00::1")),
        NewService(evolve(MARK, fwmark=2**32)),
        NewDest(WEB, evolve(POD, weight=-1)),
        NewDest(WEB, evolve(POD, address="pod")),
        DelDest(WEB, evolve(POD, port=65536)),
        SetConfig(Timeouts(-1)),
    ],
)
def test_values_without_a_form(message: Message) -> None:
    """What fits no attribute is a ValueError, alone and among others."""
    with pytest.raises(ValueError, match=r"."):
        encode(message, FAMILY)
    with pytest.raises(ValueError, match=r"."):
        list(encode_all([message], FAMILY))


def test_a_service_is_one_thing() -> None:
    """A service has an address or a mark, not both and not neither."""
    for wrong in ({}, {"address": "10.96.0.10", "fwmark": 1}):
        with pytest.raises(ValueError, match="either an address or a firewall mark"):
            IPVSService(**wrong)  # type: ignore[arg-type]


READERS: tuple[Callable[[Iterable[bytes]], object], ...] = (
    lambda datagrams: list(answers(datagrams)),
    lambda datagrams: list(parse_acknowledgements(datagrams)),
    parse_family,
)
SAMPLES = tuple(encode(message, FAMILY) for message, _ in GOLDEN)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A datagram with some bytes changed, and its end cut off or repeated."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    end = draw(st.integers(0, len(data)))
    data = data[:end] if draw(st.booleans()) else data + data[:end]
    if len(data) >= 4 and draw(st.booleans()):
        data[:4] = len(data).to_bytes(4, sys.byteorder)
    return bytes(data)


@given(st.binary(max_size=80) | damaged())
def test_whatever_comes(datagram: bytes) -> None:
    """No bytes raise anything but ValueError, or the OSError that they name as the answer."""
    with suppress(ValueError):
        list(decode(datagram))
    for read in READERS:
        with suppress(ValueError, OSError):
            read([datagram])


def message_of(kind: int, body: bytes, flags: int = 0, sequence: int = 9) -> bytes:
    """Return a netlink message as the kernel would send it."""
    order = sys.byteorder
    head = (16 + len(body)).to_bytes(4, order) + kind.to_bytes(2, order) + flags.to_bytes(2, order)
    return head + sequence.to_bytes(4, order) + bytes(4) + body + bytes(-len(body) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    order = sys.byteorder
    head = (4 + len(value)).to_bytes(2, order) + kind.to_bytes(2, order)
    return head + value + bytes(-len(value) % 4)


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, sys.byteorder, signed=value < 0)


def test_acknowledgements() -> None:
    """An acknowledgement has the errno, and the kernel's words where it has some."""
    request = encode(NewService(WEB), FAMILY, 9)
    words_of_it = attribute(1, b"no such thing\0")
    datagram = b"".join(
        [
            message_of(2, number(0) + request[:16], 0x100),
            message_of(2, number(-errno.EEXIST) + request, sequence=10),
            message_of(2, number(-errno.EINVAL) + request[:16] + words_of_it, 0x300, 11),
            message_of(2, number(-errno.EINVAL) + request + words_of_it, 0x200, 12),
        ]
    )
    assert list(parse_acknowledgements([datagram])) == [
        Acknowledgement(9, 0),
        Acknowledgement(10, errno.EEXIST),
        Acknowledgement(11, errno.EINVAL, "no such thing"),
        Acknowledgement(12, errno.EINVAL, "no such thing"),
    ]


def test_a_refused_list_raises() -> None:
    """What the kernel refuses, or ends half way, is an OSError with its errno."""
    refused = message_of(2, number(-errno.EPERM) + bytes(16))
    cut = encode(NewService(WEB), FAMILY) + message_of(3, number(-errno.EINTR))
    with pytest.raises(RefusedRequest) as caught:
        list(answers([refused]))
    assert caught.value.errno == errno.EPERM
    with pytest.raises(RefusedRequest) as caught:
        list(answers([cut]))
    assert caught.value.errno == errno.EINTR
    with pytest.raises(RefusedRequest) as caught:
        parse_family([refused])
    assert caught.value.errno == errno.EPERM
    with pytest.raises(ValueError, match="in the answer"):
        parse_family([message_of(2, number(0) + bytes(16))])
    assert list(answers([message_of(2, number(0) + bytes(16))])) == []
    assert list(decode(message_of(3, b""))) == [DumpEnd(9)]


def test_counters_of_either_width() -> None:
    """64-bit counters are preferred, 32-bit ones are read where an old kernel has no others."""
    service = encode(NewService(WEB), FAMILY)[24:]
    # The kernel aligns 64-bit values with an empty attribute, IPVS_STATS_ATTR_PAD.
    wide = b"".join(attribute(11, b"") + attribute(n, number(n << 32, 8)) for n in range(1, 11))
    narrow = b"".join(attribute(n, number(n)) for n in range(1, 11))
    old = attribute(1, service + attribute(10, narrow))
    new = attribute(1, service + attribute(10, narrow) + attribute(12, wide))
    for body, expected in ((old, range(1, 11)), (new, [n << 32 for n in range(1, 11)])):
        (found,) = decode(message_of(FAMILY, b"\x01\x01\0\0" + body))
        assert found == ObservedService(WEB, Stats(*expected))


def test_what_is_unknown_is_passed_over() -> None:
    """Other commands, and attributes of newer kernels, do not disturb."""
    extended = encode(NewService(WEB), FAMILY)[24:] + attribute(200, b"new")
    known = message_of(FAMILY, b"\x01\x01\0\0" + attribute(1, extended) + attribute(99, b"x"))
    other = message_of(FAMILY, b"\x63\x01\0\0")
    noop = message_of(1, b"")
    (found,) = decode(noop + other + known)
    assert found == ObservedService(WEB, Stats())


def test_listed_flags_have_the_kernels_own() -> None:
    """The flag that the kernel sets in every listed service is kept: it is what it says."""
    (found,) = decode(encode(NewService(evolve(WEB, flags=HASHED)), FAMILY))
    assert isinstance(found, ObservedService)
    assert found.service.flags == HASHED


def test_family_and_info() -> None:
    """The family's id and the version are read from the kernel's answers."""
    family = attribute(2, b"IPVS\0") + attribute(1, number(0x1C, 2))
    assert parse_family([message_of(0x10, b"\x01\x02\0\0" + family)]) == 0x1C
    info = attribute(1, number(0x010201)) + attribute(2, number(4096))
    assert list(answers([message_of(FAMILY, b"\x0e\x01\0\0" + info)])) == [Info((1, 2, 1), 4096)]
    missing = message_of(2, number(-errno.ENOENT) + bytes(16))
    with pytest.raises(RefusedRequest) as caught:
        parse_family([missing])
    assert caught.value.errno == errno.ENOENT


def test_a_cut_answer_about_the_family() -> None:
    """An error message without its error is a ValueError, as any malformed answer."""
    with pytest.raises(ValueError, match="incomplete"):
        parse_family([bytes.fromhex("120000000200000007000000000000000000")])
