"""Counters of the kernel, on a machine that is none."""

from __future__ import annotations

import os
from errno import EACCES, ENOENT, EPERM, errorcode

import pytest

from svcnet.errors import ApplyError
from svcnet.executors import iptables, nfacct
from svcnet.executors.iptables import counting
from svcnet.executors.machine import Netlink
from svcnet.executors.probe import probe
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.renderers.iptables import full
from svcnet.renderers.iptables.names import COUNTERS, INVALID_DROPPED
from svcnet.testing import FakeMachine
from tests.executors.test_nft_socket import said
from tests.fuzz.test_ipvs_answers import AnsweringMachine


class Refusing(FakeMachine):
    """A machine whose kernel has no answer but an errno to one question over netlink."""

    def __init__(self, which: int, errno: int) -> None:
        super().__init__()
        self.left, self.errno = which, errno

    def netlink(self, protocol: int) -> Netlink:
        self.left -= 1
        if self.left < 0 <= self.left + 1:
            raise OSError(self.errno, os.strerror(self.errno))
        return super().netlink(protocol)


def test_counters_come_and_go_with_rules() -> None:
    """They are made before rules that count in them, and removed when none does."""
    machine = FakeMachine()
    iptables.apply(full(RuleGraph(NodeSettings("IPv4", nfacct=True))), machine=machine)
    assert set(machine.kernel.counters) == set(COUNTERS)
    machine.kernel.counters[INVALID_DROPPED] = 3
    nfacct.ensure(COUNTERS, machine=machine)
    assert nfacct.packets(INVALID_DROPPED, machine=machine) == 3
    assert INVALID_DROPPED not in nfacct.remove(COUNTERS, machine=machine)
    iptables.cleanup("IPv4", machine=machine)
    assert not machine.kernel.counters
    assert nfacct.packets(INVALID_DROPPED, machine=machine) is None


def test_who_may_not_ask() -> None:
    """Without the right there are no counters, and to make one is an error."""
    machine = FakeMachine()
    machine.capabilities.discard("CAP_NET_ADMIN")
    assert "CAP_NET_ADMIN" in counting.lack(machine=machine)
    with pytest.raises(ApplyError, match="counter"):
        nfacct.ensure(COUNTERS, machine=machine)
    assert nfacct.remove(COUNTERS, machine=machine) == ()


def test_a_right_that_is_lacking_is_said_once() -> None:
    """The kernel then answers the first of several messages, and nobody waits for the others."""
    with pytest.raises(ApplyError, match="not permitted"):
        nfacct.ensure(COUNTERS, machine=AnsweringMachine([said(0, EPERM)]))


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        ((), ""),
        (("nfnetlink_acct",), "no counters with names"),
        (("xt_nfacct",), "no match of that name"),
        (("nft_compat",), ""),
        (("nft_compat", "xt_nfacct"), "no match of that name"),
    ],
)
def test_what_a_kernel_lacks(lacks: tuple[str, ...], told: str) -> None:
    """Counters, and a match that names them: either variant's way to ask will do for the latter."""
    machine = FakeMachine()
    machine.lacks.update(lacks)
    found = counting.lack(machine=machine)
    assert told in found
    assert bool(told) == bool(found)
    assert probe(machine).nfacct == (not found)


@pytest.mark.parametrize("number", sorted(errorcode))
@pytest.mark.parametrize("which", [0, 1])
def test_any_refusal_is_told(number: int, which: int) -> None:
    """No answer means that rules count; it means that they do not where it is the kernel's no."""
    machine = Refusing(which, number)
    # Where nf_tables knows no matches, the legacy variant's way is asked, and has it.
    yes = {ENOENT} if which == 0 else set(nfacct.NO_SUBSYSTEM)
    no = {EPERM, EACCES, *nfacct.NO_SUBSYSTEM} if which == 0 else {ENOENT}
    if number in yes | no:
        assert (counting.lack(machine=machine) == "") == (number in yes)
        return
    with pytest.raises(ApplyError, match="cannot be told: "):
        counting.lack(machine=machine)


def test_no_program_is_asked() -> None:
    """A tool that fails says nothing of counters."""
    machine = FakeMachine()
    machine.capabilities.discard("CAP_SYS_ADMIN")
    assert counting.lack(machine=machine) == ""
    assert machine.calls == []
