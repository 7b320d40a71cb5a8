"""What nft prints as JSON, as the values that its text is read as."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from svcnet.netfilter.nft import (
    ElementState,
    HookState,
    ListingError,
    read_document,
    read_listing,
)

LISTINGS = Path(__file__).parent / "listings"
OWN: dict[str, Any] = {"family": "ip", "table": "t"}
ADDRESS = {"payload": {"protocol": "ip", "field": "daddr"}}
ITEMS: list[dict[str, Any]] = [
    {"metainfo": {"version": "1.0.6"}},
    {"table": {"family": "ip", "name": "t", "handle": 3, "comment": "a table"}},
    {"set": {**OWN, "name": "s", "type": "ipv4_addr", "handle": 4, "elem": ["10.0.0.1"]}},
    {
        "map": {
            **OWN,
            "name": "m",
            "type": ["ipv4_addr", "inet_proto"],
            "map": "verdict",
            "timeout": 60,
            "flags": ["timeout"],
            "elem": [
                [{"concat": ["10.0.0.1", 6]}, {"goto": {"target": "a"}}],
                [
                    {"elem": {"val": {"concat": ["10.0.0.2", "udp"]}, "comment": "x: y"}},
                    {"drop": None},
                ],
                {"strange": 1},
            ],
        }
    },
    {"chain": {**OWN, "name": "in", "type": "filter", "hook": "input", "prio": -5}},
    {"chain": {**OWN, "name": "a", "handle": 9}},
    {"chain": {**OWN, "name": "b", "type": "filter", "hook": ["x"], "prio": 0}},
    {"counter": {**OWN, "name": "c"}},
    {"nameless": {**OWN}},
]
RULES: dict[str, list[Any]] = {
    "ct state established,related accept": [
        {
            "match": {
                "op": "in",
                "left": {"ct": {"key": "state"}},
                "right": ["established", "related"],
            }
        },
        {"accept": None},
    ],
    "ip daddr { 10.0.0.0/8 , 192.0.2.1 } drop": [
        {
            "match": {
                "op": "==",
                "left": ADDRESS,
                "right": {"set": [{"prefix": {"addr": "10.0.0.0", "len": 8}}, "192.0.2.1"]},
            }
        },
        {"drop": None},
    ],
    "meta mark & 16384 != 0 meta mark set meta mark | 16384 counter": [
        {"match": {"op": "!=", "left": {"&": [{"meta": {"key": "mark"}}, 16384]}, "right": 0}},
        {
            "mangle": {
                "key": {"meta": {"key": "mark"}},
                "value": {"|": [{"meta": {"key": "mark"}}, 16384]},
            }
        },
        {"counter": {"packets": 1, "bytes": 2}},
    ],
    "numgen random mod 2 vmap { 0 : goto a , 1 : drop }": [
        {
            "vmap": {
                "key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}},
                "data": {"set": [[1, {"drop": None}], [0, {"goto": {"target": "a"}}]]},
            }
        }
    ],
    'iifname "mark" dnat to [fd00::1]:80': [
        {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "mark"}},
        {"dnat": {"addr": "fd00::1", "port": 80}},
    ],
    "masquerade fully-random": [{"masquerade": {"flags": "fully-random"}}],
    "reject": [{"reject": {"type": "icmp", "expr": "port-unreachable"}}],
    "update @s { ip daddr }": [{"set": {"op": "update", "elem": ADDRESS, "set": "@s"}}],
}
STRANGE: list[Any] = [
    {"what": 1},
    {"match": {"op": "~", "left": ADDRESS, "right": "x"}},
    {"match": {"op": "==", "left": {"meta": 5}, "right": None}},
    {"jump": {"target": "a b"}},
    {"jump": {"target": "a", "more": 1}},
    {"dnat": 7},
    {"log": {"prefix": 'a"b'}},
    {"vmap": {"key": [[[[[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]]]]]], "data": "@s"}},
    [],
    None,
    1.5,
]


def document(*rules: object, items: list[dict[str, Any]] = ITEMS) -> str:
    """Return a listing whose chain ``a`` has rules of these expressions."""
    made = [{"rule": {**OWN, "chain": "a", "handle": 20, "expr": each}} for each in rules]
    return json.dumps({"nftables": [*items, *made]})


def test_a_table_is_read() -> None:
    """Its chains, sets and maps; what is not understood is kept with the number of its item."""
    table = read_document(document()).tables["ip", "t"]
    assert (table.comment, table.handle, table.line) == ("a table", 3, 2)
    assert table.chains["in"].hook == HookState("filter", "input", -5)
    assert list(table.sets["s"].elements) == ["10.0.0.1"]
    assert (table.sets["m"].value, table.sets["m"].timeout) == ("verdict", 60)
    assert list(table.sets["m"].elements.values()) == [
        ElementState("10.0.0.1 . tcp", "goto a", line=4),
        ElementState("10.0.0.2 . udp", "drop", "x: y", line=4),
    ]
    assert [each.name for each in table.others] == ["c"]
    assert [each.line for each in table.unknown] == [4, 7, 9]


@pytest.mark.parametrize("text", RULES)
def test_a_rule_is_read(text: str) -> None:
    """In the one form that its text has too."""
    table = read_document(document(RULES[text], items=ITEMS[:6])).tables["ip", "t"]
    assert [rule.text for rule in table.chains["a"].rules] == [text]


def test_rules_of_others_are_read_as_their_text_is() -> None:
    """Of each kind that people have, in what nft 1.0.6 printed of one ruleset both ways."""
    text = read_listing((LISTINGS / "foreign.nft").read_text("utf-8"))
    found = read_document((LISTINGS / "foreign.json").read_text("utf-8"))
    assert not list(text.unknown())
    assert not list(found.unknown())
    assert found.tables.keys() == text.tables.keys()
    for key, table in text.tables.items():
        other = found.tables[key]
        assert {name: each.hook for name, each in other.chains.items()} == {
            name: each.hook for name, each in table.chains.items()
        }
        for name, chain in table.chains.items():
            assert [r.text for r in other.chains[name].rules] == [r.text for r in chain.rules]
        assert {name: (each.type, each.timeout) for name, each in other.sets.items()} == {
            name: (each.type, each.timeout) for name, each in table.sets.items()
        }
        assert [each.name for each in other.others] == [each.name for each in table.others]


@pytest.mark.parametrize("part", STRANGE, ids=range(len(STRANGE)))
def test_a_strange_rule_is_kept(part: object) -> None:
    """As a rule of its chain that nobody understands, with its place."""
    items = [*ITEMS[:3], ITEMS[5]]
    table = read_document(document([part], "none", items=items)).tables["ip", "t"]
    assert len(table.chains["a"].rules) == 2
    assert [each.line for each in table.unknown] == [5, 6]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "{}", '{"nftables": 1}', '{"nftables": [1]}', "[" * 100_000),
        *('{"nftables": [{"table": {"family": [], "name": "t"}}]}', '{"nftables": [{"set": {}}]}'),
        '{"nftables": [{"chain": {"family": "ip", "table": "t", "name": "a"}}]}',
        document("x", items=ITEMS[:2]),
        document(items=[*ITEMS[:2], ITEMS[1]]),
        document(items=[*ITEMS[:6], ITEMS[5]]),
    ],
    ids=range(14),
)
def test_what_is_no_listing_is_told(text: str) -> None:
    """Whatever else it is, or what nft cannot have written."""
    with pytest.raises(ListingError):
        read_document(text)
