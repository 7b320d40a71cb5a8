"""Two dumps that mean the same are told in which rules they differ."""

from __future__ import annotations

import pytest

from svcnet.meaning import Rewriting
from svcnet.meaning.comparison.diff import rules_diff
from tests.meaning.test_mutations import lines_of, read


def rewritten(name: str, *changes: tuple[str, str]) -> Rewriting | None:
    text = "\n".join(lines_of(name))
    after = text
    for old, new in changes:
        assert old in after
        after = after.replace(old, new)
    found = rules_diff(read(name, text.split("\n")), read(name, after.split("\n")))
    assert not found.frontends
    return found.rewritten


@pytest.mark.parametrize("name", ["iptables", "nft-ip"])
def test_the_same_dump_says_the_same(name: str) -> None:
    assert rewritten(name) is None


def test_rules_of_one_side_alone_are_counted() -> None:
    """The lines of both are told; a comment makes a rule another one."""
    old = ' -m comment --comment "default/dual:dns"'
    found = rewritten("iptables", (old, ""))
    assert found is not None
    count = "\n".join(lines_of("iptables")).count(old)
    assert (found.old, found.new) == (count, count)
    assert {side for side, _ in found.rules} == {"old", "new"}
    assert all(rule.line for _, rule in found.rules)


def test_an_order_that_does_not_matter_is_told() -> None:
    lines = lines_of("iptables")
    at = next(at for at, line in enumerate(lines) if line.startswith("-A KUBE-SERVICES -d"))
    swap = (f"{lines[at]}\n{lines[at + 1]}", f"{lines[at + 1]}\n{lines[at]}")
    assert rewritten("iptables", swap) == Rewriting(0, 0, ())


def test_elements_are_texts_too() -> None:
    """A set that nobody asks for may have others."""
    lines = lines_of("nft-ip")
    before = next(line for line in lines if line.startswith("table "))
    more = "\n\tset idle {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1 }\n\t}"
    found = rewritten("nft-ip", (before, f"{before}{more}"))
    assert found is not None
    assert (found.old, found.new) == (0, 1)
    assert found.rules[0][1].chain == "@idle"
