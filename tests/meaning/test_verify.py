"""Rules that are there are compared with what objects say, for every packet."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError, UsageError
from svcnet.graph import Deliver, Packet, Pass, Refuse, RuleGraph, evaluate
from svcnet.meaning import Facts, Verdicts, iptables, verify
from svcnet.meaning.comparison.cells import of_range
from svcnet.meaning.comparison.intent import (
    Heading,
    IptablesDialect,
    NFTablesDialect,
    distinctions,
    intents,
)
from svcnet.meaning.dump import MachineDump, NFTDump, read_dump
from svcnet.meaning.outcomes import sender_of
from svcnet.meaning.sources import Senders
from svcnet.meaning.spans import everything, number, text_of
from svcnet.models import ClusterState, Host, IPFamily, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from svcnet.netfilter.listing import Listing
from svcnet.netfilter.restore import carried_out
from svcnet.renderers.iptables import full
from svcnet.sources import load, load_config
from svcnet.testing import FakeIPTables
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.test_conformance import CASES, EXPECTED, compile_case, family_of_file
from tests.test_conformance_nftables import compile_case as compile_nftables_case

LIVE = ROOT / "tests" / "live_node"
FILES: dict[IPFamily, str] = {"IPv4": "iptables-save.txt", "IPv6": "ip6tables-save.txt"}
SAMPLE = examples(60)

EQUIVALENT = re.compile(
    "|".join(
        (
            # The load balancer's address and refused ones are none of the node's: FORWARD counts.
            r"-A INPUT .*-j KUBE-(PROXY-FIREWALL|EXTERNAL-SERVICES)$",
            r"-A FORWARD .*-j KUBE-EXTERNAL-SERVICES$",
            # There is no other rule and no policy that would keep these packets out.
            r"-A INPUT .*-j KUBE-NODEPORTS$",
            r"-A KUBE-NODEPORTS .*health check node port",
            r"-A KUBE-FORWARD .*-j ACCEPT$",
            # The node itself has no need to be kept off its loopback.
            r"-A OUTPUT -j KUBE-FIREWALL$",
            # Nothing but comments, counters, and a mark that nobody asks for any more.
            r"-A KUBE-FW-\S+ -m comment --comment \"[^\"]*\"$",
            r"-A KUBE-NODEPORTS -d 127\.0\.0\.0/8 .* -m nfacct ",
            r"-A KUBE-POSTROUTING -j MARK ",
            # What is no pod of this cluster is masqueraded in any case.
            r"-A KUBE-SEP-\S+ -s (192\.0\.2\.50/32|fd00:244:\S+) .*-j KUBE-MARK-MASQ$",
        )
    )
)
"""Lines of the dumps without which every packet of a Service ends as before."""

EQUIVALENT_6 = re.compile(
    # No Service has a load balancer, a node port or a refusal in IPv6.
    r"-A (INPUT|FORWARD|OUTPUT) (-j|.*NEW.*-j) KUBE-|-A KUBE-SERVICES .* -j KUBE-NODEPORTS$"
)


@cache
def live(family: IPFamily) -> RuleGraph:
    """Return what the node's objects come to."""
    state = load([LIVE / "objects.yaml"]).state
    config = load_config(LIVE / "config.yaml")
    host = Host(nfacct=True)
    return compile_state(state, node_view(state, config, host, node="node1", family=family))


@cache
def dump(family: IPFamily) -> tuple[str, ...]:
    return tuple((LIVE / FILES[family]).read_text().split("\n"))


def compared(family: IPFamily, lines: list[str]) -> Verdicts:
    graph = live(family)
    return verify(graph, iptables.read("\n".join(lines), Facts.of(graph.settings)))


def rendered(graph: RuleGraph) -> iptables.RuleSet:
    """Return the rules that svcnet renders, as the interpreter has them."""
    tables = FakeIPTables()
    tables.restore(full(graph).text_with_jumps)
    return iptables.RuleSet.of(Listing(tables.tables, {}), Facts.of(graph.settings))


