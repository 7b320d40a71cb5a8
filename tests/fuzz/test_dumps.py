"""What tools printed of a machine may be hurt anywhere: it is read, or refused with its file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from svcnet.errors import UsageError
from svcnet.graph import Packet, RuleGraph
from svcnet.meaning import Facts, verify
from svcnet.meaning.dump import read_dump
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.test_live_node import live

LIVE, IPVS = ROOT / "tests/live_node", ROOT / "examples/ipvs-node"
MACHINES: dict[str, tuple[Path, ...]] = {
    "iptables": (LIVE / "iptables-save.txt",),
    "nftables": (LIVE / "nft-ruleset.txt",),
    "ipvs": tuple(sorted(IPVS.iterdir())),
}
PACKETS = (
    Packet("203.0.113.7", "10.96.36.164", 80, interface="eth0"),
    Packet("10.244.1.1", "10.96.0.100", 443, interface="eth0"),
    Packet("192.168.50.1", "192.168.50.1", 30080),
)
PIECES = st.sampled_from(
    (
        *("", " ", "\n", "{", "}", "@", '"', "!", "-", "999999999999", "::", "/33", "0x", ".", ","),
        *("-A ", "-j ", "jump ", "goto ", " : ", " . ", "vmap ", "numgen random mod 0 ", "é", "\0"),
        *("dnat to ", "-m set --match-set ", "add ", "create ", "null", "[", "-w -1", "10.96.0.1"),
    )
)
HURT = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=4)


@cache
def graph(mode: str) -> RuleGraph:
    return live("nftables" if mode == "nftables" else "iptables", "IPv4")


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(MACHINES)), st.integers(0, 9), HURT)
@example("nftables", 0, [(0.2, 1, "999999999999")])
def test_a_dump_that_is_hurt_is_read_or_refused(
    mode: str, which: int, hurt: list[tuple[float, int, str]]
) -> None:
    """Never anything else: every packet has ends, and every comparison comes to something."""
    texts = {str(path): path.read_text() for path in MACHINES[mode]}
    name = sorted(texts)[which % len(texts)]
    for place, length, piece in hurt:
        text = texts[name]
        at = int(place * len(text))
        texts[name] = f"{text[:at]}{piece}{text[at + length :]}"
        note(texts[name][max(at - 60, 0) : at + 60])
    settings_of = graph(mode).settings
    try:
        dump = read_dump(texts.items())
        if "IPv4" not in dump.families(mode):
            return
        rules = dump.rules(mode, "IPv4", Facts.of(settings_of))
    except UsageError:
        return
    for packet in PACKETS:
        found = explain_rules(MachineQuestion(rules, ("now",)), packet)
        assert sum(end.probability for end in found.outcomes) == 1
    verify(graph(mode), rules)


KINDS = ("jump", "goto", "dice jump", "dice mark", "mark", "return", "unknown")
STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, 20))
GRAPHS = st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=20)
"""For each chain its rules: what they do, and the number of a chain or of a mark's bit."""


def iptables_rule(kind: str, number: int) -> str:
    match = "-m statistic --mode random --probability 0.5 " if kind.startswith("dice") else ""
    match += "-m u32 --u32 0=1 " if kind == "unknown" else ""
    if kind.endswith("mark"):
        return f"{match}-j MARK --set-xmark {1 << number:#x}/{1 << number:#x}"
    if kind.endswith(("jump", "goto")):
        return f"{match}-{'g' if kind == 'goto' else 'j'} C{number}"
    return f"{match}-j {'RETURN' if kind == 'return' else 'DROP'}"


def nft_rule(kind: str, number: int) -> str:
    if kind == "dice jump":
        return f"numgen random mod 2 vmap {{ 0 : jump C{number}, 1 : continue }}"
    if kind == "dice mark":
        return f"numgen random mod 2 vmap {{ 0 : jump mark, 1 : goto C{number} }}"
    if kind == "mark":
        return f"meta mark set meta mark | {1 << number:#x}"
    if kind == "unknown":
        return "meta skuid 1 drop"
    return kind if kind == "return" else f"{kind} C{number}"


def iptables_dump(graph: list[list[tuple[str, int]]]) -> str:
    """Return rules that lead from PREROUTING through chains of a graph."""
    chains = {f"C{at}": rules for at, rules in enumerate(graph)}
    lines = [f":{name} - [0:0]" for name in chains]
    lines += [f"-A {name} {iptables_rule(*rule)}" for name in chains for rule in chains[name]]
    head = "*nat\n:PREROUTING ACCEPT [0:0]\n"
    return head + "\n".join([*lines, "-A PREROUTING -j C0", "COMMIT", ""])


def nft_dump(graph: list[list[tuple[str, int]]]) -> str:
    """Return a table of nftables that does the same."""
    hook = "type nat hook prerouting priority -100; policy accept;\njump C0"
    chains = {"hook": hook, "mark": "meta mark set 0x1"}
    for at, rules in enumerate(graph):
        chains[f"C{at}"] = "\n".join(nft_rule(*rule) for rule in rules)
    body = "".join(f"chain {name} {{\n{text}\n}}\n" for name, text in chains.items())
    return f"table ip kube-proxy {{\n{body}}}\n"


DUMPS = {"iptables": iptables_dump, "nftables": nft_dump}
DOUBLED = [[("jump", at + 1), ("jump", at + 1)] for at in range(20)]
THROWN = [[("dice mark", at) for at in range(20)]]
DEEP = [[("jump", at + 1)] for at in range(2_000)]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(DUMPS)), GRAPHS)
@example("iptables", DOUBLED)
@example("nftables", DOUBLED)
@example("iptables", THROWN)
@example("iptables", DEEP)
@example("nftables", DEEP)
def test_chains_that_lead_anywhere_come_to_an_end(
    mode: str, chains: list[list[tuple[str, int]]]
) -> None:
    """However many ways there are through them, in circles or doubled 2**20 times."""
    facts = Facts.of(graph(mode).settings)
    with mock.patch("svcnet.meaning.ends.MOST_STEPS", 500):
        rules = read_dump([("dump", DUMPS[mode](chains))]).rules(mode, "IPv4", facts)
        found = explain_rules(MachineQuestion(rules, ("now",)), PACKETS[0])
        assert sum(end.probability for end in found.outcomes) == 1
        verify(graph(mode), rules)
