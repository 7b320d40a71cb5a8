"""What svcnet takes back after a refusal: all that it wrote itself, and nothing of others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.executors.iptables.undo import undo
from svcnet.netfilter import SavedTables
from svcnet.netfilter.restore import load
from tests.fuzz import examples

OWN = ("KUBE-SVC-AAAAAAAAAAAAAAAA", "KUBE-SEP-AAAAAAAAAAAAAAAA", "KUBE-SEP-BBBBBBBBBBBBBBBB")
CHAINS = (*OWN, "KUBE-SERVICES", "OUTPUT")
RULES = st.sampled_from([f"-j {name}" for name in "abcd"])
FOREIGN = st.sampled_from([f"-j {name}" for name in ("ACCEPT", "DROP", "DOCKER")])
LATER = st.sampled_from([f"-j {name}" for name in ("LOG", "MARK")])
Chains = Mapping[str, list[str]]


@st.composite
def tables(draw: st.DrawFn) -> Chains:
    """Return what may be in the nat table: the shared chains, and some of our own."""
    names = ("OUTPUT", "KUBE-SERVICES", *draw(st.lists(st.sampled_from(OWN), unique=True)))
    return {name: draw(st.lists(RULES | FOREIGN, max_size=4)) for name in names}


@st.composite
def texts(draw: st.DrawFn, before: Chains) -> list[str]:
    """Return texts as svcnet writes them."""
    found = []
    now = SavedTables({"nat": before})
    for _ in range(draw(st.integers(1, 3))):
        there = now.chains("nat")
        lines = []
        for chain in draw(st.lists(st.sampled_from(OWN), unique=True)):
            lines.append(f":{chain} - [0:0]")
            lines += [f"-A {chain} {rule}" for rule in draw(st.lists(RULES, max_size=3))]
        chains = st.sampled_from(["KUBE-SERVICES", "OUTPUT"])
        for chain in draw(st.lists(chains, unique=True)):
            # Of a built-in chain svcnet deletes its own jumps alone.
            jumps = [rule for rule in there[chain] if chain != "OUTPUT" or rule[3:].islower()]
            if draw(st.booleans()) and jumps:
                lines.append(f"-D {chain} {draw(st.sampled_from(jumps))}")
            lines.append(f"-I {chain} {draw(RULES)}")
        gone = [chain for chain in OWN if f":{chain} - [0:0]" not in lines and chain in there]
        for chain in draw(st.lists(st.sampled_from(gone), unique=True)) if gone else []:
            lines = [f":{chain} - [0:0]", *lines, f"-X {chain}"]
        found.append("\n".join(["*nat", *lines, "COMMIT", ""]))
        now = load(now, found[-1:], "IPv4")
    return found


@st.composite
def changes(draw: st.DrawFn, there: Chains) -> tuple[Chains, dict[str, list[str]]]:
    """Return a table that somebody else has changed meanwhile, and what he added."""
    now = {chain: list(rules) for chain, rules in there.items()}
    added: dict[str, list[str]] = {}
    for chain in draw(st.lists(st.sampled_from(CHAINS), unique=True)):
        rules = now.setdefault(chain, [])
        for rule in draw(st.lists(LATER, max_size=2)):
            rules.insert(draw(st.integers(0, len(rules))), rule)
            added.setdefault(chain, []).append(rule)
    if draw(st.booleans()):
        now["DOCKER"] = ["-j RETURN"]
    return now, added


@st.composite
def histories(draw: st.DrawFn) -> tuple[Chains, list[str], Chains, dict[str, list[str]]]:
    before = draw(tables())
    written = draw(texts(before))
    there = load(SavedTables({"nat": before}), written, "IPv4").chains("nat")
    return before, written, *draw(changes(there))


@settings(max_examples=examples(300))
@given(histories())
@example(
    (
        {"OUTPUT": [], "KUBE-SERVICES": []},
        ["*nat\n-I OUTPUT -j a\nCOMMIT\n"],
        {"OUTPUT": ["-j a", "-j DROP"], "KUBE-SERVICES": [], "DOCKER": ["-j RETURN"]},
        {"OUTPUT": ["-j DROP"]},
    )
)
@example(
    (
        {"OUTPUT": [], "KUBE-SERVICES": [], OWN[0]: ["-j b", "-j a", "-j b"]},
        [f"*nat\n:{OWN[0]} - [0:0]\n-X {OWN[0]}\nCOMMIT\n"],
        {"OUTPUT": [], "KUBE-SERVICES": [], OWN[0]: []},
        {},
    )
)
def test_only_what_svcnet_wrote_is_taken_back(
    history: tuple[Chains, list[str], Chains, dict[str, list[str]]],
) -> None:
    before, written, now, added = history
    start = SavedTables({"nat": before})
    ours = load(start, written, "IPv4")
    back = list(undo(start, ours, SavedTables({"nat": now})))
    must_load(back, now)
    found = load(SavedTables({"nat": now}), back, "IPv4").chains("nat")
    if not added:
        assert {chain: found[chain] for chain in before if chain != "OUTPUT"} == {
            chain: rules for chain, rules in before.items() if chain != "OUTPUT"
        }
    assert in_order(found["OUTPUT"]) == in_order(now["OUTPUT"])
    for chain, rules in found.items():
        if chain not in CHAINS:
            assert rules == now[chain]
            continue
        foreign = Counter(added.get(chain, []))
        assert foreign <= Counter(rules)
        # What is more than somebody added is what was there before, and all of that.
        assert Counter(rules) - foreign == Counter(before.get(chain, []))
    assert found.keys() >= now.keys() - set(OWN)


def in_order(rules: list[str]) -> list[str]:
    """Return the rules that are not svcnet's, whose order among each other is to stay."""
    return [rule for rule in rules if rule[3:].isupper()]


def must_load(back: list[str], now: Chains) -> None:
    """Fail if a text deletes a rule or a chain that is not there, or one that has rules."""
    there: dict[str, list[str]] = {chain: list(rules) for chain, rules in now.items()}
    for line in "".join(back).splitlines():
        command, _, rest = line.partition(" ")
        chain, _, rule = rest.partition(" ")
        if command == "-D":
            there[chain].remove(rule)
        elif command in ("-A", "-I"):
            there[chain].append(rule)
        elif command == "-X":
            assert there.pop(chain) == []
        elif line.startswith(":"):
            there[command[1:]] = []
