"""Facts of a machine, as the one says that is asked."""

from __future__ import annotations

import pytest

from svcnet.errors import ApplyError
from svcnet.executors.ipvs import device
from svcnet.executors.machine import Output
from svcnet.executors.probe import probe
from svcnet.netfilter.ip.wire import RTM_GETADDR, RTM_NEWADDR
from svcnet.netlink import NLM_F_DUMP_INTR, NLMSGHDR
from svcnet.testing import FakeMachine
from svcnet.testing.fake_machine import _Socket
from tests.executors.machines import fake

__all__ = ["fake"]

LIBERAL = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_setting_is_that_of_the_machine(fake: FakeMachine, value: str) -> None:
    fake.kernel.settings[LIBERAL] = value
    assert probe(fake).conntrack_tcp_be_liberal == (value == "1")
    del fake.kernel.settings[LIBERAL]
    assert not probe(fake).conntrack_tcp_be_liberal


@pytest.mark.parametrize(("version", "is_there"), [("1.6.1", False), ("1.6.2", True)])
def test_the_version_is_that_of_the_machine(
    fake: FakeMachine, version: str, is_there: bool
) -> None:
    """Without iptables it is taken for one of today."""
    fake.misbehave("iptables", Output(0, f"iptables v{version} (legacy)\n", ""))
    assert probe(fake).iptables_random_fully == is_there
    fake.misbehave("iptables", Output(0, "no version\n", ""))
    with pytest.raises(ApplyError, match="no version"):
        probe(fake)
    fake.programs.remove("iptables")
    assert probe(fake).iptables_random_fully


def test_addresses_are_those_of_the_machine(fake: FakeMachine) -> None:
    """Each once, in the kernel's order, and not those of Services, which IPVS mode's device has."""
    device.make(fake)
    lines = device.address_lines("add", ["10.96.0.10"])
    assert not list(device.change_addresses(fake, lines, "IPv4"))
    fake.kernel.ipvs.addresses += ["192.0.2.1/24", "2001:db8::1/64", "127.0.0.1/8"]
    assert probe(fake).addresses == ("127.0.0.1", "192.0.2.1", "::1", "2001:db8::1")


@pytest.mark.parametrize(
    ("times", "is_known"), [(1, True), (9, True), (10, False)], ids=["once", "often", "for ever"]
)
def test_a_list_that_changes_is_asked_for_again(times: int, is_known: bool) -> None:
    """Addresses that come and go are no reason to end, unless they do so without end."""
    unsettled = Unsettled(times)
    if is_known:
        assert probe(unsettled).addresses == ("127.0.0.1", "::1")
        return
    with pytest.raises(ApplyError, match="addresses cannot be listed: what is listed changes"):
        probe(unsettled)


@pytest.mark.parametrize("answer", [b"", b"x", NLMSGHDR.pack(18, RTM_NEWADDR, 0, 1, 0) + b"xx"])
def test_an_answer_that_is_none_is_no_list(answer: bytes) -> None:
    with pytest.raises(ApplyError, match="addresses cannot be listed: "):
        probe(Answering(answer))


class Answering(FakeMachine):
    """A machine whose kernel gives an answer of its own to whoever lists addresses."""

    def __init__(self, answer: bytes, times: int = 100) -> None:
        super().__init__()
        self.answer, self.times = answer, times

    def netlink(self, protocol: int) -> AnsweringSocket:
        return AnsweringSocket(self, protocol)


class Unsettled(Answering):
    """A machine that says so many times that what it lists has changed meanwhile."""

    def __init__(self, times: int) -> None:
        super().__init__(NLMSGHDR.pack(16, RTM_NEWADDR, NLM_F_DUMP_INTR, 1, 0), times)


class AnsweringSocket(_Socket):
    """A socket to such a kernel."""

    def __init__(self, machine: Answering, protocol: int) -> None:
        super().__init__(machine, protocol)
        self.machine = machine
        self.answers: list[bytes] = []

    def send(self, data: bytes) -> None:
        if NLMSGHDR.unpack_from(data)[1] == RTM_GETADDR and self.machine.times > 0:
            self.machine.times -= 1
            self.answers = [self.machine.answer]
        else:
            super().send(data)

    def receive(self) -> bytes:
        return self.answers.pop() if self.answers else super().receive()