@pytest.mark.parametrize("family", FILES)
def test_a_live_node_is_as_its_objects_say(family: IPFamily) -> None:
    """What kube-proxy wrote does to every packet what svcnet says of the objects."""
    found = compared(family, list(dump(family)))
    assert found.differences == ()
    assert found.unknown == ()
    assert found.cells > 100


def sampled(lines: tuple[str, ...]) -> list[int]:
    """Return the numbers of some lines that are rules; of all when the fuzz tests go on."""
    rules = [at for at, line in enumerate(lines) if line.startswith("-A ")]
    return random.Random(1).sample(rules, min(SAMPLE, len(rules)))


@pytest.mark.parametrize("family", FILES)
def test_no_rule_can_be_missing(family: IPFamily) -> None:
    """Without any rule something differs, but for those that change nothing, with the reason."""
    lines = dump(family)
    for at in sampled(lines):
        found = compared(family, [*lines[:at], *lines[at + 1 :]])
        same = EQUIVALENT.search(lines[at]) or (family == "IPv6" and EQUIVALENT_6.search(lines[at]))
        assert bool(found.differences) != bool(same), lines[at]
        assert found.unknown == ()


def changed(line: str) -> Iterator[str]:
    """Yield a rule with one of its numbers changed, each in turn."""
    blank = re.sub(r'--comment (?:"[^"]*"|\S+)', lambda found: "\0" * len(found[0]), line)
    for found in re.finditer(r"(?<= --dport )\d+|(?<= --seconds )\d+|(?<=[.\]:])\d+$", blank):
        yield f"{line[: found.start()]}{int(found[0]) + 1}{line[found.end() :]}"
    for found in re.finditer(r"(?<= --probability )\S+", blank):
        yield f"{line[: found.start()]}0.12500000000{line[found.end() :]}"
    for found in re.finditer(r"(?<=\.)(\d+)(?=/32|:)", blank):
        yield f"{line[: found.start()]}{(int(found[0]) + 1) % 256}{line[found.end() :]}"


@pytest.mark.parametrize("family", FILES)
def test_no_number_can_be_another(family: IPFamily) -> None:
    """Another port, address, chance or time in any rule is a difference."""
    lines = dump(family)
    for at in sampled(lines):
        for line in changed(lines[at]):
            found = compared(family, [*lines[:at], line, *lines[at + 1 :]])
            assert found.differences or EQUIVALENT.search(lines[at]), line


@pytest.mark.parametrize(
    "rule", ["-j RETURN", "-j ACCEPT", "-d 10.96.36.164/32 -j ACCEPT", "-j KUBE-MARK-MASQ"]
)
def test_a_foreign_rule_before_ours_is_told(rule: str) -> None:
    """Whoever puts a rule before the jump to Services is named with its line."""
    lines = list(dump("IPv4"))
    at = next(n for n, line in enumerate(lines) if line.startswith("-A PREROUTING"))
    found = compared("IPv4", [*lines[:at], f"-A PREROUTING {rule}", *lines[at:]])
    assert found.differences
    if "MASQ" not in rule:
        assert {each.kind for each in found.differences} == {"foreign rule"}
        assert all(each.rules[0].line == at + 1 for each in found.differences)
        assert {each.rules[0].text for each in found.differences} == {rule}


def test_what_is_not_understood_is_unknown_with_its_line() -> None:
    """A rule that may do anything to a Service's packets is told, and nothing is guessed."""
    lines = list(dump("IPv4"))
    at = next(n for n, line in enumerate(lines) if line.startswith("-A FORWARD"))
    odd = "-A FORWARD -m string --string evil --algo bm --to 65535 -j DROP"
    found = compared("IPv4", [*lines[:at], odd, *lines[at:]])
    assert found.differences == ()
    assert [each.rule.line for each in found.unknown] == [at + 1]
    harmless = odd.replace("DROP", "LOG")
    assert compared("IPv4", [*lines[:at], harmless, *lines[at:]]).unknown == ()
    accept = odd.replace("DROP", "ACCEPT")
    at = next(n for n, line in enumerate(lines) if line.startswith("-A OUTPUT"))
    assert compared("IPv4", [*lines[:at], accept, *lines[at:]]).unknown == ()


