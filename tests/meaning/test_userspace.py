"""Rules that lead to a userspace proxy, and its table, are read and mean what the objects say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet import modes
from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.errors import ApplyError
from svcnet.graph import Deliver, Packet, Refuse
from svcnet.meaning import Facts, Redirect, Unknown, iptables, userspace, verify
from svcnet.meaning.spans import number
from svcnet.models import ClusterState, KubeProxyConfiguration, Node
from svcnet.models.state import ClusterObject
from tests import strategies
from tests.conftest import ROOT
from tests.fuzz import examples
from tests.meaning.chances import chances
from tests.meaning.rendering import rendered
from tests.renderers.test_meaning import aimed

OBJECTS = ROOT / "examples" / "my-service"
NODE = "192.0.2.10"
WEB = Packet("203.0.113.7", "10.96.0.100", 80, interface="eth0")
OWN = Facts("IPv4", frozenset((number(NODE),)), may_bridge=False)


def svcnet(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


@pytest.fixture(scope="module")
def rules() -> str:
    return svcnet("render", OBJECTS, "--mode", "userspace", "--jumps").stdout


@pytest.fixture(scope="module")
def table() -> str:
    return svcnet("render", OBJECTS, "--mode", "userspace", "-o", "json").stdout


@settings(max_examples=examples(25), deadline=None)
@given(strategies.clusters, strategies.nodes, strategies.configurations, st.data())
def test_any_cluster_is_verified_with_its_own_rules(
    objects: list[ClusterObject], node: Node, config: KubeProxyConfiguration, data: st.DataObject
) -> None:
    """No difference is found where there is none, and a packet ends as the mode says of itself."""
    mode = modes.get("userspace")
    state = ClusterState.of([*objects, node])
    graph = compile_state(state, node_view(state, config, node="node-a", rules=mode.rules(config)))
    there = rendered(graph, "userspace")
    found = verify(graph, there)
    assert (found.differences, found.unknown) == ((), ())
    packet = aimed(graph, data)
    said = chances(mode.account(mode.full(graph), graph, packet).passages)
    does = chances(there.evaluate(packet))  # type: ignore[attr-defined]
    assert does == said


Change = Callable[[dict[str, Any]], object]


def listener(table: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = table["servicePorts"][0]["listeners"][0]
    return found


CHANGES: dict[str, tuple[Change, str]] = {
    "an endpoint is gone": (lambda table: listener(table)["backends"].pop(), "missing endpoint"),
    "an endpoint is another": (
        lambda table: listener(table)["backends"][0].update(port=1),
        "wrong endpoint",
    ),
    "an endpoint is there twice": (
        lambda table: listener(table)["backends"].append(listener(table)["backends"][0]),
        "wrong weight",
    ),
    "it refuses": (lambda table: listener(table).update(answer="refuse", backends=[]), "refused"),
    "it drops": (lambda table: listener(table).update(answer="drop", backends=[]), "refused"),
    "few may come": (lambda table: listener(table).update(sources=["203.0.113.0/24"]), "refused"),
    "clients stay": (
        lambda table: table["servicePorts"][0].update(affinityTimeout=60),
        "affinity",
    ),
    "it is at another port": (lambda table: listener(table).update(port=1025), "wrong endpoint"),
    "it is another service's": (lambda table: table["servicePorts"].pop(0), "wrong endpoint"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_is_not_as_it_should_be_is_told(
    change: str, rules: str, table: str, tmp_path: Path
) -> None:
    """Each change of what the proxy serves is a difference, with the line of the listener."""
    do, kind = CHANGES[change]
    document = json.loads(table)
    do(document)
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "table").write_text(json.dumps(document, indent=1))
    files = ("--rules", tmp_path / "rules", "--rules", tmp_path / "table")
    result = svcnet("verify", OBJECTS, *files)
    assert result.exit_code == 1
    assert f"{kind}: default/my-service:http/TCP" in result.stdout
    assert "/table:" in result.stdout or "/rules:" in result.stdout


def test_what_the_proxy_does_is_told_with_its_line(rules: str, table: str, tmp_path: Path) -> None:
    """The redirection, the listener with its line in the table, and each endpoint's chance."""
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "table").write_text(table)
    files = ("--rules", tmp_path / "rules", "--rules", tmp_path / "table")
    shown = svcnet("explain", *files, "--to", "10.96.0.100:80").stdout
    first = shown.splitlines()[0]
    assert first.startswith("1/3 each to 10.244.1.5:9376,")
    assert first.endswith("the source becomes the node's")
    assert "sent to port 48339 of the machine itself" in shown
    line = 1 + table.splitlines().index('     "role": "cluster",')
    assert "default/my-service:http/TCP at port 48339: 10.244.1.5:9376" in shown
    assert f"table:{line})" in shown


