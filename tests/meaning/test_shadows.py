"""Rules of others that never matter to a Service's packets are told, and none that does."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from svcnet.graph import Pass, evaluate
from svcnet.meaning import MachineRules, Verdicts, verify
from svcnet.meaning.outcomes import outcomes_of
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.meaning.test_mutations import graph_of, lines_of, read
from tests.test_live_node import packets

NFT_TABLE = """table ip other {{
\tchain base {{
\t\ttype {hook}; policy accept;
{rules}\t}}
{more}}}
"""


def beside(lines: Iterable[str], *rules: str, chains: Sequence[str] = ()) -> list[str]:
    """Return an iptables listing with rules behind those of their chains, each with its table."""
    found: list[str] = []
    table = ""
    for line in lines:
        if line.startswith("*"):
            table = line[1:]
        if line == "COMMIT":
            found += [rule.split(" ", 1)[1] for rule in rules if rule.startswith(f"{table} ")]
        found.append(line)
        if line.startswith("*"):
            found += [f":{name} - [0:0]" for name in chains]
    return found


def xt(*rules: str, chains: Sequence[str] = ()) -> Verdicts:
    lines = beside(lines_of("iptables"), *rules, chains=chains)
    return verify(graph_of("iptables"), read("iptables", lines))


def nft(hook: str, *rules: str, more: str = "") -> Verdicts:
    """Compare the live node's rules with a table of somebody else beside them."""
    kind, name, priority = hook.split()
    inside = "".join(f"\t\t{rule}\n" for rule in rules)
    hooked = f"{kind} hook {name} priority {priority}"
    other = NFT_TABLE.format(hook=hooked, rules=inside, more=more)
    lines = [*lines_of("nft-ip"), *other.split("\n")]
    return verify(graph_of("nft-ip"), read("nft-ip", lines))


def texts(found: Verdicts) -> list[str]:
    assert found.differences == ()
    assert found.unknown == ()
    return [each.rule.text for each in found.shadowed]


WEB = "-d 10.96.36.164/32 -p tcp -m tcp --dport 80"


@pytest.mark.parametrize(
    "rule",
    [
        f"nat -A PREROUTING {WEB} -j DNAT --to-destination 192.0.2.9:80",
        f"nat -A PREROUTING {WEB} -j RETURN",
        f"nat -A OUTPUT {WEB} -j ACCEPT",
        f"nat -A OUTPUT {WEB} -j REDIRECT --to-ports 8080",
        "nat -A PREROUTING -p tcp -m tcp --dport 30080 -j DNAT --to-destination 192.0.2.9",
        "nat -A POSTROUTING -d 10.96.225.21/32 -j MASQUERADE",
        "filter -A INPUT -p tcp -m multiport --dports 30000:32767 -j DROP",
        "filter -A FORWARD -d 10.96.36.0/24 -j REJECT --reject-with icmp-port-unreachable",
        "filter -A FORWARD -s 203.0.113.0/24 -d 10.96.225.21/32 -j DROP",
        "filter -A FORWARD -d 10.96.225.21/32 -m time --timestart 22:00 -j DROP",
        "filter -A FORWARD -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j ACCEPT",
    ],
)
def test_a_rule_behind_ours_is_shadowed(rule: str) -> None:
    """It would meet a packet to a Service, and ours have decided by then."""
    found = xt(rule)
    assert texts(found) == [rule.split(" ", 3)[3]]
    assert all(each.before is not None for each in found.shadowed)


@pytest.mark.parametrize(
    "rule",
    [
        "nat -A PREROUTING -d 198.51.100.1/32 -j ACCEPT",
        f"nat -A PREROUTING {WEB} -j LOG",
        f"nat -A PREROUTING {WEB} -m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "nat -A PREROUTING -p udp -m udp --dport 80 -j ACCEPT",
        "nat -A PREROUTING ! -d 10.96.36.164/32 -p tcp -m tcp --dport 81 -j ACCEPT",
        "nat -A PREROUTING -j ACCEPT",
        "nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j ACCEPT",
        "filter -A FORWARD -d 10.244.1.1/32 -j ACCEPT",
        "filter -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        "mangle -A PREROUTING -d 10.96.36.164/32 -j ACCEPT",
    ],
)
def test_a_rule_that_is_for_others_or_is_met_is_not(rule: str) -> None:
    """What names no Service, decides nothing, or is met by a packet is not told."""
    assert texts(xt(rule)) == []


def test_a_rule_is_for_what_leads_to_its_chain() -> None:
    """A rule that names nothing is told for the rule that leads there, and by itself."""
    found = xt(
        f"nat -A PREROUTING {WEB} -j MINE",
        "nat -A MINE -s 203.0.113.0/24 -j RETURN",
        "nat -A MINE -j DNAT --to-destination 192.0.2.9",
        chains=["MINE"],
    )
    assert texts(found) == ["-j DNAT --to-destination 192.0.2.9"]