@pytest.mark.parametrize(
    "lost",
    [
        "-A PREROUTING .*-j KUBE-SERVICES",
        "-A (?:FORWARD|INPUT) .*-j KUBE-(?:EXTERNAL-)?SERVICES",
    ],
)
def test_that_nothing_leads_to_services_is_told_once(lost: str) -> None:
    """A jump that is missing is one difference for all Services, and not one for each."""
    lines = [line for line in dump("IPv4") if not re.match(lost, line)]
    (found,) = (each for each in compared("IPv4", lines).differences if each.kind == "no way in")
    assert found.services > 1
    assert all(isinstance(each.verdict, Pass) for each in found.found)


def test_one_cause_is_told_once() -> None:
    """A jump that is missing makes one difference, with how many Services it is of."""
    lines = [line for line in dump("IPv4") if not line.startswith("-A KUBE-MARK-MASQ")]
    found = compared("IPv4", lines)
    assert {each.kind for each in found.differences} == {"masquerade missing"}
    assert sum(each.count for each in found.differences) > 50
    assert len(found.differences) < 20


@pytest.mark.parametrize(
    "expected", EXPECTED[:: max(1, len(EXPECTED) // SAMPLE)], ids=lambda path: path.parent.name
)
def test_what_svcnet_renders_is_as_it_should_be(expected: Path) -> None:
    """The rules of each case do to every packet what its objects say."""
    graph = compile_case(expected.parent, family_of_file(expected))
    found = verify(graph, rendered(graph))
    assert (found.differences, found.unknown) == ((), ())


REFERENCE = sorted(CASES.glob("*/iptables.ipv[46].txt")) + sorted(
    CASES.glob("*/nftables.ipv[46].txt")
)


@pytest.mark.parametrize(
    "expected",
    REFERENCE[:: max(1, len(REFERENCE) // SAMPLE)],
    ids=lambda path: f"{path.parent.name}-{path.name}",
)
def test_what_the_reference_restores_is_as_it_should_be(expected: Path) -> None:
    """Text for iptables-restore and nft, as kube-proxy writes it, is read; jumps are its own."""
    family, mode = family_of_file(expected), expected.name.partition(".")[0]
    if mode == "nftables":
        graph = compile_nftables_case(expected.parent, family)
    else:
        graph = compile_case(expected.parent, family)
    text = expected.read_text()
    if mode == "nftables":
        found = MachineDump(nftables=NFTDump.read("case", text))
    else:
        # An empty cluster has no address that would tell the family.
        found = MachineDump({family: ("case", text)})
    verdicts = verify(graph, found.rules(mode, family, Facts.of(graph.settings)))
    assert (verdicts.differences, verdicts.unknown) == ((), ())


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "nftables.flat"])
def test_what_svcnet_prints_is_read(capsys: pytest.CaptureFixture[str], mode: str) -> None:
    """A golden file is compared as what it leaves on a machine that had nothing."""
    example = ROOT / "examples" / "my-service"
    golden = example / f"golden.{mode}.txt"
    with pytest.raises(SystemExit) as end:
        main(["verify", str(example), "--rules", str(golden)])
    assert end.value.code == 0
    assert "every packet ends as it should" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "*nat\n:A - [0:0]\n-A A -j ACCEPT\n",
        "*nat\n-A NONE -j ACCEPT\nCOMMIT\n",
        "*nat\n:A - [0:0]\n-Z A\nCOMMIT\n",
        "*nat\n:A - [0:0]\n-D A -j ACCEPT\nCOMMIT\n",
        "*nat\nCOMMIT\n-A A -j ACCEPT\n",
    ],
)
def test_what_cannot_be_restored_is_an_error(text: str) -> None:
    """A line that iptables-restore does not take is told, never passed over."""
    with pytest.raises(ApplyError, match=r"^case: "):
        iptables.read(text, file="case")


