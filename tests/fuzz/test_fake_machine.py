"""Text that nobody listed, of iptables and nft: the fake machine takes what this one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.executors.commits import generation
from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.iptables.commands import RestoreError
from svcnet.executors.machine import Machine
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netfilter import BUILT_IN
from svcnet.netfilter.nft import NFTState, read_listing
from svcnet.testing import FakeMachine
from tests.fuzz import examples
from tests.kernel.ipvs.netlink import own_namespace
from tests.netfilter.nft_damage import said

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


TABLES = ("ip t", "ip t", "ip t", "ip6 t")
CHAINS = ("a", "b", "c", "hooked", "none")
SETS = {"s": "set", "m": "map", "d": "set", "none": "set"}
NFT_RULES = (
    *("drop", "accept", "jump a", "goto b", "jump c", "jump none", "meta mark 0x5 accept"),
    *("meta mark @s drop", "meta mark vmap @m", "meta mark vmap { 1 : drop , 2 : goto a }"),
    *("counter", "update @d { meta mark }", "meta mark @none drop", 'accept comment "x: { y"'),
)
BEGINNING = """\
add table ip t
add chain ip t a
add chain ip t b
add chain ip t hooked { type filter hook input priority 5 ; }
add set ip t s { type mark ; }
add map ip t m { type mark : verdict ; }
add set ip t d { type mark ; flags dynamic,timeout ; timeout 1h ; }
"""


@st.composite
def nft_lines(draw: st.DrawFn) -> str:
    """A line about a table that may be there, and what may be in it."""
    table, chain = draw(st.sampled_from(TABLES)), draw(st.sampled_from(CHAINS))
    name = draw(st.sampled_from(list(SETS)))
    kind, number = SETS[name], draw(st.integers(1, 3))
    value = draw(st.sampled_from(["drop", "goto a", "jump c"]))
    value = f" : {value}" if kind == "map" else ""
    comment = draw(st.sampled_from(["", "", ' comment "one"']))
    types = {"s": "type mark ;", "m": "type mark : verdict ;"}
    what = types.get(name, "type mark ; flags dynamic,timeout ; timeout 1h ;")
    hook = draw(st.sampled_from(["", "", "{ type filter hook input priority 5 ; policy drop ; }"]))
    rule = draw(st.sampled_from(NFT_RULES))
    adding = [
        f"add table {table}",
        f"add chain {table} {chain} {hook}",
        f"add rule {table} {chain} {rule}",
        f"add rule {table} {chain} {rule}",
        f"insert rule {table} {chain} {rule}",
        f"add {kind} {table} {name} {{ {what} }}",
        f"add element {table} {name} {{ {number}{comment}{value} }}",
        f"add element {table} {name} {{ {number}{comment}{value} }}",
    ]
    removing = [
        f"flush chain {table} {chain}",
        f"delete chain {table} {chain}",
        f"flush {kind} {table} {name}",
        f"delete {kind} {table} {name}",
        f"delete element {table} {name} {{ {number} }}",
    ]
    once = [f"delete table {table}", f"flush table {table}"]
    return str(draw(st.sampled_from(draw(st.sampled_from([adding, adding, removing, once])))))


def carries_out(machine: Machine, text: str) -> tuple[bool, bool, NFTState]:
    """Return whether nft takes a text, whether the kernel counts a commit, and what is there."""
    nft = machine.find("nft")
    assert nft is not None
    before = generation(machine)
    done = machine.run(nft, "-f", "-", stdin=text)
    printed = machine.run(nft, "-a", "-s", "list", "ruleset").text
    return done.code == 0, generation(machine) != before, read_listing(printed)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.lists(nft_lines(), min_size=1, max_size=4), min_size=1, max_size=8))
def nft_texts_do_the_same(lines: list[list[str]]) -> None:
    fake = FakeMachine()
    texts = [BEGINNING, *("".join(f"{line}\n" for line in each) for each in lines)]
    with own_namespace():
        for text in texts:
            ours, theirs = carries_out(fake, text), carries_out(THIS_MACHINE, text)
            assert ours[:2] == theirs[:2], text
            assert ours[2].tables.keys() == theirs[2].tables.keys(), text
            for key, table in ours[2].tables.items():
                assert said(table) == said(theirs[2].tables[key]), text


def test_the_fake_nft_does_what_this_one_does(namespace: None) -> None:
    """Text after text: both take it or refuse it, count a commit or none, and list the same."""
    nft_texts_do_the_same()
