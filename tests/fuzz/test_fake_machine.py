"""Restore text that nobody listed: the fake machine takes, and refuses, what this one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter import BUILT_IN
from svcnet.testing import FakeMachine
from tests.fuzz import examples
from tests.kernel.ipvs.netlink import own_namespace

pytestmark = pytest.mark.kernel

OWN = ("A", "B", "C")
RULES = (
    *("-j DROP", "-j A", "-j B", "-j C", "-j NONE", "-s 192.0.2.1/32 -j RETURN"),
    *("-p tcp -m tcp --dport 80 -j ACCEPT", '-m comment --comment "-X A" -j ACCEPT'),
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Text of one table, most of which is about chains that may be there."""
    table = draw(st.sampled_from(["filter", "nat"]))
    chains = st.sampled_from([*OWN, *OWN, BUILT_IN[table][0], "OUTPUT"])
    rules = st.sampled_from([rule for rule in RULES if table == "filter" or "DROP" not in rule])
    lines = st.one_of(
        st.builds(":{} - [0:0]\n".format, st.sampled_from(OWN)),
        st.builds("{} {} {}\n".format, st.sampled_from(["-A", "-A", "-I", "-D"]), chains, rules),
        st.builds("{} {}\n".format, st.sampled_from(["-F", "-X"]), st.sampled_from(OWN)),
    )
    return "".join((f"*{table}\n", *draw(st.lists(lines, min_size=1, max_size=6)), "COMMIT\n"))


def takes(machine: Machine, variant: Variant, text: str) -> bool:
    try:
        Commands("IPv4", variant, machine).restore(text)
    except RestoreError:
        return False
    return True


@pytest.fixture
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_the_fake_machine_loads_what_this_one_does(variant: Variant, namespace: None) -> None:
    """Text after text: both take it or refuse it, and have the same rules then."""

    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(texts(), min_size=1, max_size=6))
    def same(given_texts: list[str]) -> None:
        fake = FakeMachine()
        with own_namespace():
            for text in given_texts:
                assert takes(fake, variant, text) == takes(THIS_MACHINE, variant, text), text
                both = (Commands("IPv4", variant, each).observe() for each in (fake, THIS_MACHINE))
                one, other = both
                assert one.differences(other) == 0, (text, one, other)

    same()
