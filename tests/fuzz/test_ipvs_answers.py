"""What ipset prints and the kernel answers, right or not: it is read, or refused in one way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from errno import EEXIST
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet import netlink
from svcnet.errors import ApplyError
from svcnet.executors.ipvs import IPVS, device, sets
from svcnet.executors.machine import Netlink, Output
from svcnet.netfilter import ipset
from svcnet.netfilter.ipvs.messages import (
    DelService,
    Dest,
    GetConfig,
    GetDest,
    GetService,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    Timeouts,
)
from svcnet.netfilter.ipvs.wire import encode
from svcnet.netfilter.ipvs.wire.uapi import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_CMD_NEWFAMILY,
    GENL_ID_CTRL,
)
from svcnet.testing import FakeMachine
from svcnet.testing.fake_ipvs import FakeSet
from svcnet.testing.fake_ipvs_kernel import FakeIPVSKernel
from tests.fuzz import examples

FAMILY = 0x20
V4, V6 = IPVSService("10.96.0.10", 80), IPVSService("fd00:96::10", 80, "UDP")
SAID: tuple[Message, ...] = (
    NewService(V4),
    NewService(V6),
    NewService(IPVSService(fwmark=7)),
    NewDest(V4, Dest("10.244.1.5", 8080)),
    NewDest(V6, Dest("fd00:244::5", 8080, 0)),
    SetConfig(Timeouts(1, 2, 3)),
    DelService(V4),
)
"""Messages that the kernel's answers have the form of."""

