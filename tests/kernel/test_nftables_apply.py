"""Mode nftables on a machine: tables that are taken over, damaged and refused."""

from __future__ import annotations

import pytest

from svcnet.errors import ApplyError
from svcnet.executors.nftables import apply, cleanup, is_there, plan, table_of
from svcnet.executors.nftables.commands import NFT
from svcnet.executors.nftables.known import KnownHandles
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import RuleGraph
from svcnet.models.state import ClusterObject
from svcnet.modes.nftables import NFTABLES
from svcnet.modes.options import own_values
from svcnet.reconciler import Keeper
from svcnet.renderers.nftables import Layout, Ruleset, full, text, transaction
from svcnet.testing import make_node, make_service, make_slice
from tests.kernel.test_nftables import Listed, listed, load, made_by
from tests.kernel.test_twice import elsewhere
from tests.renderers.test_nftables import graph_of
from tests.test_conformance import family_of_file
from tests.test_conformance_nftables import EXPECTED, SECOND, compile_case

pytestmark = pytest.mark.kernel

FOREIGN = """\
add table ip foreign
add chain ip foreign c { type filter hook input priority 0 ; }
add set ip foreign kube-proxy { type ipv4_addr ; }
add element ip foreign kube-proxy { 192.0.2.1 }
add rule ip foreign c ip saddr @kube-proxy counter accept comment "table ip kube-proxy {"
add table inet kube-proxy
add chain inet kube-proxy services
add rule inet kube-proxy services drop
"""
NODE = make_node("node-a", "192.0.2.10")
WEB = make_service("web", "10.96.0.10", session_affinity="ClientIP")
MANY = [
    each
    for n in range(20)
    for each in (make_service(f"s{n}", f"10.96.1.{n}"), make_slice(f"s{n}", f"10.244.1.{n + 1}"))
]


def ruleset_of(*objects: ClusterObject) -> Ruleset:
    return full(graph_of([NODE, *objects]))


def keeper(layout: Layout = "kube-proxy") -> Keeper:
    given = own_values(NFTABLES.options, {"layout": layout})
    executor = NFTABLES.executor(settings=NFTABLES.settings(given=given))
    return Keeper(executor.adapter("IPv4"))


def plain(found: Listed) -> Listed:
    """Return what is listed without comments of tables, chains and sets: these cannot change."""
    for value in found.values():
        if isinstance(value, dict):
            value.pop("comment", None)
    return found


def assert_becomes(ruleset: Ruleset, *before: str) -> str:
    """Apply over a table, beside foreign ones; return what was told. It is right, and stays."""
    wanted = plain(made_by(FOREIGN, text(ruleset)))
    load("flush ruleset\n")
    for script in (FOREIGN, *before):
        load(script)
    told = str(apply(ruleset))
    assert plain(listed()) == wanted
    assert "nothing to change" in str(apply(ruleset))
    return told


def test_what_kube_proxy_left_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first and second syncs become what is wanted: by what differs, and by a whole load."""

    def work() -> None:
        for expected in SECOND[::6]:
            family = family_of_file(expected)
            ruleset = full(compile_case(expected.parent, family))
            name = f"tx.nftables.{family.lower()}"
            first = expected.with_name(f"{name}.first.txt").read_text()
            told = assert_becomes(ruleset, first, expected.with_suffix(".delta.txt").read_text())
            assert "nothing" in told or "that kube-proxy or an earlier svcnet left" in told

    elsewhere(work)
    monkeypatch.setattr(plan, "MOST_LINES", -1)
    elsewhere(work)


def test_any_case_becomes_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the table was, and in whichever way it is loaded, it ends as it is wanted."""
    cases = [each for each in EXPECTED if family_of_file(each) == "IPv4"][::25]
    rulesets = [full(compile_case(each.parent, "IPv4")) for each in cases]

    def work() -> None:
        for before, after in zip(rulesets, rulesets[1:] + rulesets[:1], strict=True):
            assert_becomes(after, transaction(before))

    elsewhere(work)
    monkeypatch.setattr(plan, "MOST_LINES", -1)
    elsewhere(work)


STRANGE = {
    "a map of another type": "add map ip kube-proxy service-ips { type ipv4_addr : verdict ; }",
    "a set where a map is to be": "add set ip kube-proxy service-ips { type ipv4_addr ; }",
    "a chain with a hook": (
        "add chain ip kube-proxy services { type filter hook input priority 5 ; policy drop ; }"
    ),
    "a hook elsewhere": (
        "add chain ip kube-proxy nat-output { type filter hook input priority 5 ; }"
    ),
    "a table asleep": "add table ip kube-proxy { flags dormant ; }",
    "a counter": "add counter ip kube-proxy c",
    "an element that leads elsewhere": (
        "add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict "
        "; }\nadd element ip kube-proxy service-ips { 10.96.1.3 . tcp . 80 : drop }"
    ),
    "an interval": "add set ip kube-proxy cluster-ips { type ipv4_addr ; flags interval ; }",
    "rules that lead around": (
        "add chain ip kube-proxy a\nadd chain ip kube-proxy service-b\n"
        "add rule ip kube-proxy a goto service-b"
    ),
}


