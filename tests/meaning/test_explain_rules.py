"""Which rule of those that a machine has a packet hits, whoever wrote them, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from hypothesis import given, note, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.compiler import node_view
from svcnet.meaning import Facts, Unknown, iptables
from svcnet.meaning.explanation.effects import server_effect
from svcnet.meaning.explanation.machine import MachineQuestion, explain_rules
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.nftables import NFTRuleSet
from svcnet.meaning.outcomes import MachineRules
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.modes.iptables import IPTABLES
from svcnet.modes.nftables import NFTABLES
from svcnet.netfilter.listing import Listing
from svcnet.netfilter.nft import NFTState, load
from svcnet.renderers.nftables import full, text
from svcnet.testing import FakeIPTables
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.renderers.test_meaning import aimed

OBJECTS = str(ROOT / "examples/my-service")
DUMP = ROOT / "examples/my-service/iptables-save.txt"
IPVS = ROOT / "examples/ipvs-node"
LIVE = ROOT / "tests" / "live_node"
TO_WEB = ("--to", "10.96.0.100:80")


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, words)])


def shown(*words: object) -> list[str]:
    """Return the lines of an explanation."""
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def refused(*words: object) -> str:
    """Return the error of what is refused."""
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


@pytest.fixture
def addresses(tmp_path: Path) -> Path:
    """What ``ip -j addr`` prints of the node of the example."""
    made = tmp_path / "addresses.json"
    made.write_text('[{"ifname": "eth0", "addr_info": [{"local": "192.0.2.10"}]}]')
    return made


def changed(tmp_path: Path, old: str, new: str, count: int = -1) -> Path:
    """Return a file with the rules of the example, some of them another's work."""
    made = tmp_path / "now.txt"
    before = DUMP.read_text()
    made.write_text(before.replace(old, new, count))
    assert made.read_text() != before
    return made


