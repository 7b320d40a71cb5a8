"""Facts of a machine, as the one says that is asked."""

from __future__ import annotations

import pytest

from svcnet.errors import ApplyError
from svcnet.executors.machine import Output
from svcnet.executors.probe import probe
from svcnet.testing import FakeMachine
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
