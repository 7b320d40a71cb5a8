"""Restore text: what is written is read as it was, and does to tables what it says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.netfilter import BUILT_IN, Jump, Rule, SavedTables, parse_save, read_listing, save_rule
from svcnet.netfilter.jumps import arrange, ensure
from svcnet.netfilter.restore import (
    append,
    chains_by_table,
    commits,
    declare,
    delete,
    insert,
    line_at,
    load,
    refused_line,
    remove,
    rules_by_chain,
    table_of,
    transaction,
    without_deletions,
    write,
)
from svcnet.netfilter.rules import leading_to
from tests.fuzz import examples
from tests.netfilter.written import NAMES, written_rules

CHAINS = NAMES.map("KUBE-{}".format)
Written = Mapping[str, Mapping[str, list[str]]]


def tables() -> st.SearchStrategy[Written]:
    """Return a strategy for tables of chains of rules that svcnet may write."""
    return st.fixed_dictionaries(
        {
            table: st.dictionaries(CHAINS, st.lists(written_rules("IPv4", table), max_size=3))
            for table in ("filter", "nat")
        }
    )


def text_of(tables: Written) -> str:
    return "".join(
        transaction(table, declare(chains), *(append(c, rules) for c, rules in chains.items()))
        for table, chains in tables.items()
    )


@settings(max_examples=examples(20))
@given(tables())
def test_what_is_written_is_read(tables: Written) -> None:
    """Text of our own is a listing: the same tables, chains and rules, in their order."""
    text = text_of(tables)
    assert read_listing(text) == tables
    assert parse_save(text) == SavedTables({t: dict(chains) for t, chains in tables.items()})


@settings(max_examples=examples(20))
@given(tables(), tables())
def test_what_is_loaded_is_there(before: Written, after: Written) -> None:
    """Chains that are declared have their rules and no others; all else stays."""
    there = load(SavedTables({}), [text_of(before)], "IPv4")
    now = load(there, [text_of(after)], "IPv4")
    for table in before:
        wanted = {**before[table], **after[table]}
        assert now.chains(table) == {
            chain: [save_rule(rule, "IPv4") for rule in rules] for chain, rules in wanted.items()
        }
    assert now.differences(now) == 0
    gone = [transaction(table, delete(chains)) for table, chains in after.items()]
    assert not any(load(now, gone, "IPv4").chains(t).keys() & after[t].keys() for t in after)


def test_lines() -> None:
    """Each kind of line, and a transaction around them."""
    assert declare(["A", "B"]) == ":A - [0:0]\n:B - [0:0]\n"
    assert append("A", ["-j B", "-j C"]) == "-A A -j B\n-A A -j C\n"
    assert insert("A", ["-j B"]) == "-I A -j B\n"
    assert remove("A", ["-j B"]) == "-D A -j B\n"
    assert delete(["A"]) == "-X A\n"
    assert transaction("nat", declare(["A"])) == "*nat\n:A - [0:0]\nCOMMIT\n"
    assert list(write("nat", "", "")) == []
    assert list(write("nat", "", "-X A\n")) == ["*nat\n-X A\nCOMMIT\n"]
    assert table_of("*nat\nCOMMIT\n") == "nat"
    assert rules_by_chain("-A A -j B\n-A C -j D\n-A A -j E\n") == {
        "A": ["-j B", "-j E"],
        "C": ["-j D"],
    }


def test_what_a_text_does() -> None:
    """Which chains it names, how many tables it changes, and what it deletes."""
    text = "*nat\n:A - [0:0]\n-A B -j A\n-X C\nCOMMIT\n*filter\n:D - [0:0]\nCOMMIT\n"
    assert chains_by_table([text]) == {"nat": {"A", "B", "C"}, "filter": {"D"}}
    assert commits(text) == 1
    rest, deleted = without_deletions(text)
    assert (rest, deleted) == (text.replace("-X C\n", ""), ("C",))
    assert without_deletions(rest) == (rest, ())


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("iptables-restore v1.8.9 (nf_tables): \nline 7: RULE_APPEND failed", 7),
        ("iptables-restore: line 12 failed", 12),
        ("Error occurred at line: 3", 3),
        ("Another app is currently holding the xtables lock", 0),
    ],
)
def test_which_line_is_refused(message: str, number: int) -> None:
    """Both variants say it in words of their own."""
    assert refused_line(message) == number


def test_a_line_by_its_number() -> None:
    """The first has number 1; there is none before it, nor behind the last."""
    text = "*nat\n-A X\nCOMMIT\n"
    assert [line_at(text, n) for n in (-1, 0, 1, 2, 5)] == ["", "", "*nat", "-A X", ""]


def test_what_leads_to_a_chain() -> None:
    """The first rule that does, and not one that only speaks of it."""
    chains = {"A": ['-m comment --comment "-j X" -j Y', "-j XX"], "B": ["-p tcp -g X"]}
    assert leading_to(chains, "X") == "-A B -p tcp -g X"
    assert leading_to(chains, "Z") == ""


FIRST = Jump("nat", "OUTPUT", "", "KUBE-A")
LAST = Jump("nat", "OUTPUT", "-d 10.0.0.1 ", "KUBE-B", "last")
FOUND = st.lists(st.sampled_from([FIRST, LAST, None]), max_size=6)


def there(found: list[Jump | None]) -> dict[str, list[str]]:
    return {"OUTPUT": [save_rule(each.rule, "IPv4") if each else "-j FOREIGN" for each in found]}


def done(lines: str, chains: Mapping[str, list[str]]) -> list[str]:
    loaded = load(SavedTables({"nat": dict(chains)}), [transaction("nat", lines)], "IPv4")
    return loaded.chains("nat")["OUTPUT"]


@settings(max_examples=examples(100))
@given(FOUND)
def test_jumps_are_there_once(found: list[Jump | None]) -> None:
    """However often they were there; rules of others stay, and nothing is done twice."""
    chains = there(found)
    now = done("".join(ensure([FIRST, LAST], chains, "IPv4")), chains)
    assert now.count("-j FOREIGN") == found.count(None)
    assert [now.count(save_rule(each.rule, "IPv4")) for each in (FIRST, LAST)] == [1, 1]
    assert list(ensure([FIRST, LAST], {"OUTPUT": now}, "IPv4")) == []


@settings(max_examples=examples(100))
@given(FOUND)
def test_jumps_are_there_in_their_order(found: list[Jump | None]) -> None:
    """Where their order is wrong they go to their places, and stay there."""
    chains = there(found)
    lines = "".join(text for _, text in arrange([LAST, FIRST], chains, "IPv4", is_jump))
    now = done(lines, chains)
    own = [rule for rule in now if rule != "-j FOREIGN"]
    assert own == [save_rule(FIRST.rule, "IPv4"), save_rule(LAST.rule, "IPv4")]
    assert now.count("-j FOREIGN") == found.count(None)
    assert list(arrange([LAST, FIRST], {"OUTPUT": now}, "IPv4", is_jump)) == []


def is_jump(rule: str) -> bool:
    return rule.endswith(("KUBE-A", "KUBE-B"))


def test_values() -> None:
    """A rule and a jump say where they belong."""
    assert Rule("nat", "KUBE-A", "-j ACCEPT").text == "-j ACCEPT"
    assert (FIRST.line, LAST.line) == ("-I OUTPUT -j KUBE-A\n", "-A OUTPUT -d 10.0.0.1 -j KUBE-B\n")
    assert set(BUILT_IN) == {"filter", "nat"}


def test_parse_save() -> None:
    """Tables, chains and rules are told apart; comments and counters are skipped."""
    text = "# x\n*nat\n:A - [0:0]\n:B ACCEPT [1:2]\n-A A -j B\n-A A\nCOMMIT\n"
    assert parse_save(text) == SavedTables({"nat": {"A": ["-j B", ""], "B": []}})