def test_a_text_is_restored_line_by_line() -> None:
    """Rules come first or last, go, and whole chains with them."""
    text = (
        "*filter\n:A - [0:0]\n-A A -j ACCEPT\n-I A -j DROP\n-I A 2 -j RETURN\nCOMMIT\n"
        "*filter\n-N B\n-A B -j A\n-D A -j ACCEPT\n-A INPUT -j B\nCOMMIT\n"
        "*nat\n:C - [0:0]\n-A C -j ACCEPT\n-F C\n-X C\nCOMMIT\n"
    )
    found = carried_out(text, "case").tables
    assert found == {
        "filter": {"A": ["-j DROP", "-j RETURN"], "B": ["-j A"], "INPUT": ["-j B"]},
        "nat": {},
    }


@settings(max_examples=examples(25), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations)
def test_any_cluster_is_verified_with_its_own_rules(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration
) -> None:
    """No difference is found where there is none."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    found = verify(graph, rendered(graph))
    assert (found.differences, found.unknown) == ((), ())


@settings(max_examples=examples(40), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_intents_are_what_the_graph_evaluates_to(
    objects: list[ClusterObject],
    node: Node,
    config: KubeProxyConfiguration,
    data: st.DataObject,
) -> None:
    """What should become of many senders' packets is what should of each one's."""
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a"))
    node_settings = graph.settings
    if not graph.frontends:
        return
    address, protocol, port = data.draw(st.sampled_from(sorted(graph.frontends)))
    target = Heading(number(address or node_settings.node_ip), protocol.lower(), port, False)
    dialect = IptablesDialect(graph)
    entry = dialect.entry(target)
    own = frozenset(map(number, node_settings.addresses))
    senders = Senders(
        distinctions(node_settings, entry),
        lambda span: of_range(span, node_settings.family, own),
        everything(node_settings.family),
    )
    wanted = intents(dialect, entry, target, senders)
    for bit in range(senders.everybody.bit_length()):
        if not senders.everybody >> bit & 1:
            continue
        sender = senders.sender(bit)
        memory = sender.memory.endpoint
        family = node_settings.family
        host = text_of(memory[0], family) if memory else ""
        place = f"[{host}]" if ":" in host else host
        packet = Packet(
            text_of(sender.address, family),
            text_of(target.address, family),
            port,
            protocol,
            sender.interface,
            frozenset((f"{place}:{memory[1]}",)) if memory else frozenset(),
        )
        sums: dict[object, Fraction] = {}
        for each in wanted:
            if each.mask >> bit & 1:
                sums[each.ending] = sums.get(each.ending, Fraction(0)) + Fraction(*each.chance)
        assert sums == meant(graph, packet)


def meant(graph: RuleGraph, packet: Packet) -> dict[object, Fraction]:
    """Return what a graph evaluates to, as endings."""
    found: dict[object, Fraction] = {}
    for outcome in evaluate(graph, packet):
        match outcome.verdict:
            case Deliver(address, port, masquerade):
                hidden = masquerade and not graph.settings.is_node_address(address)
                end: object = ("deliver", number(address), port, "node" if hidden else "")
            case Refuse(how, _):
                end = (how,)
            case Pass():
                end = ("pass", "")
        found[end] = found.get(end, Fraction(0)) + outcome.probability
    return found


ARGUMENTS = ("verify", str(LIVE / "objects.yaml"), "--config", str(LIVE / "config.yaml"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([*ARGUMENTS, "--node", "node1", *map(str, arguments)])
    shown = capsys.readouterr()
    return int(end.value.code or 0), shown.out, shown.err


def test_the_command_says_yes_and_no(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 0 says that all is as it should be, and 1 tells each difference with its place."""
    both = [part for name in FILES.values() for part in ("--rules", LIVE / name)]
    code, shown, _ = run(capsys, *both)
    assert code == 0
    assert [line[:4] for line in shown.splitlines()] == ["IPv4", "IPv6"]
    bad = tmp_path / "bad.txt"
    text = "\n".join(dump("IPv4"))
    bad.write_text(text.replace("--to-destination 10.244.1.1:8080", "--to-destination 10.9.9.9:1"))
    code, shown, _ = run(capsys, "--rules", bad)
    assert code == 1
    assert "wrong endpoint: default/web:alt/TCP" in shown
    assert re.search(r"field +EndpointSlice default/web-\w+: .*objects\.yaml:\d+:\d+", shown)
    assert re.search(r"rule +\S+bad\.txt:\d+: nat: -A KUBE-SEP-GQ2IJOM5YY3EKYLR", shown)
    code, shown, _ = run(capsys, "--rules", bad, "--output", "json")
    document = json.loads(shown)
    assert code == 1
    assert document["families"][0]["differences"][0]["servicePort"] == "default/web:alt/TCP"


