"""What tools printed of a machine may be hurt anywhere: it is read, or refused with its file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

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
