"""What differs between a table that somebody has changed and the one that is wanted."""

from __future__ import annotations

from functools import cache

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.executors.nftables.drift import differences
from svcnet.executors.nftables.endpoints import EndpointDrift
from svcnet.netfilter.nft import NFTState, ScriptError, TableState, UnknownLine, load
from svcnet.renderers.nftables import (
    ENDPOINT_MAPS,
    Layout,
    Ruleset,
    buckets_ahead,
    full,
    text,
)
from tests.fuzz import examples
from tests.netfilter.nft_damage import NAMES, damages, said
from tests.test_conformance import CASES
from tests.test_conformance_nftables import compile_case

LAYOUTS: tuple[Layout, ...] = ("kube-proxy", "flat")


@cache
def ruleset_of(case: str, layout: Layout = "kube-proxy") -> Ruleset:
    return full(compile_case(CASES / case, "IPv4"), layout=layout)


@cache
def state_of(case: str, layout: Layout = "kube-proxy") -> NFTState:
    return load(NFTState(), text(ruleset_of(case, layout)))


def table_of(state: NFTState) -> TableState:
    return state.tables["ip", "kube-proxy"]


def repaired(state: NFTState, ruleset: Ruleset) -> tuple[NFTState, str]:
    """Return what a repair leaves, and its lines."""
    drift = differences(table_of(state), ruleset)
    assert not drift.is_unreadable
    assert bool(drift) == bool(drift.differed)
    for part in filter(None, (*drift.delta.texts, drift.delta.cleanup)):
        state = load(state, part)
    return state, drift.delta.text


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", NAMES)
def test_nothing_differs_from_itself(case: str, layout: Layout) -> None:
    """A table that is as it should be needs nothing."""
    assert not differences(table_of(state_of(case, layout)), ruleset_of(case, layout))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", NAMES)
def test_one_layout_becomes_the_other(case: str, layout: Layout) -> None:
    """Whatever leads to the new chains comes after them, and all is there in the end."""
    [other] = [each for each in LAYOUTS if each != layout]
    ruleset = ruleset_of(case, layout)
    delta = differences(table_of(state_of(case, other)), ruleset).delta
    assert not any(line.startswith("delete") for each in delta.first for line in [each.text("t")])
    assert "add chain" not in delta.texts[-1]
    assert "delete map ip kube-proxy service-ips" not in delta.texts[-1]
    after, _ = repaired(state_of(case, other), ruleset)
    assert said(table_of(after)) == said(table_of(state_of(case, layout)))


def test_chains_for_other_numbers_of_endpoints_stay() -> None:
    """What nothing leads to is no difference, and is as it should be; the other layout has none."""
    ruleset, other = (ruleset_of("kitchen-sink", each) for each in ("flat", "kube-proxy"))
    kept = ruleset.keep(buckets_ahead(ruleset.buckets))
    state = load(NFTState(), text(kept))
    assert kept != ruleset
    assert not differences(table_of(state), ruleset)
    state = load(state, "insert rule ip kube-proxy cluster-tcp-1 drop\n")
    after, lines = repaired(state, ruleset)
    assert "cluster-tcp-1" in lines
    assert said(table_of(after)) == said(table_of(load(NFTState(), text(kept))))
    after, _ = repaired(after, other)
    assert said(table_of(after)) == said(table_of(state_of("kitchen-sink")))


