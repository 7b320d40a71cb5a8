"""Lines of ipvsadm, one a message that changes something."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.addresses import is_address
from svcnet.netfilter.ipvs import ipvsadm
from svcnet.netfilter.ipvs.ipvsadm import LineSubject
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    PERSISTENT,
    SCHED1,
    DelDest,
    DelService,
    Dest,
    DestKey,
    GetInfo,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)
from tests.fuzz import examples

WEB = IPVSService("10.96.0.10", 80, "TCP", "rr", MADE_BY_SVCNET)
DNS = IPVSService("fd00::a", 53, "UDP", "sh", PERSISTENT | SCHED1, 10800)
POD = Dest("fd00::1", 8080, 3)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (NewService(WEB), "-A -t 10.96.0.10:80 -s rr"),
        (SetService(DNS), "-E -u [fd00::a]:53 -s sh -p 10800 -b flag-1"),
        (DelService(WEB), "-D -t 10.96.0.10:80"),
        (NewDest(DNS, POD), "-a -u [fd00::a]:53 -r [fd00::1]:8080 -m -w 3"),
        (SetDest(WEB, Dest("10.0.0.1", 1, 0)), "-e -t 10.96.0.10:80 -r 10.0.0.1:1 -m -w 0"),
        (DelDest(DNS, POD), "-d -u [fd00::a]:53 -r [fd00::1]:8080"),
        (SetConfig(Timeouts(1, 2, 3)), "--set 1 2 3"),
    ],
)
def test_lines(message: Message, line: str) -> None:
    """Each change in the words of ipvsadm, and what such words are about."""
    assert ipvsadm.line(message) == line
    assert ipvsadm.read(f"{line}\n") == named(message)
    assert ipvsadm.lines([message, message]) == f"{line}\n{line}\n"


def named(message: Message) -> LineSubject | None:
    service, dest = getattr(message, "service", None), getattr(message, "dest", None)
    if service is None:
        return None
    server = DestKey(service.address, service.port)
    return LineSubject(service.protocol, server, dest and dest.key)


@pytest.mark.parametrize(
    "line",
    [
        *("", "-A", "-A -t", "-A -t 10.96.0.10", "-A -f 7 -s rr", "-C -t 10.96.0.10:80"),
        *("-A -t web:http -s rr", "-A KUBE-SERVICES -t 10.96.0.10:80", "-D -t 10.96.0.10:80x"),
    ],
)
def test_a_line_of_another_kind_names_nothing(line: str) -> None:
    """What svcnet does not write is about no server."""
    assert ipvsadm.read(line) is None


def test_a_question_has_no_line() -> None:
    """What changes nothing is nothing that ipvsadm restores."""
    with pytest.raises(ValueError, match="ipvsadm has no line"):
        ipvsadm.line(GetInfo())


PORTS = st.integers(0, 65535)
SERVICES = st.builds(
    IPVSService,
    st.ip_addresses().map(str),
    PORTS,
    st.sampled_from(["TCP", "UDP", "SCTP"]),
    st.sampled_from(["rr", "wlc", "sh"]),
    st.sampled_from([0, PERSISTENT, SCHED1, MADE_BY_SVCNET | PERSISTENT]),
    st.integers(0, 10800),
)
DESTS = st.builds(Dest, st.ip_addresses().map(str), PORTS, st.integers(0, 65535))
MESSAGES = st.one_of(
    SERVICES.flatmap(lambda each: st.sampled_from([NewService(each), SetService(each)])),
    st.builds(DelService, SERVICES),
    st.builds(NewDest, SERVICES, DESTS),
    st.builds(SetDest, SERVICES, DESTS),
    st.builds(DelDest, SERVICES, DESTS),
)


@settings(max_examples=examples(100))
@given(MESSAGES)
def test_what_is_written_is_read(message: Message) -> None:
    """Each line says which virtual server it is about, and which real server of it."""
    assert ipvsadm.read(ipvsadm.line(message)) == named(message)


HOSTILE = st.sampled_from(
    [
        *("-A", "-a", "-X", "-t", "-u", "-r", "10.0.0.1:80", "10.0.0.1:99999", "1.2:80", ":80"),
        *("[fd00::1]:80", "[::g]:80", "fd00::1:80", "[10.0.0.1]:80", "10.0.0.1:٣", "", "\0"),
    ]
)


@settings(max_examples=examples(200))
@given(st.lists(HOSTILE, max_size=6).map(" ".join) | st.text(max_size=40))
@example("-A -t 10.0.0.1:99999")
@example("-a -t 10.0.0.1:80 -r 1.2:80")
def test_nothing_is_half_read(line: str) -> None:
    """Any line is about servers that may be there, in the words that it has, or about none."""
    found = ipvsadm.read(line)
    if found is not None:
        for key in (found.server, found.real):
            if key is not None:
                assert is_address(key.address)
                assert key.port < 2**16
                assert key.address in line