def test_without_a_table_it_is_told_where_packets_go(rules: str, tmp_path: Path) -> None:
    """What becomes of them there is unknown, and no difference; the rule is named."""
    (tmp_path / "rules").write_text(rules)
    shown = svcnet("explain", OBJECTS, "--rules", tmp_path / "rules", "--to", "10.96.0.100:80")
    assert shown.stdout.startswith("unknown: it depends on what a proxy serves, which nobody said")
    assert "--to-ports 48339" in shown.stdout
    verified = svcnet("verify", OBJECTS, "--rules", tmp_path / "rules")
    assert verified.exit_code == 0
    assert verified.stdout.count("svcnet status --proxy-table prints that") == 1
    strict = svcnet("verify", OBJECTS, "--rules", tmp_path / "rules", "--strict")
    assert strict.exit_code == 1


def test_a_rule_that_keeps_the_proxy_from_an_endpoint_is_unknown(rules: str, table: str) -> None:
    """The proxy's own connections meet the rules of OUTPUT; another endpoint is not guessed."""
    kept = "-A OUTPUT -d 10.244.1.5/32 -p tcp -j DROP\n"
    text = rules.replace("*filter\n", f"*filter\n:OUTPUT ACCEPT [0:0]\n{kept}", 1)
    (outcome,) = userspace.read(text, OWN, table=table).evaluate(WEB)
    assert isinstance(outcome.verdict, Unknown)
    assert "-d 10.244.1.5/32" in outcome.verdict.rules[0].text
    other = kept.replace("10.244.1.5", "10.244.9.9")
    found = userspace.read(text.replace(kept, other), OWN, table=table).evaluate(WEB)
    assert len(found) == 3


def test_a_source_that_rules_give_the_proxy_is_told(rules: str, table: str) -> None:
    """Connections to endpoints pass POSTROUTING as all that the node sends."""
    snat = "-A POSTROUTING -d 10.244.0.0/16 -j SNAT --to-source 192.0.2.77\n"
    text = rules.replace("*nat\n", f"*nat\n:POSTROUTING ACCEPT [0:0]\n{snat}", 1)
    found = userspace.read(text, OWN, table=table).evaluate(WEB)
    assert {each.verdict.source for each in found} == {"192.0.2.77"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", ":1: it is no table"),
        ('{"servicePorts": []}', "it is no table of a userspace proxy: KeyError('version')"),
        ('{"servicePorts": [], "version": 9}', "its version is 9, and 1 is read"),
        ('{"servicePorts": [], "version": 1, "family": "IPX"}', "its family is 'IPX'"),
        ('{"servicePorts": 7, "version": 1, "family": "IPv4"}', "it is no table"),
        ('{"servicePorts": [7], "version": 1, "family": "IPv4"}', "it is no table"),
        ("[" * 100000, "it is no table"),
    ],
)
def test_what_is_no_table_is_an_error(text: str, told: str) -> None:
    with pytest.raises(ApplyError) as error:
        list(userspace.read_tables("file", text))
    assert told in str(error.value)


DAMAGES: dict[str, tuple[object, ...]] = {
    "port": (-1, 65536, "80", None, True, 1.5),
    "backends": (
        *(7, [7], [{}], [], [{"address": "x", "port": 1}]),
        [{"address": "fd00::1", "port": 1}],
    ),
    "sources": (7, ["x"], ["10.0.0.0/33"], [None]),
    "answer": (7, "", "drop"),
    "role": ("other", None),
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in DAMAGES.items() for value in values]
)
def test_a_damaged_table_is_an_error(table: str, key: str, value: object) -> None:
    """Nothing of it is half believed, and the error names the file."""
    document = json.loads(table)
    listener(document)[key] = value
    with pytest.raises(ApplyError, match="file:1: it is no table"):
        list(userspace.read_tables("file", json.dumps(document)))