def test_no_more_chains_stay_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than that none stays that nothing leads to; in a step one goes as it came."""
    ruleset = ruleset_of("kitchen-sink", "flat")
    kept = ruleset.keep(buckets_ahead(ruleset.buckets))
    state = load(NFTState(), text(kept))
    monkeypatch.setattr("svcnet.renderers.nftables.ruleset.MOST_KEPT", len(kept.kept) - 1)
    assert ruleset.keep(kept.kept) is ruleset
    assert kept.keep(ruleset.buckets) is kept
    after, _ = repaired(state, ruleset)
    assert said(table_of(after)) == said(table_of(load(NFTState(), text(ruleset))))


def test_a_map_may_have_more_room_and_never_less() -> None:
    """A map that is too small, or has no size, is made anew with the rules that look into it."""
    case = "kitchen-sink"
    ruleset, right = ruleset_of(case, "flat"), text(ruleset_of(case, "flat"))
    assert not differences(table_of(load(NFTState(), right.replace(" 1024 ", " 4096 "))), ruleset)
    for size in ("size 512 ; ", ""):
        state = load(NFTState(), right.replace("size 1024 ; ", size))
        after, lines = repaired(state, ruleset)
        assert "delete map ip kube-proxy service-endpoints-tcp\n" in lines
        assert said(table_of(after)) == said(table_of(state_of(case, "flat")))


def test_a_map_that_is_made_anew_gets_what_was_right_in_it() -> None:
    """Of endpoints only those may be told that differ: the others come as well."""
    case = "kitchen-sink"
    state = load(NFTState(), text(ruleset_of(case, "flat")).replace("size 1024 ; ", "size 512 ; "))
    table = table_of(state)
    sets = {
        name: evolve(each, elements={}) if name in ENDPOINT_MAPS else each
        for name, each in table.sets.items()
    }
    told = evolve(table, sets=sets)
    drift = differences(told, ruleset_of(case, "flat"), endpoints=EndpointDrift())
    for part in filter(None, (*drift.delta.texts, drift.delta.cleanup)):
        state = load(state, part)
    assert said(table_of(state)) == said(table_of(state_of(case, "flat")))


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_any_damage_is_put_right(data: st.DataObject) -> None:
    """Whatever somebody did to the table: one repair, after which nothing differs."""
    case, layout = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(LAYOUTS))
    ruleset, before = ruleset_of(case, layout), state_of(case, layout)
    state = before
    for line in data.draw(damages(table_of(before))):
        try:
            state = load(state, line)
        except ScriptError:
            continue
    after, _ = repaired(state, ruleset)
    assert said(table_of(after)) == said(table_of(before))
    assert not differences(table_of(after), ruleset)


T = "ip kube-proxy"
SMALL = {
    f"add rule {T} services drop": ("delete rule",),
    f"insert rule {T} services accept": ("delete rule",),
    f"flush chain {T} reject-chain": ("add rule",),
    f"add element {T} cluster-ips {{ 10.9.9.9 }}": ("delete element",),
    f"delete element {T} cluster-ips {{ 10.96.0.10 }}": ("add element",),
    f"add chain {T} stranger": ("flush chain", "delete chain"),
    f"add set {T} stranger {{ type mark ; }}": ("delete set",),
    f"add map {T} stranger {{ type mark : verdict ; }}": ("delete map",),
    f"add chain {T} filter-input {{ type filter hook input priority 0 ; policy drop ; }}": (
        "add chain",
    ),
    f"add chain {T} stranger {{ type filter hook input priority 5 ; policy drop ; }}": (
        "flush chain",
        "delete chain",
    ),
}


@pytest.mark.parametrize("line", SMALL)
def test_a_repair_is_as_small_as_the_damage(line: str) -> None:
    """One line, or two, for one that somebody wrote."""
    state = load(state_of("kitchen-sink"), line)
    after, lines = repaired(state, ruleset_of("kitchen-sink"))
    verbs = [" ".join(each.split(" ", 2)[:2]) for each in lines.splitlines()]
    assert tuple(verbs) == SMALL[line]
    assert said(table_of(after)) == said(table_of(state_of("kitchen-sink")))


def test_a_set_of_another_kind_is_made_anew() -> None:
    """With the rules that speak of it and all its elements; clients of affinity stay."""
    lines = [
        f"flush chain {T} firewall-check",
        f"delete map {T} firewall-ips",
        f"add set {T} firewall-ips {{ type ipv4_addr ; }}",
        f"add rule {T} firewall-check ip daddr @firewall-ips drop",
        f"flush chain {T} nat-output",
        f"delete chain {T} nat-output",
        f"add chain {T} nat-output",
        f"add element {T} service-ips {{ 10.9.9.9 . tcp . 80 : goto nat-output }}",
    ]
    state = load(state_of("kitchen-sink"), "\n".join(lines))
    after, _ = repaired(state, ruleset_of("kitchen-sink"))
    assert said(table_of(after)) == said(table_of(state_of("kitchen-sink")))


def test_clients_are_state() -> None:
    """What a set of session affinity has is no difference; another timeout is."""
    name = next(each for each in table_of(state_of("affinity-custom")).sets if "affinity" in each)
    state = load(state_of("affinity-custom"), f"add element {T} {name} {{ 10.1.1.1 }}")
    ruleset = ruleset_of("affinity-custom")
    assert not differences(table_of(state), ruleset)
    line = f"add set {T} {name} {{ type ipv4_addr ; flags dynamic,timeout ; timeout 7s ; }}"
    after, lines = repaired(load(state, line), ruleset)
    assert lines == line.replace("7s", "60s") + "\n"
    assert list(table_of(after).sets[name].elements) == ["10.1.1.1"]


def test_what_nobody_understands_needs_a_new_table() -> None:
    """An unknown line may hide anything."""
    state = table_of(state_of("kitchen-sink"))
    strange = evolve(state, unknown=(UnknownLine(5, "what"),), flags=frozenset(["dormant"]))
    drift = differences(strange, ruleset_of("kitchen-sink"))
    assert drift.is_unreadable
    assert drift.delta.text == f"add table {T}\n"
