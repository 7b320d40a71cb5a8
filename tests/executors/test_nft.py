"""nft on machines, the fake one and this one alike: what it takes, refuses, lists and says."""

from __future__ import annotations

import json

import pytest

from svcnet.executors.commits import generation
from svcnet.executors.machine import Machine, Output
from svcnet.netfilter.nft import NFTState, load, read_listing
from svcnet.renderers.nftables import full, text, transaction
from svcnet.testing import FakeMachine
from tests.executors.machines import fake, machine
from tests.netfilter.nft_damage import said
from tests.test_conformance import CASES
from tests.test_conformance_nftables import compile_case

__all__ = ["fake", "machine"]

SMALL = """\
add table ip t { comment "a table" ; }
add chain ip t a { comment "a chain" ; }
add map ip t m { type ipv4_addr . inet_proto . inet_service : verdict ; comment "a map" ; }
add element ip t m { 192.0.2.1 . tcp . 80 comment "why" : goto a }
add rule ip t a counter drop comment "no"
"""


def nft(machine: Machine, *options: str, script: str = "") -> Output:
    path = machine.find("nft")
    assert path is not None
    return machine.run(path, *options, stdin=script)


def state(machine: Machine) -> NFTState:
    return read_listing(nft(machine, "-a", "-s", "list", "ruleset").text)


def test_a_table_is_loaded_listed_and_deleted(machine: Machine) -> None:
    """As text, twice as a transaction, and all of it is read again as it was written."""
    ruleset = full(compile_case(CASES / "kitchen-sink", "IPv4"))
    wanted = load(NFTState(), text(ruleset)).tables
    for script in (transaction(ruleset), transaction(ruleset)):
        assert nft(machine, "-f", "-", script=script) == Output(0, "", "")
        found = state(machine).tables
        assert found.keys() == wanted.keys()
        assert all(said(found[key]) == said(wanted[key]) for key in wanted)
    assert nft(machine, "delete", "table", *ruleset.table).code == 0
    assert nft(machine, "list", "ruleset") == Output(0, "", "")


def test_a_rule_goes_by_its_handle(machine: Machine) -> None:
    """Which no other rule gets afterwards."""
    nft(machine, "-f", "-", script=SMALL)
    [rule] = state(machine).tables["ip", "t"].chains["a"].rules
    assert nft(machine, "delete", "rule", "ip", "t", "a", "handle", str(rule.handle)).code == 0
    nft(machine, "add", "rule", "ip", "t", "a", "accept")
    [other] = state(machine).tables["ip", "t"].chains["a"].rules
    assert (other.text, other.handle > rule.handle > 0) == ("accept", True)
    assert nft(machine, "delete", "rule", "ip", "t", "a", "handle", str(rule.handle)).code == 1


def test_names_are_listed_as_json(machine: Machine) -> None:
    """Of tables, chains, sets and maps, with handles; no elements where none are asked for."""
    nft(machine, "-f", "-", script=SMALL)
    listed = json.loads(nft(machine, "--json", "--terse", "list", "table", "ip", "t").text)
    items = [next(iter(item.items())) for item in listed["nftables"] if "metainfo" not in item]
    found = {(kind, value.get("name")) for kind, value in items}
    assert found == {("table", "t"), ("map", "m"), ("chain", "a"), ("rule", None)}
    assert all({"family", "handle"} <= value.keys() for _, value in items)


def test_a_refusal_names_its_line(machine: Machine) -> None:
    """On standard error, with the kernel's words; nothing of the text is done."""
    nft(machine, "-f", "-", script=SMALL)
    before, number = state(machine), generation(machine)
    script = "add chain ip t b\nadd rule ip t none drop\n"
    done = nft(machine, "-f", "-", script=script)
    assert (done.code, done.text) == (1, "")
    assert done.complaint.startswith("/dev/stdin:2:")
    assert "No such file or directory" in done.complaint
    assert "add rule ip t none drop" in done.complaint
    assert (state(machine), generation(machine)) == (before, number)


@pytest.mark.parametrize("words", [("list", "table", "ip", "no"), ("delete", "table", "ip", "no")])
def test_what_is_not_there_is_told(machine: Machine, words: tuple[str, ...]) -> None:
    """By words of the command, not lines of a text."""
    done = nft(machine, *words)
    assert (done.code, done.text) == (1, "")
    assert "No such file or directory" in done.complaint


def test_a_check_changes_nothing(machine: Machine) -> None:
    """It says what would be refused, and counts no commit."""
    number = generation(machine)
    assert nft(machine, "--check", "-f", "-", script=SMALL).code == 0
    assert nft(machine, "-c", "-f", "-", script="add chain ip t a\n").code == 1
    assert (state(machine).tables, generation(machine)) == ({}, number)
    nft(machine, "-f", "-", script=SMALL)
    assert generation(machine) == number + 1


def test_it_says_its_version(machine: Machine) -> None:
    """In the words by which it is known."""
    assert nft(machine, "--version").text.startswith("nftables v1.")


def test_who_may_not_is_told(fake: FakeMachine) -> None:
    """Without the capability nothing is listed and nothing changed."""
    fake.capabilities.clear()
    assert "Operation not permitted" in nft(fake, "list", "ruleset").complaint
    done = nft(fake, "-f", "-", script=SMALL)
    assert (done.code, "Operation not permitted" in done.complaint) == (1, True)
    assert not fake.kernel.nft.state.tables


def test_a_kernel_may_lack_what_a_rule_needs(fake: FakeMachine) -> None:
    """The rule is refused, as for a module that is not there."""
    fake.lacks.add("nft_fib")
    script = f"{SMALL}add rule ip t a fib daddr type local drop\n"
    assert nft(fake, "-f", "-", script=script).complaint.startswith("/dev/stdin:6:")
    fake.lacks.clear()
    assert nft(fake, "-f", "-", script=script).code == 0