def test_two_tables_of_a_family_are_refused(rules: str, table: str, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(rules)
    (tmp_path / "table").write_text(table * 2)
    files = ("--rules", tmp_path / "rules", "--rules", tmp_path / "table")
    result = svcnet("verify", OBJECTS, *files)
    assert result.exit_code == 2
    assert "a proxy's table of IPv4 is in" in result.stderr


ISTIO = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -p tcp -j ISTIO_REDIRECT
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_INBOUND -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
*filter
:INPUT ACCEPT [0:0]
{rules}COMMIT
"""
SQUID = (
    "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT\nCOMMIT\n"
)
TWO = Facts("IPv4", frozenset(map(number, (NODE, "172.30.0.10"))))


@pytest.mark.parametrize(
    ("text", "packet", "port"),
    [
        (ISTIO.format(rules=""), WEB, 15006),
        (ISTIO.format(rules=""), Packet(NODE, "10.96.0.100", 80), 15001),
        (SQUID, WEB, 80),
    ],
)
def test_redirections_of_others_are_understood(text: str, packet: Packet, port: int) -> None:
    """They lead to a port of the machine itself, whichever of its addresses that is."""
    (outcome,) = iptables.read(text, TWO).evaluate(packet)
    assert outcome.verdict == Redirect(port)


@pytest.mark.parametrize(
    ("rule", "facts", "verdict"),
    [
        ("-p tcp -m tcp --dport 15006 -j DROP", TWO, Refuse),
        ("-m addrtype --dst-type LOCAL -j DROP", TWO, Refuse),
        ("-d 10.96.0.0/16 -j DROP", TWO, Redirect),
        (f"-d {NODE}/32 -j DROP", TWO, Unknown),
        (f"! -d {NODE}/32 -j ACCEPT", TWO, Redirect),
        (f"-d {NODE}/32 -j DROP", OWN, Refuse),
        ("-d 172.30.0.10/32 -j DROP", OWN, Redirect),
        (f"-d {NODE}/32 -j DROP", Facts(), Unknown),
    ],
)
def test_which_address_packets_are_redirected_to_may_matter(
    rule: str, facts: Facts, verdict: type
) -> None:
    """It is one of the machine's own: sure is what is so of each of them."""
    rules = iptables.read(ISTIO.format(rules=f"-A INPUT {rule}\n"), facts)
    (outcome,) = rules.evaluate(WEB)
    assert isinstance(outcome.verdict, verdict)


def test_who_comes_by_an_interface_without_an_address_is_dropped() -> None:
    """The kernel has no address to redirect to."""
    facts = Facts("IPv4", TWO.addresses, bare=frozenset(("cali1",)))
    rules = iptables.read(SQUID, facts)
    for interface, kind in (("eth0", Redirect), ("cali1", Refuse)):
        (outcome,) = rules.evaluate(Packet("203.0.113.7", "10.96.0.100", 80, interface=interface))
        assert isinstance(outcome.verdict, kind)


def test_whether_packets_pass_a_bridge_is_known_of_a_machine_without_one() -> None:
    """``physdev`` is not understood where there may be one."""
    text = SQUID.replace("-j REDIRECT", "-m physdev ! --physdev-is-in -j REDIRECT")
    for may_bridge, kind in ((True, Unknown), (False, Redirect)):
        (outcome,) = iptables.read(text, Facts(may_bridge=may_bridge)).evaluate(WEB)
        assert isinstance(outcome.verdict, kind)


def test_a_portal_without_jumps_is_refused(tmp_path: Path) -> None:
    """Which jumps there are is the configuration's affair: they are not guessed."""
    plain = svcnet("render", OBJECTS, "--mode", "userspace").stdout
    (tmp_path / "rules").write_text(plain)
    result = svcnet("verify", OBJECTS, "--rules", tmp_path / "rules")
    assert result.exit_code == 2
    assert "render it with --jumps" in result.stderr


def test_deliveries_have_the_node_as_their_source(rules: str, table: str) -> None:
    found = userspace.read(rules, OWN, table=table).evaluate(WEB)
    assert {each.verdict for each in found} == {
        Deliver(address, 9376, masquerade=True)
        for address in ("10.244.1.5", "10.244.1.6", "10.244.2.6")
    }
