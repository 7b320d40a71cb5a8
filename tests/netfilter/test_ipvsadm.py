"""Lines of ipvsadm, one a message that changes something."""

from __future__ import annotations

import pytest

from svcnet.netfilter.ipvs import ipvsadm
from svcnet.netfilter.ipvs.ipvsadm import Named
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    PERSISTENT,
    SCHED1,
    DelDest,
    DelService,
    Dest,
    DestKey,
    GetInfo,
    Message,
    NewDest,
    NewService,
    Service,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
)

WEB = Service("10.96.0.10", 80, "TCP", "rr", MADE_BY_SVCNET)
DNS = Service("fd00::a", 53, "UDP", "sh", PERSISTENT | SCHED1, 10800)
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


def named(message: Message) -> Named | None:
    service, dest = getattr(message, "service", None), getattr(message, "dest", None)
    if service is None:
        return None
    server = DestKey(service.address, service.port)
    return Named(service.protocol, server, dest and dest.key)


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