@pytest.mark.parametrize("name", ["nft-ruleset.txt", "nft-ruleset.json"])
def test_the_mode_is_that_of_the_rules(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What nft lists, as text or JSON, is compared with what objects mean in mode nftables."""
    code, shown, _ = run(capsys, "--rules", LIVE / name)
    assert code == 0
    assert [line[:4] for line in shown.splitlines()] == ["IPv4", "IPv6"]
    code, shown, told = run(capsys, "--rules", LIVE / name, "--mode", "iptables")
    assert (code, shown) == (2, "")
    assert "no rules of mode iptables" in told


def test_strictness_makes_what_is_unknown_a_difference(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 0 where nothing differs that can be told, 1 with --strict."""
    odd = tmp_path / "odd.txt"
    text = "\n".join(dump("IPv4"))
    odd.write_text(
        text.replace("-A FORWARD", "-A FORWARD -m bpf --bytecode 1 -j DROP\n-A FORWARD", 1)
    )
    assert run(capsys, "--rules", odd)[0] == 0
    code, shown, _ = run(capsys, "--rules", odd, "--strict", "--ignore", "no-endpoints")
    assert code == 1
    assert "unknown:" in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        '{"nftables": 1}',
        '{"nftables": [{"set": {"family": "ip"',
        "*nat\n:PREROUTING ACCEPT [0:0]\n",
        "[1, 2]",
        "create x hash:ip\nadd",
    ],
)
def test_bad_input_is_an_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    """What is no dump, or is cut off, is told with its file; nothing is printed."""
    bad = tmp_path / "bad.txt"
    bad.write_text(text)
    code, shown, told = run(capsys, "--rules", bad)
    assert (code, shown) == (2, "")
    assert str(bad) in told or "no file has rules" in told


ROUTES = """[{"dst":"default","gateway":"10.0.0.2","dev":"d1","flags":[]},
{"dst":"10.0.0.0/24","dev":"d0"},{"dst":"10.7.1.1","dev":"d0","metric":5},{"dst":"10.7.1.1","dev":"d2"},
{"dst":"10.8.0.0/16","nexthops":[{"dev":"d0"},{"dev":"d1"}]},{"type":"blackhole","dst":"10.9.0.0/16"}]
"""
"""What ``ip -j route`` prints, with a route that several devices have and one that none has."""