@pytest.mark.parametrize(
    ("hook", "rule"),
    [
        ("nat prerouting 0", "ip daddr 10.96.36.164 tcp dport 80 dnat to 192.0.2.9:80"),
        ("nat prerouting 0", "ip daddr { 10.96.36.164 , 198.51.100.1 } accept"),
        ("filter forward 5", "ip daddr 10.96.36.0/24 drop"),
        (
            "filter forward 5",
            "ip daddr . tcp dport { 10.96.36.1 . 80 , 10.96.36.164 . 80 } reject",
        ),
        ("filter input 0", "tcp dport 30080-30090 drop"),
        ("nat postrouting 200", "ip daddr 10.96.225.21 masquerade"),
    ],
)
def test_a_table_behind_ours_is_shadowed(hook: str, rule: str) -> None:
    assert texts(nft(hook, rule)) == [rule]


@pytest.mark.parametrize(
    ("hook", "rule"),
    [
        ("filter forward 5", "ip daddr 10.244.0.0/16 accept"),
        ("filter forward 5", "ip daddr != 10.244.0.0/16 accept"),
        ("filter forward 5", "ip daddr 10.96.36.164 counter"),
        ("filter forward 5", "accept"),
        ("filter prerouting -300", "ip daddr 10.96.36.164 accept"),
        ("nat prerouting 0", "ip daddr 198.51.100.1 accept"),
        ("filter input 0", "tcp dport 22 accept"),
    ],
)
def test_a_table_that_is_for_others_or_is_met_is_not(hook: str, rule: str) -> None:
    assert texts(nft(hook, rule)) == []


def test_what_a_map_says_is_a_decision_too() -> None:
    elements = "{ 10.96.36.164 : drop }"
    held = f"\tmap verdicts {{\n\t\ttype ipv4_addr : verdict\n\t\telements = {elements}\n\t}}\n"
    rule = "ip daddr vmap @verdicts"
    assert texts(nft("filter forward 5", rule, more=held)) == [rule]


def test_nothing_is_told_of_packets_whose_way_is_unknown() -> None:
    """A target that nobody understands may lead packets to any rule behind it."""
    rule = "filter -A FORWARD -d 10.96.36.164/32 -j DROP"
    lines = beside(lines_of("iptables"), rule)
    at = next(at for at, line in enumerate(lines) if line.startswith("-A PREROUTING"))
    lines.insert(at, "-A PREROUTING -d 10.96.0.0/16 -j NFQUEUE --queue-num 1")
    found = verify(graph_of("iptables"), read("iptables", lines))
    assert found.shadowed == ()
    assert found.unknown


MATCHES = (
    *("-d 10.96.36.164/32", "-d 10.96.0.0/12", "-d 203.0.113.9/32", "-d 10.244.1.1/32"),
    *("-p tcp -m tcp --dport 80", "-p tcp -m tcp --dport 30080", "-p udp -m udp --dport 53"),
    *("-s 203.0.113.0/24", "-i eth0", "-m mark --mark 0x4000/0x4000", "! -d 10.244.0.0/16"),
    "-m conntrack --ctstate DNAT",
)
TARGETS = {
    "nat": ("ACCEPT", "RETURN", "DNAT --to-destination 192.0.2.9:8", "REDIRECT --to-ports 8"),
    "filter": ("ACCEPT", "DROP", "REJECT --reject-with icmp-port-unreachable"),
}
HOOKS = {"nat": ("PREROUTING", "OUTPUT"), "filter": ("INPUT", "FORWARD", "OUTPUT")}


def random_rules(dice: random.Random) -> list[str]:
    found = []
    for _ in range(20):
        table = dice.choice(sorted(HOOKS))
        chosen = {each.split(" ")[0]: each for each in dice.sample(MATCHES, dice.randint(1, 3))}
        words = " ".join(dict.fromkeys(chosen.values()))
        target = dice.choice(TARGETS[table])
        if "--to-ports" in target and "-p " not in words:
            target = "ACCEPT"
        found.append(f"{table} -A {dice.choice(HOOKS[table])} {words} -j {target}")
    return found


def met_by_services(rules: MachineRules) -> set[str]:
    """Return the rules that packets to Services meet, one packet after the other."""
    graph = graph_of("iptables")
    return {
        line.text
        for packet in random.Random(3).sample(list(packets(graph)), 400)
        if not any(isinstance(each.verdict, Pass) for each in evaluate(graph, packet))
        for outcome in outcomes_of(rules, packet)
        for line in outcome.rules
    }


