"""Listings and lines of nft that somebody has damaged: a value or an error with a line, always."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.netfilter.nft import (
    ListingError,
    NFTState,
    ScriptError,
    canonical,
    load,
    read_document,
    read_listing,
)
from tests.fuzz import examples
from tests.netfilter.test_nft_canonical import SAME
from tests.netfilter.test_nft_document import ITEMS, OWN, RULES, document
from tests.netfilter.test_nft_listing import LISTING, STRANGE
from tests.netfilter.test_nft_script import BASE

PIECES = (
    *('"', "{", "}", " ", "\n", ",", ":", " : ", " . ", "@", "#", " # handle ", "0x", "\t}\n", ";"),
    *(
        "comment",
        ' comment "',
        "elements = { ",
        "9" * 30,
        "{" * 2000,
        "\0",
        "\udcff",
        "٣",
        "é",
        "[",
        "]",
    ),
    *(
        "timeout",
        "expires 1h",
        "meta",
        "mark",
        "state ",
        "fib ",
        "reject with ",
        "/",
        "-",
        "0x1/99",
    ),
    *("add ", "delete ", "handle 1", "flush ruleset", "table ip x {\n", "chain c {\n", "set s {\n"),
)


@st.composite
def damages(draw: st.DrawFn, text: str) -> str:
    """A text with pieces taken out, put in, or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 40)))
        middle = draw(
            st.one_of(st.sampled_from(PIECES), st.text(max_size=5), st.just(text[begin:end] * 2))
        )
        text = text[:begin] + middle + text[end:]
    return text


@settings(max_examples=examples(80), deadline=None)
@given(st.one_of(damages(LISTING), damages(STRANGE)))
def test_a_damaged_listing_is_read_or_refused(text: str) -> None:
    """What is read has lines that there are, and so has what is refused."""
    refused = None
    try:
        found = read_listing(text)
    except ListingError as error:
        refused, found = error.line, NFTState()
    assert refused is None or 1 <= refused <= text.count("\n") + 1
    lines = [unknown.line for unknown in found.unknown()]
    for table in found.tables.values():
        lines += [chain.line for chain in table.chains.values()]
        lines += [each.line for each in table.sets.values()]
        lines += [rule.line for chain in table.chains.values() for rule in chain.rules]
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)


@settings(max_examples=examples(60), deadline=None)
@given(damages(BASE))
def test_a_damaged_script_is_loaded_or_refused(text: str) -> None:
    """Whatever is refused has a line, and nothing has changed."""
    before = load(NFTState(), BASE)
    for state in (before, NFTState()):
        refused = None
        try:
            load(state, text)
        except ScriptError as error:
            refused = error.line
        assert refused is None or 1 <= refused <= text.count("\n") + 1
    assert load(NFTState(), BASE) == before


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(list(SAME)).flatmap(damages))
def test_a_damaged_rule_has_a_form(text: str) -> None:
    """Whatever words it has; blanks and breaks between them mean nothing."""
    assert canonical(f"\t{text} \n") == canonical(text)


@settings(max_examples=examples(80), deadline=None)
@given(damages(document(*RULES.values())))
def test_a_damaged_document_is_read_or_refused(text: str) -> None:
    """JSON that somebody has damaged is a listing or an error, too."""
    with suppress(ListingError):
        read_document(text)


WORDS = (
    *(
        "accept",
        "jump",
        "dnat",
        "masquerade",
        "counter",
        "mangle",
        "reject",
        "set",
        "vmap",
        "limit",
    ),
    *(
        "log",
        "match",
        "ct count",
        "concat",
        "map",
        "prefix",
        "range",
        "payload",
        "meta",
        "ct",
        "fib",
    ),
    *("numgen", "jhash", "symhash", "exthdr", "elem", "&", "left", "right", "op", "key", "value"),
    *("data", "addr", "port", "target", "protocol", "field", "base", "offset", "len", "typeof"),
    *("val", "timeout", "comment", "flags", "stmt", "rate", "per", "dir", "family", "result"),
)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=examples(100), deadline=None)
@given(VALUES, VALUES)
def test_any_value_is_a_rule_or_an_element(expr: object, element: object) -> None:
    """Whatever JSON is where a rule or an element is: it is read, or unknown with its item."""
    made = [
        {"rule": {**OWN, "chain": "a", "expr": [expr]}},
        {"set": {**OWN, "name": "z", "type": element, "elem": [element], "flags": expr}},
        {"chain": {**OWN, "name": "z", "hook": expr, "prio": element, "dev": element}},
    ]
    found = read_document(json.dumps({"nftables": [*ITEMS[:6], *made]}))
    assert len(found.tables["ip", "t"].chains["a"].rules) == 1
