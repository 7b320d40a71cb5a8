"""Lines of ipvsadm, one a message that changes something."""

from __future__ import annotations

import pytest

from svcnet.netfilter.ipvs import ipvsadm
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    PERSISTENT,
    SCHED1,
    DelDest,
    DelService,
    Dest,
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
    """Each change in the words of ipvsadm."""
    assert ipvsadm.line(message) == line
    assert ipvsadm.lines([message, message]) == f"{line}\n{line}\n"


def test_a_question_has_no_line() -> None:
    """What changes nothing is nothing that ipvsadm restores."""
    with pytest.raises(ValueError, match="ipvsadm has no line"):
        ipvsadm.line(GetInfo())
