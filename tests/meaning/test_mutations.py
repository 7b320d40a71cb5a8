"""Whatever changes in a dump of a live node is found, or does to every packet what was done before.

What is not found is no matter of opinion: packets of all that rules could tell apart are asked of
both texts, one by one, and have the same ends.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import pytest

from svcnet.errors import ApplyError
from svcnet.family import IPFamily
from svcnet.graph import Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.meaning import Facts, MachineRules, Unknown, Verdicts, iptables, nftables, verify
from svcnet.meaning.outcomes import outcomes_of
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.meaning.mutations import (
    NFT_FOREIGN,
    NFT_FOREIGN_6,
    XT_FOREIGN,
    XT_FOREIGN_6,
    Mutation,
    mutations,
)
from tests.test_live_node import live, packets

LIVE = ROOT / "tests" / "live_node"
IS_WHOLE = "SVCNET_FUZZ" in os.environ
DUMPS: dict[str, tuple[str, IPFamily, Sequence[str]]] = {
    "iptables": ("iptables", "IPv4", XT_FOREIGN),
    "ip6tables": ("iptables", "IPv6", XT_FOREIGN_6),
    "nft-ip": ("nftables", "IPv4", NFT_FOREIGN),
    "nft-ip6": ("nftables", "IPv6", NFT_FOREIGN_6),
    "nft-flat": ("nftables", "IPv4", NFT_FOREIGN),
}


@cache
def lines_of(name: str) -> list[str]:
    """Return the lines of a dump; nft lists both families in one."""
    if name in ("iptables", "ip6tables"):
        return (LIVE / f"{name}-save.txt").read_text().split("\n")
    if name == "nft-flat":
        return (LIVE / "nft-flat.txt").read_text().split("\n")
    text = (LIVE / "nft-ruleset.txt").read_text()
    at = text.index("table ip6")
    return (text[:at] if name == "nft-ip" else text[at:]).split("\n")


def graph_of(name: str) -> RuleGraph:
    mode, family, _ = DUMPS[name]
    return live(mode, family)


def read(name: str, lines: Sequence[str]) -> MachineRules:
    reader = iptables.read if DUMPS[name][0] == "iptables" else nftables.read
    return reader("\n".join(lines), Facts.of(graph_of(name).settings))


@cache
def asked(name: str) -> list[Packet]:
    """Return packets of all that the rules could tell apart; a part of them in an ordinary run."""
    found = list(packets(graph_of(name)))
    return found if IS_WHOLE else random.Random(1).sample(found, 100)


@cache
def before(name: str) -> dict[Packet, object]:
    """Return how packets end by the dump as it is."""
    rules = read(name, lines_of(name))
    return {packet: ends(rules, packet) for packet in asked(name)}


def ends(rules: MachineRules, packet: Packet) -> dict[object, Fraction]:
    found: dict[object, Fraction] = {}
    for outcome in outcomes_of(rules, packet):
        verdict = outcome.verdict
        end = (verdict.how,) if isinstance(verdict, Refuse) else verdict
        found[end] = found.get(end, Fraction(0)) + outcome.probability
    return found


def is_for_service(graph: RuleGraph, packet: Packet) -> bool:
    return not any(isinstance(each.verdict, Pass) for each in evaluate(graph, packet))


def assert_is_found_or_equal(name: str, mutation: Mutation) -> bool:
    """Return whether a mutation is found; fail if it is not and makes a difference to a packet."""
    graph = graph_of(name)
    try:
        rules = read(name, mutation.lines)
        found: Verdicts = verify(graph, rules)
    except ApplyError:
        return True  # it is no listing any more, which is told
    if found.differences or found.unknown:
        return True
    # What others do with packets that are no Service's is their own affair.
    is_foreign = mutation.kind in ("insert", "append")
    for packet, end in before(name).items():
        is_ours = is_for_service(graph, packet)
        if is_foreign and not is_ours:
            continue
        after = ends(rules, packet)
        is_unsure = any(isinstance(each, Unknown) for each in after)
        assert after == end or (is_unsure and not is_ours), f"{mutation}: {packet}"
    return False


@pytest.mark.parametrize("name", DUMPS)
def test_a_changed_line_is_found_or_changes_nothing(name: str) -> None:
    """Each line deleted, swapped, with another number, with a foreign rule before and after."""
    every = list(mutations(lines_of(name), DUMPS[name][2]))
    assert len(every) > 500
    chosen = every if IS_WHOLE else random.Random(7).sample(every, examples(20))
    found = [assert_is_found_or_equal(name, each) for each in chosen]
    assert sum(found) > len(found) / 3