def test_a_rule_about_the_way_out_is_judged_by_routes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without them nobody can say; with them only the destinations of that way differ."""
    closed, routes = tmp_path / "closed.txt", tmp_path / "routes.json"
    text = "\n".join(dump("IPv4"))
    closed.write_text(text.replace("-A FORWARD", "-A FORWARD -o tun0 -j DROP\n-A FORWARD", 1))
    assert "unknown:" in run(capsys, "--rules", closed)[1]
    routes.write_text('[{"dst":"default","dev":"eth0"},{"dst":"10.244.2.3","dev":"tun0"}]')
    code, shown, _ = run(capsys, "--rules", closed, "--rules", routes)
    assert code == 1
    assert "unknown:" not in shown
    assert "-o tun0 -j DROP" in shown
    routes.write_text('[{"dst":"default","dev":"eth0"}]')
    assert run(capsys, "--rules", closed, "--rules", routes)[0] == 0


@pytest.mark.parametrize("name", ["iptables-save.txt", "nft-ruleset.txt"])
def test_a_copy_with_other_ends_of_lines_is_what_was_printed(name: str) -> None:
    """As some terminals and editors leave it; what no tool prints is refused with its line."""
    text = (LIVE / name).read_text()
    facts = Facts()
    mode = "nftables" if name.startswith("nft") else "iptables"
    packet = Packet("203.0.113.7", "10.96.0.1", 443, interface="eth0")
    found = {
        read_dump([(name, each)]).rules(mode, "IPv4", facts).evaluate(packet)  # type: ignore[attr-defined]
        for each in (text, "\ufeff" + text.replace("\n", "\r\n"))
    }
    assert len(found) == 1
    with pytest.raises(UsageError, match=f"^{name}:3: there is a NUL character"):
        read_dump([(name, "\n\n\0" + text)])


@pytest.mark.parametrize(
    "text", ["[1]", "[[]]", '[{"dst": 1}]', '[{"addr_info": [1]}]', "[" * 5000]
)
def test_json_of_another_shape_is_told_with_its_file(text: str) -> None:
    """Addresses and routes that are none."""
    with pytest.raises(UsageError, match=r"^odd: it is not what ip -j"):
        read_dump([("odd", text)])


def test_files_of_a_machine_are_told_apart() -> None:
    """A dump's parts are known by what is in them."""
    found = read_dump(
        [
            *((name, "\n".join(dump(family))) for family, name in FILES.items()),
            ("sets", "create odd hash:net family inet\nadd odd 10.0.0.0/8\nadd odd 10.1.0.0/16\n"),
            ("routes", ROUTES),
            ("addr", '[{"ifname": "eth0", "addr_info": [{"local": "192.0.2.7"}]}]'),
        ]
    )
    assert {family: name for family, (name, _) in found.iptables.items()} == FILES
    assert found.addresses == ("192.0.2.7",)
    assert list(found.sets) == ["odd"]
    facts = Facts(interfaces=found.routes["IPv4"])
    ways = [facts.way_to(number(each)) for each in ("10.0.0.9", "10.8.1.1", "10.7.1.1", "10.9.1.1")]
    assert ways == ["d0", "", "d2", ""]
    assert facts.way_to(number("1.1.1.1")) == "d1"
    with pytest.raises(UsageError, match="already"):
        read_dump([("a", "*nat\nCOMMIT\n"), ("b", "*nat\nCOMMIT\n")])


def test_what_is_wanted_is_what_rules_of_the_mode_do() -> None:
    """An endpoint of another node that sends to itself keeps its source in mode nftables."""
    graph = live("IPv4")
    (fragment,) = (each for each in graph if str(each.name) == "default/web:http/TCP")
    (far, *_) = (each for each in fragment.translates if not each.local)
    (dispatch,) = (each for each in fragment.dispatches if each.frontend == "cluster-ip")
    packet = Packet(far.address, dispatch.address, dispatch.port, interface="eth0")
    target = Heading(number(packet.destination), "tcp", packet.port, False)
    for dialect, is_hidden in ((IptablesDialect(graph), True), (NFTablesDialect(graph), False)):
        meant = intents(dialect, dialect.entry(target), target, sender_of(packet))
        ends = [each.verdict for each in dialect.outcomes(meant, packet)]
        (found,) = (end for end in ends if isinstance(end, Deliver) and end.address == far.address)
        assert found.masquerade == is_hidden