REFUSAL = netlink.NLMSGHDR.pack(36, netlink.NLMSG_ERROR, netlink.NLM_F_CAPPED, 1, 0)
REFUSAL += netlink.NLMSGERR.pack(-EEXIST) + bytes(16)
END = netlink.NLMSGHDR.pack(20, netlink.NLMSG_DONE, 0, 0, 0) + netlink.NLMSGERR.pack(0)
ABSURD = netlink.NLMSGHDR.pack(20, netlink.NLMSG_ERROR, 0, 1, 0) + netlink.NLMSGERR.pack(-(2**31))


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """Answers in the kernel's form, cut, repeated or with some bytes changed."""
    parts = st.sampled_from([*(encode(said, FAMILY) for said in SAID), REFUSAL, END])
    answer = bytearray(b"".join(draw(st.lists(parts, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        if answer:
            answer[draw(st.integers(0, len(answer) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del answer[draw(st.integers(0, len(answer))) :]
    return bytes(answer) + draw(st.just(b"") | st.binary(max_size=40))


class Answers(Netlink):
    """A socket that answers with what it is given, and then not at all."""

    def __init__(self, answers: Iterable[bytes]) -> None:
        self._answers = deque(answers)

    def enable(self, option: int, value: int = 1) -> None:
        pass

    def hold(self, size: int) -> None:
        pass

    def allow(self, size: int) -> None:
        pass

    def send(self, data: bytes) -> None:
        pass

    def receive(self) -> bytes:
        if not self._answers:
            raise BlockingIOError
        return self._answers.popleft()

    def pending(self) -> Iterator[bytes]:
        while self._answers:
            yield self._answers.popleft()

    def close(self) -> None:
        pass


class AnsweringMachine(FakeMachine):
    """A machine whose kernel tells one socket after the other what it is given."""

    def __init__(self, *told: Iterable[bytes]) -> None:
        super().__init__()
        self._told = deque(told)

    def netlink(self, protocol: int) -> Netlink:
        return Answers(self._told.popleft())


def family() -> bytes:
    body = bytes([CTRL_CMD_NEWFAMILY, 1, 0, 0])
    body += netlink.attribute(CTRL_ATTR_FAMILY_ID, FAMILY.to_bytes(2, "little"))
    return netlink.NLMSGHDR.pack(netlink.NLMSGHDR.size + len(body), GENL_ID_CTRL, 0, 0, 0) + body


ASKED: tuple[Callable[[IPVS], object], ...] = (
    IPVS.services,
    IPVS.timeouts,
    lambda ipvs: ipvs.service(V4),
    lambda ipvs: ipvs.dests(V6),
    lambda ipvs: ipvs.attempt([NewService(V4), NewDest(V4, Dest("10.244.1.5", 8080))]),
)


@settings(max_examples=examples(200))
@given(st.lists(datagrams(), max_size=3), st.sampled_from(ASKED), st.booleans())
@example([ABSURD], IPVS.services, True)
@example([encode(GetConfig(), FAMILY) + END], IPVS.timeouts, True)
@example([encode(GetService(V4), FAMILY), encode(GetDest(V4), FAMILY)], IPVS.services, True)
def test_ipvs_answers(answers: list[bytes], ask: Callable[[IPVS], object], is_known: bool) -> None:
    """Whatever IPVS answers is taken for what it is, or is one ApplyError."""
    given = [family(), *answers] if is_known else answers
    with suppress(ApplyError), IPVS(AnsweringMachine(given)) as ipvs:
        ask(ipvs)


@settings(max_examples=examples(200))
@given(st.lists(datagrams(), max_size=3))
@example([ABSURD])
def test_marks_of_ipvs(answers: list[bytes]) -> None:
    """What is compared more than it is read is refused by an OSError or an ApplyError."""
    machine = AnsweringMachine([family(), *answers])
    with suppress(OSError, ApplyError), IPVS(machine) as ipvs:
        for server in ipvs.configurations():
            ipvs.settings(server)


def in_messages(bodies: Iterable[bytes]) -> bytes:
    """Return bodies of a dump as one datagram, with its end."""
    heads = ((netlink.NLMSGHDR.size + len(body), body) for body in bodies)
    said = [
        netlink.NLMSGHDR.pack(length, 16, 0, 1, 0) + body + bytes(-length % 4)
        for length, body in heads
    ]
    return b"".join(said) + END


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A header, and attributes whose lengths may lie."""
    head = draw(st.binary(min_size=0, max_size=16))
    attributes = draw(
        st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=20), st.integers(-4, 4)))
    )
    told = b""
    for kind, value, lie in attributes:
        length = max(4 + len(value) + lie, 0)
        told += netlink.ATTRIBUTE.pack(length, kind) + value + bytes(-len(value) % 4)
    return head + told


@settings(max_examples=examples(200))
@given(st.lists(bodies(), max_size=3), st.lists(bodies(), max_size=3), st.booleans())
@example([], [], False)
@example([bytes(16)], [bytes(3)], False)
def test_the_device(links: list[bytes], addresses: list[bytes], is_cut: bool) -> None:
    """Whatever is told of the device and its addresses is read, or is one ApplyError."""
    end = -5 if is_cut else None
    told = ([in_messages(bodies)[:end]] for bodies in (links, addresses))
    with suppress(ApplyError):
        device.observe(AnsweringMachine(*told), "IPv4")


NAMES = st.sampled_from(("KUBE-CLUSTER-IP", "KUBE-NODE-PORT-TCP", "x KUBE-CLUSTER-IP"))
WORDS = st.sampled_from(
    (
        *("create", "add", "hash:ip,port", "bitmap:port", "list:set", "family", "inet", "maxelem"),
        *("65536", "timeout", "3", "10.96.0.10,tcp:80", "10.96.0.10,6:80", "::1.2.3.4,udp:53"),
        *("nomatch", "comment", '"a', 'b"', "range", "0-65535", "", "\udce9", "٣", "1.2::3,tcp:1"),
    )
)
LINES = st.lists(NAMES | WORDS, max_size=6).map(" ".join) | st.text(max_size=30)


@settings(max_examples=examples(300))
@given(st.lists(LINES, max_size=8).map("\n".join))
@example("create A hash:ip,port maxelem ٣\nadd A ::1.2.3.4.5::,tcp:80")
def test_any_text_of_ipset(text: str) -> None:
    """Any text is read; an entry is always of a form that svcnet writes itself."""
    for found in ipset.parse_save(text).values():
        for entry in found.entries:
            assert " " not in ipset.number_protocol(entry)
            assert entry.isprintable()


OURS = "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12\n"
ENTRIES = st.frozensets(st.integers(1, 60000).map("10.96.0.10,tcp:{}".format), max_size=5)


@settings(max_examples=examples(200))
@given(ENTRIES, st.lists(LINES, max_size=4).map("\n".join))
def test_foreign_lines_take_nothing_from_a_set(entries: frozenset[str], foreign: str) -> None:
    """Beside whatever else is printed, a set has at least the entries that it has."""
    text = OURS + "".join(f"add KUBE-CLUSTER-IP {entry}\n" for entry in sorted(entries))
    alone = ipset.parse_save(text)["KUBE-CLUSTER-IP"]
    assert (alone.entries, alone.is_plain) == (entries, True)
    assert entries <= ipset.parse_save(text + foreign)["KUBE-CLUSTER-IP"].entries


KERNELS = (
    "create KUBE-A hash:ip,port family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x1\n"
    "add KUBE-A 10.96.0.10,tcp:80\n"
    "add KUBE-A 10.96.0.10,udp:53\n"
    "create KUBE-B bitmap:port range 0-65535\n"
    "add KUBE-B 30080\n"
    "create KUBE-C hash:ip,port,ip family inet6 hashsize 64 maxelem 65536 timeout 300\n"
    "add KUBE-C fd00::1,tcp:80,fd00::2 timeout 200\n"
)
SETS = {
    "KUBE-A": FakeSet(
        "hash:ip,port",
        {"family": "inet"},
        size=65536,
        entries={"10.96.0.10,tcp:80", "10.96.0.10,udp:53"},
    ),
    "KUBE-B": FakeSet("bitmap:port", {}, size=0, entries={"30080"}),
    "KUBE-C": FakeSet(
        "hash:ip,port,ip",
        {"family": "inet6", "timeout": "300"},
        size=65536,
        entries={"fd00::1,tcp:80,fd00::2"},
    ),
}


class OldKernel(FakeIPVSKernel):
    """A kernel that does not say how many entries a set has."""

    def ask_sets(self, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
        for answer, told in super().ask_sets(kind, body):
            count, other = (netlink.attribute(each, pack("!I", 0))[:4] for each in (24, 60))
            yield answer, told.replace(count, other)


def damages() -> st.SearchStrategy[str]:
    """What is printed in place of the sets that the kernel has."""
    lines = KERNELS.splitlines(keepends=True)
    places = st.integers(0, len(lines) - 1)
    foreign = LINES.map("{}\n".format) | st.sampled_from(lines)
    return st.one_of(
        st.integers(0, len(KERNELS) - 1).map(lambda end: KERNELS[:end]),
        places.map(lambda at: "".join(lines[:at] + lines[at + 1 :])),
        st.builds(lambda at, line: "".join((*lines[:at], line, *lines[at:])), places, foreign),
        st.builds(lambda at, line: "".join((*lines[:at], line, *lines[at + 1 :])), places, foreign),
        st.sampled_from(
            (
                KERNELS.replace("hash:ip,port ", "hash:ip "),
                KERNELS.replace("inet ", "inet6 "),
                KERNELS.replace("maxelem 65536", "maxelem 1"),
                KERNELS.replace(" timeout 300", ""),
                KERNELS.replace("KUBE-B", "KUBE-D"),
            )
        ),
        LINES,
        st.binary(max_size=50).map(lambda told: told.decode("utf-8", "surrogateescape")),
    ).filter(lambda text: sorted(text.split("\n")) != sorted(KERNELS.split("\n")))


def saved(printed: str, kernel: FakeIPVSKernel | None = None) -> Mapping[str, ipset.ObservedSet]:
    """Return what is read of a kernel's sets where ipset prints something."""
    machine = FakeMachine()
    machine.kernel.ipvs = kernel or machine.kernel.ipvs
    machine.kernel.ipvs.sets |= SETS
    machine.misbehave("ipset", *[Output(0, printed, "")] * sets.LOOKS)
    return sets.save(machine, SETS)


@settings(max_examples=examples(400))
@given(damages())
@example("")
@example("\udcff")
@example(KERNELS[:-20])
def test_a_listing_of_sets_that_is_not_what_the_kernel_has(printed: str) -> None:
    """Whatever is printed in place of the sets that the kernel has is no listing, and says so."""
    with pytest.raises(ApplyError, match="ipset: its listing "):
        saved(printed)


def test_a_listing_of_sets_that_the_kernel_has() -> None:
    """What is true is believed; a kernel of long ago does not count entries."""
    assert saved(KERNELS).keys() == SETS.keys()
    old = OldKernel(set(), lambda _: 0)
    assert saved(KERNELS, old) == ipset.parse_save(KERNELS)
    fewer = KERNELS.replace("add KUBE-B 30080\n", "")
    assert saved(fewer, old) == ipset.parse_save(fewer)