def test_what_is_told_is_met_by_no_packet() -> None:
    """Of any rules behind ours, those that are told are on the way of no packet to a Service."""
    dice = random.Random(11)
    told = 0
    for _ in range(examples(6)):
        rules = read("iptables", beside(lines_of("iptables"), *random_rules(dice)))
        shadowed = {each.rule.text for each in verify(graph_of("iptables"), rules).shadowed}
        assert not shadowed & met_by_services(rules)
        told += len(shadowed)
    assert told > 5


def test_the_command_tells_it_and_says_yes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A rule that never matters changes no exit code, with --strict neither."""
    lines = (ROOT / "examples/my-service/iptables-save.txt").read_text().split("\n")
    dump = tmp_path / "now.txt"
    rule = "filter -A FORWARD -d 10.96.0.100/32 -j DROP"
    dump.write_text("\n".join(beside(lines, rule)))
    arguments = ["verify", str(ROOT / "examples/my-service"), "--rules", str(dump), "--strict"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert "\nshadowed: default/my-service:http/TCP: " in shown
    assert "-A FORWARD -d 10.96.0.100/32 -j DROP" in shown


def test_the_rule_that_hides_a_source_is_told() -> None:
    """Not the rule of ours that sends packets to their endpoint."""
    for rule, kind in (
        ("-j MASQUERADE", "source not kept"),
        ("-j SNAT --to-source 192.0.2.99", "source not kept"),
    ):
        text = f"-d 10.244.0.0/16 {rule}"
        found = xt(f"nat -A POSTROUTING {text}").differences
        assert {each.kind for each in found} == {kind}
        assert [each.text for each in found[0].rules] == [text]
        assert len(found) == 1
    found = nft("nat postrouting 50", "ip daddr 10.244.0.0/16 masquerade").differences
    assert [(each.kind, [rule.text for rule in each.rules]) for each in found] == [
        ("source not kept", ["ip daddr 10.244.0.0/16 masquerade"])
    ]


def test_a_source_that_is_hidden_otherwise_is_told_as_that() -> None:
    lines = beside(lines_of("iptables"))
    at = next(at for at, line in enumerate(lines) if line.startswith("-A POSTROUTING"))
    lines.insert(at, "-A POSTROUTING -d 10.244.0.0/16 -j SNAT --to-source 192.0.2.99")
    found = verify(graph_of("iptables"), read("iptables", lines)).differences
    assert {each.kind for each in found} == {"source not kept", "wrong source"}
    assert {rule.text for each in found for rule in each.rules} == {
        "-d 10.244.0.0/16 -j SNAT --to-source 192.0.2.99"
    }


SHOP = ROOT / "examples" / "my-service"


def verified(tmp_path: Path, *files: tuple[str, str]) -> str:
    """Return what is told of files, each with its name and text, beside the example's objects."""
    words = ["verify", str(SHOP)]
    for name, text in files:
        (tmp_path / name).write_text(text)
        words += ["--rules", str(tmp_path / name)]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def in_filter(text: str, *rules: str) -> str:
    """Return what iptables-save printed with rules behind the others of the table filter."""
    before, table, after = text.partition("*filter\n")
    own, commit, rest = after.partition("COMMIT\n")
    return "".join((before, table, own, *(f"-A {rule}\n" for rule in rules), commit, rest))


@pytest.mark.parametrize(
    ("rule", "is_shadowed"),
    [
        ("FORWARD -d 10.244.1.5/32 -p tcp -m tcp --dport 9376 -j DROP", True),
        ("FORWARD -d 10.96.0.100/32 -j DROP", True),
        ("FORWARD -d 10.244.9.9/32 -j DROP", False),
        ("OUTPUT -d 10.244.1.5/32 -j ACCEPT", False),
    ],
)
def test_what_virtual_servers_pass_by_is_shadowed(
    tmp_path: Path, rule: str, is_shadowed: bool
) -> None:
    """The addresses of Services are the machine's, and what is sent on comes by OUTPUT."""
    node = ROOT / "examples" / "ipvs-node"
    files = {path.name: path.read_text("utf-8") for path in sorted(node.iterdir())}
    files["iptables-save.txt"] = in_filter(files["iptables-save.txt"], rule)
    told = verified(tmp_path, *files.items())
    assert ("shadowed: default/my-service" in told) == is_shadowed


def test_what_is_redirected_to_a_proxy_passes_by_rules(tmp_path: Path) -> None:
    """A rule of FORWARD for a Service's address is shadowed by the portal rules."""
    render = ["render", str(SHOP), "--mode", "userspace"]
    rules = CliRunner().invoke(main, [*render, "--jumps"]).stdout
    table = CliRunner().invoke(main, [*render, "-o", "json"]).stdout
    own = "FORWARD -d 10.96.0.100/32 -p tcp -j DROP"
    text = in_filter(rules, own).replace("*filter\n", "*filter\n:FORWARD ACCEPT [0:0]\n")
    told = verified(tmp_path, ("rules", text), ("table", table))
    assert f"filter: -A {own}" in told
