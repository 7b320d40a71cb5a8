"""Whatever is in the tables: there is a plan, and it writes only what is ours."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.executors.iptables import plan
from svcnet.executors.iptables.cleanup import ownership, removal
from svcnet.executors.iptables.observe import is_ours
from svcnet.executors.iptables.undo import undo
from svcnet.executors.ipvs import rules as ipvs_rules
from svcnet.executors.userspace import rules as portal_rules_of
from svcnet.netfilter import SavedTables, Tables
from svcnet.netfilter.restore import load
from svcnet.renderers import ipvs, userspace
from svcnet.renderers.iptables import JUMPS, full
from svcnet.renderers.userspace import portal_rules
from svcnet.renderers.userspace.portals import CHAINS
from tests.fuzz import examples
from tests.netfilter.test_listing import foreign_rules
from tests.test_conformance import CASES, compile_case

GRAPH = compile_case(CASES / "kitchen-sink", "IPv4")
WANTED = full(GRAPH)
IPVS = ipvs.full(GRAPH).restore_text
TABLE = userspace.full(GRAPH)
PORTALS = portal_rules(TABLE.with_ports({name: 40000 + n for n, name in enumerate(TABLE.ports)}))
BUILT_IN = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT")}
FOREIGN = ("KUBE-SVC-AAAAAAAAAAAAAAA", "KUBE-X", "caf\udce9", "KUBE-KUBELET-CANARY", "a", "b")
OURS = (
    *WANTED.nat.chains,
    *WANTED.filter.chains,
    *(chain for block in WANTED.blocks.values() for chain in block.chains[:1]),
    *CHAINS["nat"],
    "KUBE-SEP-AAAAAAAAAAAAAAAA",
    "KUBE-SVC-AAAAAAAAAAAAAAAA",
)
RULES = foreign_rules() | st.sampled_from(
    [
        "",
        *(f"-j {chain}" for chain in (*OURS, *FOREIGN)),
        *(jump.rule for jump in JUMPS),
        "-g KUBE-SEP-AAAAAAAAAAAAAAAA",
        '-m comment --comment "x\n-A KUBE-SERVICES -j ACCEPT" -j KUBE-SERVICES',
        '-m comment --comment "\x0b-A\x0c" -j RETURN',
    ]
)


@st.composite
def observed(draw: st.DrawFn) -> SavedTables:
    """Tables with chains and rules of anybody's, also in the chains that are ours."""
    tables = {}
    for table, built_in in BUILT_IN.items():
        names = draw(st.lists(st.sampled_from((*FOREIGN, *OURS)), unique=True, max_size=5))
        rules = st.lists(RULES, max_size=3)
        tables[table] = {name: draw(rules) for name in (*built_in, *names)}
    return SavedTables(tables)


def is_one_of_ours(table: str, chain: str) -> bool:
    return (
        is_ours(table, chain)
        or chain in CHAINS.get(table, ())
        or chain in ipvs_rules.CHAINS.get(table, ())
    )


def check(transactions: Iterable[str], tables: Tables) -> None:
    """Check that each is text of one table, and that lines are about chains of ours and jumps."""
    for text in transactions:
        first, *lines, last, end = text.split("\n")
        assert (first[0], last, end) == ("*", "COMMIT", "")
        for line in lines:
            word, _, rest = line.partition(" ")
            chain = word[1:] if word[0] == ":" else rest.partition(" ")[0]
            assert word[0] == ":" or word in ("-A", "-I", "-D", "-X"), line
            if is_one_of_ours(first[1:], chain):
                continue
            assert chain in BUILT_IN[first[1:]] or chain == "POSTROUTING"
            rule = rest.partition(" ")[2]
            assert word[0] != ":", line
            assert " -j KUBE-" in f" {rule}", line
            assert word != "-D" or rule in tables[first[1:]][chain]


@settings(max_examples=examples(150))
@given(observed())
@example(SavedTables({}))
def test_every_plan_is_about_what_is_ours(found: SavedTables) -> None:
    """Of iptables mode, of the modes beside it, and of cleanup."""
    check(plan(WANTED, found, 0).transactions, found.tables)
    check(portal_rules_of.plan(PORTALS, found), found.tables)
    others = (ownership("IPv4"), portal_rules_of.OWNED)
    check(ipvs_rules.changes(IPVS, found, "IPv4", others), found.tables)
    for own in (ownership("IPv4"), portal_rules_of.OWNED, ipvs_rules.ownership("IPv4")):
        check(removal(found, own), found.tables)


def tables(filter_chains: dict[str, list[str]]) -> SavedTables:
    """Return empty tables but for some chains of the filter table."""
    empty: dict[str, dict[str, list[str]]] = {
        table: {chain: [] for chain in chains} for table, chains in BUILT_IN.items()
    }
    return SavedTables({**empty, "filter": {**empty["filter"], **filter_chains}})


@settings(max_examples=examples(60))
@given(observed(), observed())
@example(
    tables({"KUBE-SERVICES": ['-m comment --comment "\n:KUBE-X - [0:0]\n" -j ACCEPT']}),
    tables({"KUBE-SERVICES": ["-j DROP"]}),
)
def test_what_is_taken_back_is_ours(before: SavedTables, now: SavedTables) -> None:
    """Whatever others made of the tables since, all at once or nothing."""
    planned = plan(WANTED, before, 0)
    done = load(before, planned.transactions, "IPv4")
    check(undo(before, done, done), done.tables)
    check(undo(before, done, now), now.tables)