@pytest.mark.parametrize("over", [False, True])
def test_what_is_in_the_way_goes(over: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that somebody made for something else is made right, and no other is touched."""
    if over:
        monkeypatch.setattr(plan, "MOST_LINES", -1)

    def work() -> None:
        for script in STRANGE.values():
            assert_becomes(ruleset_of(*MANY), f"add table ip kube-proxy\n{script}\n")

    elsewhere(work)


def test_clients_keep_their_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """What session affinity remembers outlives a repair, and a whole load over the table."""
    ruleset = ruleset_of(WEB, make_slice("web", "10.244.1.5"))
    [name] = (each for block in ruleset.blocks.values() for each in block.sets)

    def work() -> None:
        apply(ruleset)
        load(f"add element ip kube-proxy {name} {{ 198.51.100.9 }}\n")
        for most in (10_000, -1):
            monkeypatch.setattr(plan, "MOST_LINES", most)
            load("flush chain ip kube-proxy services\nflush map ip kube-proxy service-ips\n")
            assert "nothing" not in str(apply(ruleset))
            there = NFT(THIS_MACHINE).table(ruleset.table)
            assert there is not None
            assert "198.51.100.9" in there.sets[name].elements
            monkeypatch.undo()

    elsewhere(work)


def graphs() -> tuple[RuleGraph, RuleGraph]:
    """Return two graphs of which the second has an endpoint more."""
    before = graph_of([NODE, make_service(), make_slice("web", "10.244.1.5")])
    return before, graph_of([NODE, make_service(), make_slice("web", "10.244.1.5", "10.244.1.6")])


DAMAGES = (
    "delete table ip kube-proxy",
    "flush map ip kube-proxy service-ips",
    "flush chain ip kube-proxy services",
    "insert rule ip kube-proxy services drop",
    "add element ip kube-proxy cluster-ips { 192.0.2.77 }",
    "add chain ip kube-proxy z { type filter hook forward priority 9 ; policy drop ; }",
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_look_repairs(damage: str) -> None:
    """Whatever somebody does to the table is put right at the next look, and told of."""
    before, after = graphs()

    def work() -> None:
        kept = keeper()
        kept.whole(before)
        load(f"{FOREIGN}add rule ip foreign c accept\n")
        assert "nothing" in kept.look(before).text
        load(f"{damage}\n")
        done = kept.look(before)
        assert done.kind != "none"
        assert "nothing" in kept.look(before).text
        kept.step(after, None)
        assert "nothing" in kept.look(after).text
        load("flush ruleset\n")
        kept.look(after)
        assert listed() == made_by(text(full(after)))

    elsewhere(work)


def test_what_was_right_is_known_again() -> None:
    """The kernel's own answers are understood for every kind of table, in both families."""

    def work() -> None:
        for expected in EXPECTED[::12]:
            family = family_of_file(expected)
            ruleset = full(compile_case(expected.parent, family))
            load("flush ruleset\n")
            load(text(ruleset))
            known = KnownHandles(ruleset.table, THIS_MACHINE).learn(ruleset, frozenset)
            assert known is not None
            chains = [item for block in ruleset.blocks.values() for item in block.chains.items()]
            assert {name for name, rules in chains if rules} <= known.keys()

    elsewhere(work)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_without_nft(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all was right once, nft lists nothing for a look, and all is right again."""
    before, after = graphs()

    def listing(*_: object) -> None:
        raise AssertionError("nft is to list")

    def work() -> None:
        kept = keeper()
        kept.whole(before)
        kept.look(before)
        kept.step(after, None)
        assert not kept.is_disturbed()
        monkeypatch.setattr(NFT, "table", listing)
        load(f"{damage}\n")
        assert kept.is_disturbed()
        assert kept.look(after).differed or "table" in damage
        assert "nothing" in kept.look(after).text
        monkeypatch.undo()
        assert listed() == made_by(text(full(after)))

    elsewhere(work)


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_a_look_goes_on_beside_steps(damage: str) -> None:
    """Steps before the table is listed and after it are not undone, and the damage is repaired."""
    before, after = graphs()

    def work() -> None:
        kept = keeper()
        kept.whole(before)
        assert not kept.is_disturbed()
        load(f"{damage}\n")
        assert kept.is_disturbed()
        inspection = kept.inspection(before)
        assert inspection is not None
        kept.step(after, None)
        inspection.read()
        kept.step(before, None)
        kept.step(after, None)
        if kept.repair(inspection) is None:
            kept.look(after)
        assert not kept.is_disturbed()
        assert listed() == made_by(text(full(after)))

    elsewhere(work)


def test_a_step_that_is_refused_names_its_line_and_is_followed_by_the_whole() -> None:
    """Nothing of it is done; the whole then puts all right, and the next step goes on."""
    before, after = graphs()
    gone = graph_of([NODE])

    def work() -> None:
        kept = keeper()
        kept.whole(after)
        load("flush map ip kube-proxy service-ips\n")
        with pytest.raises(ApplyError, match="nf_tables: No such file") as raised:
            kept.step(gone, None)
        assert "\n  refused: delete element ip kube-proxy service-ips { " in str(raised.value)
        assert "(from Service shop/web" in str(raised.value)
        kept.step(gone, None)
        assert listed() == made_by(text(full(gone)))
        load(transaction(full(gone)))
        kept.whole(gone)
        kept.step(before, None)
        assert listed() == made_by(text(full(before)))

    elsewhere(work)


def test_a_cleanup_removes_its_table_alone() -> None:
    """The table goes, in one family; without it nothing is said, and nothing is done."""

    def work() -> None:
        load(FOREIGN)
        before = listed()
        apply(ruleset_of(*MANY))
        table = table_of("IPv4", "kube-proxy")
        assert is_there(table)
        assert cleanup(table_of("IPv6", "kube-proxy")) == ()
        assert cleanup(table) == ("nftables: table ip kube-proxy removed",)
        assert not is_there(table)
        assert cleanup(table) == ()
        assert listed() == before

    elsewhere(work)