def rendered(question: Question) -> MachineRules:
    """Return the rules that a mode makes of objects, read as those of a machine."""
    graph = question.graph
    facts = Facts.of(graph.settings)
    if question.mode is NFTABLES:
        return NFTRuleSet.of(load(NFTState(), text(full(graph))), facts)
    tables = FakeIPTables()
    tables.restore(IPTABLES.full(graph).text_with_jumps)
    return iptables.RuleSet.of(Listing(tables.tables, {}), facts)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from([IPTABLES, NFTABLES]),
    *(strategies.clusters, strategies.nodes, strategies.configurations),
    st.data(),
)
def test_rules_of_objects_are_told_as_what_they_say(
    mode: Any,
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """No packet's end is told to be another than the objects say, and no rule somebody else's."""
    state = ClusterState.of([*objects, node])
    view = node_view(state, config, node="node-a", rules=mode.rules(config))
    question = Question(state, view, mode)
    packet = aimed(question.graph, data)
    note(packet)
    asked = MachineQuestion(rendered(question), ("now",), question)
    found = explain_rules(asked, packet)
    assert found.wanted == ()
    assert found.cases == () or not packet.interface
    assert sum(end.probability for end in found.outcomes) == 1
    for end in found.outcomes:
        for step in end.steps:
            assert "somebody else's" not in step.decision or step.lines[0].text.startswith(
                ("-A PREROUTING", "-A OUTPUT")
            )
            assert "do not ask for" not in step.decision, step


def test_each_rule_is_told_with_its_line() -> None:
    """Without objects too: who has only a dump sees which of its lines the packet hits."""
    lines = shown("--rules", DUMP, *TO_WEB)
    assert lines[0].startswith("1/3 each to 10.244.1.5:9376")
    text = DUMP.read_text().splitlines()
    told = [line.rpartition("  (") for line in lines if line.endswith(")") and "  -A " in line]
    assert len(told) > 10
    for before, _, place in told:
        file, _, number = place.rstrip(")").rpartition(":")
        assert file == str(DUMP)
        assert before.strip().split(None, 1)[1] == text[int(number) - 1]


@pytest.mark.parametrize("paths", [(), (OBJECTS,)])
def test_beside_objects_each_rule_has_its_field(paths: tuple[str, ...]) -> None:
    document = json.loads(run(*paths, "--rules", DUMP, *TO_WEB, "--output", "json").stdout)
    fields = {step["field"] for end in document["outcomes"] for step in end["steps"]}
    wanted = {"spec.clusterIPs[0]", "endpoints[0].addresses[0]", None}
    assert wanted <= fields if paths else fields == {None}
    assert document["files"] == [str(DUMP)]
    assert (document["cases"], document["wanted"]) == ([], [])
    rule = document["outcomes"][0]["steps"][0]["rules"][0]
    assert set(rule) == {"tool", "text", "file", "line"}


def test_what_the_objects_say_otherwise_is_told(tmp_path: Path) -> None:
    """One line has what should be, beside what is."""
    bad = changed(tmp_path, "--to-destination 10.244.1.6:9376", "--to-destination 10.9.9.9:1")
    lines = shown(OBJECTS, "--rules", bad, *TO_WEB)
    assert "10.9.9.9:1" in lines[0]
    assert lines[2].startswith("  the objects say otherwise: 1/3 each to 10.244.1.5:9376")
    assert not any("otherwise" in line for line in shown("--rules", bad, *TO_WEB))


def test_a_chain_that_no_object_asks_for_is_told_as_that(tmp_path: Path) -> None:
    stale = changed(tmp_path, "KUBE-SEP-FR3KNE6LXHDIGB7W", "KUBE-SEP-AAAAAAAAAAAAAAAA")
    lines = shown(OBJECTS, "--rules", stale, *TO_WEB)
    assert any("a rule for Services, which these objects do not ask for" in line for line in lines)


def test_a_rule_of_somebody_else_is_told_with_what_it_does(tmp_path: Path, addresses: Path) -> None:
    drop = "-A FORWARD -d 10.244.1.6/32 -j DROP\n-A FORWARD"
    lines = shown(OBJECTS, "--rules", changed(tmp_path, "-A FORWARD", drop, 1), *TO_WEB)
    assert "1/3 dropped: " in lines[0]
    assert any("somebody else's; dropped" in line for line in lines)
    closed = changed(tmp_path, ":FORWARD ACCEPT", ":FORWARD DROP")
    lines = shown("--rules", closed, "--rules", addresses, "--to", "10.9.9.9:80")
    assert lines[0].startswith("dropped: ")
    assert any("FORWARD: the policy: dropped" in line for line in lines)


def test_what_is_not_understood_is_told_as_cases(tmp_path: Path) -> None:
    """Both answers, by the rule that decides between them; nothing is guessed."""
    odd = changed(tmp_path, "-A FORWARD", "-A FORWARD -m time --timestart 22:00 -j DROP\n&", 1)
    odd.write_text(odd.read_text().replace("&", "-A FORWARD"))
    lines = shown("--rules", odd, *TO_WEB)
    assert lines[0] == "unknown: it depends on what is not understood"
    at = next(n for n, line in enumerate(lines) if line.endswith("-j DROP does not match:"))
    assert lines[at + 1].startswith("    1/3 each to 10.244.1.5:9376")
    assert lines[at + 2].endswith("-j DROP matches:")
    assert lines[at + 3].startswith("    dropped: ")
    document = json.loads(run("--rules", odd, *TO_WEB, "--output", "json").stdout)
    assert [end["verdict"] for end in document["outcomes"]] == ["unknown"]
    assert [len(case["outcomes"]) for case in document["cases"]] == [3, 1]


def test_an_interface_that_matters_is_no_guess(tmp_path: Path) -> None:
    rules = changed(tmp_path, "-A FORWARD", "-A FORWARD -i tun+ -j DROP\n-A FORWARD", 1)
    lines = shown("--rules", rules, *TO_WEB)
    assert lines[0] == "unknown: it depends on what nobody said"
    at = next(n for n, line in enumerate(lines) if "comes in by another interface" in line)
    assert lines[at + 1].startswith("    1/3 each to ")
    assert any("comes in by tun" in line for line in lines)
    assert shown("--rules", rules, *TO_WEB, "--interface", "tun7")[0].startswith("dropped")
    assert shown("--rules", rules, *TO_WEB, "--interface", "eth7")[0].startswith("1/3 each")
    table = shown(OBJECTS, "--rules", rules, "--all")
    assert "  outside:             unknown: it depends on what nobody said" in table
    assert any(line.startswith("  node:                1/3 each") for line in table)


def test_the_machines_addresses_are_no_guess_where_they_matter(
    tmp_path: Path, addresses: Path
) -> None:
    """A node port is one on the node's own addresses alone, and nobody guesses which those are."""
    rules = changed(
        tmp_path,
        "-A KUBE-SERVICES -d 10.96.0.100/32 -p tcp",
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -p tcp",
    )
    lines = shown("--rules", rules, "--to", "192.0.2.10:80")
    assert lines[0] == "unknown: it depends on what nobody said"
    assert "  if 192.0.2.10 is the machine's own, which ip -j addr or --host says:" in lines
    lines = shown("--rules", rules, "--rules", addresses, "--to", "192.0.2.10:80")
    assert lines[0].startswith("1/3 each to ")
    other = shown("--rules", rules, "--rules", addresses, "--to", "192.0.2.11:80")
    assert other[0] == "goes on as it is"
    assert "--from node" in refused("--rules", DUMP, *TO_WEB, "--from", "node")
    given = ("--rules", DUMP, "--rules", addresses, *TO_WEB, "--from", "node")
    assert "  from 192.0.2.10 to " in shown(*given)[1]


def test_an_endpoint_that_may_be_the_machines_own_is_told(addresses: Path) -> None:
    """What is masqueraded on the way out is not masqueraded on the way in."""
    own = addresses.read_text().replace("192.0.2.10", "192.168.50.1")
    addresses.write_text(own)
    rules = ("--rules", LIVE / "iptables-save.txt", "--to", "10.96.36.164:80", "--from", "10.1.1.1")
    lines = shown(*rules)
    assert lines[0].endswith("the source becomes the node's")
    at = next(n for n, line in enumerate(lines) if "are the machine's own" in line)
    assert lines[at + 1].endswith("source kept")
    assert not any("machine's own" in line for line in shown(*rules, "--rules", addresses))


@pytest.mark.parametrize("name", ["iptables-save.txt", "ip6tables-save.txt", "nft-ruleset.txt"])
def test_a_live_node_does_what_its_objects_say(name: str) -> None:
    """The table by what kube-proxy had written is the table of the objects."""
    mode = "nftables" if name.startswith("nft") else "iptables"
    family = "ipv6" if name.startswith("ip6") else "ipv4"
    objects = (LIVE / "objects.yaml", "--config", LIVE / "config.yaml", "--node", "node1")
    words = (*objects, "--all", "--family", family, "--output", "json", "--mode", mode)
    wanted = json.loads(run(*words).stdout)["frontends"]
    found = json.loads(run(*words, "--rules", LIVE / name).stdout)["frontends"]
    assert len(wanted) == len(found) > 1
    for ours, theirs in zip(wanted, found, strict=True):
        for one, other in zip(ours["senders"], theirs["senders"], strict=True):
            assert one["packet"] == other["packet"]
            assert ends_of(one) == ends_of(other), one["packet"]


def ends_of(cell: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return the ends of a cell as they can be compared: reasons have other words."""
    own = "192.168.50.1" if "." in cell["packet"]["source"] else "fd00:50::1"
    return sorted(
        (
            each["kind"],
            each.get("how", ""),
            each.get("address", ""),
            each.get("masquerade", False) and each["address"] != own,
            each["probability"],
        )
        for each in cell["outcomes"]
    )


def test_virtual_servers_are_told_as_rules_are() -> None:
    """What ipvsadm, ipset and iptables print of a node, with each line's Service and field."""
    there = [part for file in sorted(IPVS.iterdir()) for part in ("--rules", file)]
    wanted = json.loads(run(OBJECTS, "--all", "--mode", "ipvs", "--output", "json").stdout)
    found = json.loads(run(OBJECTS, "--all", *there, "--output", "json").stdout)
    assert found["frontends"] == wanted["frontends"]
    lines = shown(OBJECTS, *there, *TO_WEB)
    assert any("ipvsadm  -a -t 10.96.0.100:80 -r 10.244.1.5:9376" in line for line in lines)
    assert any("endpoints[0].addresses[0]" in line for line in lines)
    alone = shown(*there, *TO_WEB)
    assert "8. a virtual server, which chooses by rr" in alone
    assert "9. sent to 10.244.1.5:9376" in alone
    assert alone[0] == lines[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-A -f 7 -s wlc", "a virtual server, which chooses by wlc"),
        (
            "-A -t [fd00::1]:80 -s rr -p 10800",
            "a virtual server, which chooses by rr; a client stays for 10800 s",
        ),
        ("-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1", "sent to 10.1.0.1:8080"),
        ("-a -f 7 -r 10.1.0.1:0 -g -w 1", "handed to 10.1.0.1:0 as it is"),
        (
            "--add-service --udp-service 10.0.0.1:53 --scheduler sh",
            "a virtual server, which chooses by sh",
        ),
    ],
)
def test_lines_of_ipvsadm_have_words(line: str, words: str) -> None:
    assert server_effect(line) == words


def test_a_picture_of_rules() -> None:
    """It has an end for each endpoint, and the rules' lines are no part of it."""
    picture = run("--rules", DUMP, *TO_WEB, "--output", "dot").stdout
    assert picture.startswith("digraph svcnet {")
    assert picture.count("shape=ellipse") == 3


def test_of_several_addresses_of_a_name_the_others_are_told(tmp_path: Path) -> None:
    """A client of a headless Service takes any of its Pods."""
    objects = tmp_path / "objects"
    objects.mkdir()
    for file in Path(OBJECTS).glob("*.yaml"):
        text = file.read_text().replace("clusterIP: 10.96.0.100", "clusterIP: None")
        (objects / file.name).write_text(text)
    for rules in ((), ("--rules", DUMP)):
        lines = shown(objects, "--to", "my-service:9376", *rules)
        told = "     a client may take any of these addresses; this is told of "
        assert [line[: len(told)] for line in lines].count(told) == 1


def test_rules_in_another_language_are_told(tmp_path: Path) -> None:
    """Nobody looks at them, and they may decide first."""
    mine = tmp_path / "nft.txt"
    head = "table inet mine {\n\tchain c {\n\t\ttype filter hook forward priority 0;"
    mine.write_text(f"{head} policy accept;\n\t\tdrop\n\t}}\n}}\n")
    for mode, told in (("iptables", "table inet mine"), ("nftables", str(DUMP))):
        result = run("--rules", DUMP, "--rules", mine, "--mode", mode, *TO_WEB)
        assert result.exit_code == 0
        assert result.stderr.startswith(f"warning: {told}: not looked at in mode {mode}")
    mine.write_text(mine.read_text().replace("inet mine", "ip filter"))
    for mode in ("iptables", "nftables"):
        assert run("--rules", DUMP, "--rules", mine, "--mode", mode, *TO_WEB).stderr == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rules", DUMP, "--live", *TO_WEB), "--live is about the rules of this machine"),
        (("--rules", DUMP, "--trace", DUMP), "--trace is of a packet that the kernel saw"),
        (("--rules", DUMP, "--all"), "--all is a table of Services"),
        (("--rules", DUMP, "--to", "my-service:80"), "without objects it is ADDRESS:PORT"),
        (("--rules", DUMP, *TO_WEB, "--from", "pod/a/b"), "without objects it is an address"),
        (("--rules", DUMP, *TO_WEB, "--node", "node-a"), "--node is about objects"),
        (("--rules", DUMP, *TO_WEB, "--config", DUMP), "--config is about objects"),
        (("--rules", DUMP, "--to", "[fd00::1]:80"), "no file has rules of IPv6"),
        (("--rules", DUMP, *TO_WEB, "--mode", "nftables"), "no file has rules of IPv4 and mode nf"),
        (("--rules", DUMP, "--to", "127.0.0.1:80"), "only the node itself sends to 127.0.0.1"),
        (("--rules", DUMP, "--to", "10.96.0.100:99999"), "a port is from 1 to 65535"),
        (("--rules", DUMP, "--to", "10.96.0.100:80/tcpp"), "a protocol is tcp, udp or sctp"),
        (("--rules", DUMP, *TO_WEB, "--from", "fd00::1"), "one IP family"),
        (("--rules", Path(OBJECTS) / "service.yaml", *TO_WEB), "it is not what iptables-save"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: tuple[object, ...], told: str) -> None:
    assert told in refused(*words)


def test_an_unknown_end_of_the_library_is_a_value() -> None:
    """Rules without names, and a packet whose end nobody can say."""
    facts = Facts(addresses=frozenset((0xC000020A,)))
    text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m bpf -j DROP\nCOMMIT\n"
    rules = iptables.read(text, facts)
    asked = MachineQuestion(rules, ("now",))
    packet = aimed_at("192.0.2.10")
    found = explain_rules(asked, packet)
    assert isinstance(found.outcomes[0].verdict, Unknown)
    assert evolve(found, cases=()).to_dict()["outcomes"][0]["verdict"] == "unknown"


def aimed_at(destination: str) -> Any:
    from svcnet.graph import Packet

    return Packet("203.0.113.7", destination, 80, interface="eth0")


def test_a_rule_of_any_length_is_cut_for_people(tmp_path: Path) -> None:
    """What is told says how long it is; a program gets all of it."""
    file = tmp_path / "rules"
    long = '-A PREROUTING -d 10.96.0.1/32 -m comment --comment "' + "x" * 5_000_000 + '" -j DROP\n'
    file.write_text(f"*mangle\n:PREROUTING ACCEPT [0:0]\n{long}COMMIT\n")
    asked = ("--rules", file, "--to", "10.96.0.1:80")
    told = run(*asked).stdout
    assert len(told) < 10_000
    assert "… (5,000," in told
    assert "x" * 5_000_000 in run(*asked, "-o", "json").stdout


def test_what_the_kernel_takes_as_source_is_told_in_mode_ipvs() -> None:
    """A process of the node that binds to no address has the Service's."""
    files = [word for file in sorted(IPVS.iterdir()) for word in ("--rules", file)]
    words = (*files, *TO_WEB, "--from")
    assert "source-is-the-service" in "\n".join(shown(OBJECTS, *words, "node"))
    assert "source-is-the-service" not in "\n".join(shown(OBJECTS, *words, "10.244.1.9"))
