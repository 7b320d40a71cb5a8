"""The verb diff: what a change does to packets, for people, programs and change requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from svcnet.cli import main
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "my-service"

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  clusterIP: 10.96.0.20
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: 30080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: [10.244.1.5], nodeName: node-a}
- {addresses: [10.244.1.6], nodeName: node-a}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
"""


Run = Callable[..., tuple[int, str, str]]

ONE_LESS = ("- {addresses: [10.244.1.6], nodeName: node-a}\n", "")
OTHER_NAME = ("name: http", "name: web")
HEALTH = (
    "type: NodePort",
    "type: LoadBalancer\n  externalTrafficPolicy: Local\n  healthCheckNodePort: 32000",
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs diff from the Service above to the same with texts replaced."""

    def of(*changes: tuple[str, str], options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        new = SERVICE
        for before, after in changes:
            assert before in new
            new = new.replace(before, after)
        for name, text in (("old.yaml", SERVICE), ("new.yaml", new)):
            (tmp_path / name).write_text(text)
        with pytest.raises(SystemExit) as end:
            main(["diff", str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml"), *options])
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out.replace(f"{tmp_path}/", ""), shown.err

    return of


def test_what_changes_is_told_with_chances_and_lines(run: Run) -> None:
    """Each frontend that changed has who sends there, and each end before and after."""
    code, shown, _ = run(ONE_LESS)
    assert code == 1
    assert shown == (
        "IPv4: 2 frontends changed, in 60 kinds of packets\n"
        "\n"
        "changed: cluster IP 10.96.0.20:80/tcp of shop/web:http  (new.yaml:6)\n"
        "  from outside, the node itself and endpoints themselves\n"
        "    1/2 -> 0  to 10.244.1.6:8080, source kept  (old.yaml:16)\n"
        "    1/2 -> 1  to 10.244.1.5:8080, source kept\n"
        "\n"
        "changed: node port 30080/tcp of shop/web:http  (new.yaml:7)\n"
        "  from outside, the node itself and endpoints themselves, to 127.0.0.1, 192.0.2.10\n"
        "    1/2 -> 0  to 10.244.1.6:8080, source hidden  (old.yaml:16)\n"
        "    1/2 -> 1  to 10.244.1.5:8080, source hidden\n"
    )


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables", "userspace"])
def test_nothing_differs_from_the_same(run: Run, mode: str) -> None:
    """The same objects are no difference, in any mode."""
    code, shown, _ = run(options=("--mode", mode))
    assert code == 0
    assert "no difference" in shown
    assert "same" not in shown


def test_other_rules_that_mean_the_same_are_told(run: Run) -> None:
    """A port by another name has other rules, and no packet ends otherwise."""
    code, shown, _ = run(OTHER_NAME)
    assert code == 0
    assert "same: other rules that mean the same" in shown
    assert "shop/web:http/TCP, shop/web:web/TCP" in shown


def test_a_health_check_port_is_a_difference(run: Run) -> None:
    """No rule sends packets for it elsewhere, and yet the node does something else with them."""
    code, shown, _ = run(HEALTH)
    assert code == 1
    assert "came: health-check port 32000 of shop/web:http" in shown


def test_a_port_that_moves_went_and_came(run: Run) -> None:
    """What nobody has any more went, with the old file's lines, and what is new came."""
    code, shown, _ = run(("nodePort: 30080", "nodePort: 30081"))
    assert code == 1
    assert "1 frontend came, 1 went" in shown
    assert "went: node port 30080/tcp of shop/web:http  (old.yaml:7)" in shown
    assert "came: node port 30081/tcp of shop/web:http  (new.yaml:7)" in shown


def test_mode_nftables_closes_other_ports_of_a_cluster_ip(run: Run) -> None:
    """That is a change of all ports that no Service has, and told as one."""
    code, shown, _ = run(("10.96.0.20", "10.96.0.21"), options=("--mode", "nftables"))
    assert code == 1
    assert "came: other ports of addresses such as 10.96.0.21" in shown
    assert "went: other ports of addresses such as 10.96.0.20" in shown


def test_affinity_is_told_of_clients_that_are_remembered(run: Run) -> None:
    """A client that comes again goes where it went; a new one goes anywhere, as before."""
    _, shown, _ = run(("type: NodePort", "type: NodePort\n  sessionAffinity: ClientIP"))
    assert "from a client that is remembered" in shown
    assert "from outside" not in shown


def test_the_document_has_all_of_it(run: Run) -> None:
    """JSON has each change with the places of its fields."""
    code, shown, _ = run(ONE_LESS, options=("--output", "json"))
    (family,) = json.loads(shown)["families"]
    assert code == 1
    assert [each["address"] for each in family["frontends"]] == ["10.96.0.20", ""]
    gone = family["frontends"][0]["senders"][0]["ends"][1]
    assert (gone["before"], gone["after"], gone["side"]) == ("1/2", "0", "old")
    assert gone["source"] == {"file": "old.yaml", "line": 16}


def test_a_comment_is_a_table(run: Run) -> None:
    """Markdown has a row for each frontend and kind of source, and exit code 0 if asked for."""
    code, shown, _ = run(ONE_LESS, options=("--output", "markdown", "--exit-zero"))
    assert code == 0
    rows = [line for line in shown.splitlines() if line.startswith("| changed")]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ("diff", "-", "-"),
        ("dns", "diff", "-", "-"),
        ("render", "-", "--since", "-"),
        ("render", "--since", "-"),
    ],
)
def test_standard_input_is_one_state(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """It is read once: nobody is told that everything went because it was empty the second time."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    shown = capsys.readouterr()
    assert (end.value.code, shown.out) == (2, "")
    assert "both states are to come from standard input" in shown.err


@pytest.mark.parametrize(
    "arguments",
    [(), ("one",), ("one", "two", "three"), ("missing", EXAMPLE), (EXAMPLE, "missing")],
)
def test_bad_requests_print_nothing(
    capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...]
) -> None:
    """Anything but two paths that are there is an error."""
    with pytest.raises(SystemExit) as end:
        main(["diff", *map(str, arguments)])
    shown = capsys.readouterr()
    assert (end.value.code, shown.out) == (2, "")
    assert shown.err


def test_bad_objects_are_told_with_their_place(run: Run) -> None:
    """An error of either side has file, line, object and field."""
    code, shown, told = run(("port: 80,", "port: 80000,"))
    assert (code, shown) == (2, "")
    assert "new.yaml:7: error: Service shop/web: spec.ports[0].port" in told


@pytest.mark.parametrize(
    ("mode", "change", "said"),
    [
        ("iptables", ONE_LESS, "meaning: changed: "),
        ("iptables", OTHER_NAME, "meaning: the same: no difference"),
        ("ipvs", ONE_LESS, "meaning: changed: "),
        ("nftables", ONE_LESS, "meaning: changed: "),
        ("nftables", OTHER_NAME, "meaning: the same: no difference"),
    ],
)
def test_a_golden_file_says_whether_the_meaning_changed(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    change: tuple[str, str],
    said: str,
) -> None:
    """Beside the difference of texts render --check says in one line whether packets see it."""
    run(change)
    golden = tmp_path / "golden.txt"
    main(
        ["render", str(tmp_path / "old.yaml"), "--mode", mode, "--to", str(golden)],
        standalone_mode=False,
    )
    with pytest.raises(SystemExit) as end:
        main(["render", str(tmp_path / "new.yaml"), "--mode", mode, "--check", str(golden)])
    shown = capsys.readouterr()
    assert end.value.code == 1
    assert shown.out.startswith("---")
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("text", ["no rules at all\n", "*nat\n:KUBE-SERVICES - [0:0]\n"])
def test_a_golden_file_without_a_meaning_is_said_to_have_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """What cannot be read is told with its file; the difference is there all the same."""
    golden = tmp_path / "golden.txt"
    golden.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["render", str(EXAMPLE), "--check", str(golden)])
    shown = capsys.readouterr()
    assert end.value.code == 1
    assert shown.err.startswith(f"meaning: cannot be told, {golden}:")


LIVE = ROOT / "tests" / "live_node"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return what diff ends with and prints."""
    with pytest.raises(SystemExit) as end:
        main(["diff", *map(str, arguments)])
    shown = capsys.readouterr()
    return int(end.value.code or 0), shown.out, shown.err


@pytest.mark.parametrize("other", ["nft-ruleset.txt", "nft-ruleset.json"])
def test_a_dump_is_as_itself(capsys: pytest.CaptureFixture[str], other: str) -> None:
    """What nft lists means the same as text and as JSON, in both families."""
    code, shown, _ = told(capsys, "--rules", LIVE / "nft-ruleset.txt", LIVE / other)
    assert code == 0
    assert [line[:20] for line in shown.splitlines()] == [
        "IPv4: no difference,",
        "IPv6: no difference,",
    ]


def test_rules_that_differ_are_told_with_their_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A rule that was changed by hand is told with file and line, and what packets see of it."""
    text = (LIVE / "iptables-save.txt").read_text()
    new = tmp_path / "new.txt"
    new.write_text(text.replace("--to-destination 10.244.1.1:8080", "--to-destination 10.9.9.9:1"))
    code, shown, warned = told(capsys, "--rules", LIVE / "iptables-save.txt", new)
    assert code == 1
    assert "0 -> 1  to 10.9.9.9:1" in shown or "0 -> 1/" in shown
    assert f"[{new}:" in shown
    assert "nobody says which addresses are the node's" in warned


def test_a_rule_that_is_not_understood_is_the_same_as_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What both sides have does on both the same; on one side alone it is unknown."""
    text = (LIVE / "iptables-save.txt").read_text()
    odd = tmp_path / "odd.txt"
    odd.write_text(
        text.replace("-A FORWARD", "-A FORWARD -m time --timestart 22:00 -j DROP\n-A FORWARD", 1)
    )
    assert told(capsys, "--rules", odd, odd)[:1] == (0,)
    code, shown, _ = told(capsys, "--rules", LIVE / "iptables-save.txt", odd)
    assert code == 0
    assert "no difference that can be told" in shown
    assert "unknown: " in shown
    assert told(capsys, "--rules", LIVE / "iptables-save.txt", odd, "--strict")[0] == 1


@pytest.mark.parametrize("mode", ["iptables", "ipvs", "nftables"])
def test_what_is_rendered_is_read_back(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Text that restores rules is compared as what a machine has of it."""
    run(ONE_LESS)
    for name in ("old", "new"):
        arguments = ["render", str(tmp_path / f"{name}.yaml"), "--mode", mode]
        main([*arguments, "--to", str(tmp_path / name)], standalone_mode=False)
    code, shown, _ = told(capsys, "--rules", tmp_path / "old", tmp_path / "new")
    assert code == 1
    assert "1/2 -> 0  to 10.244.1.6:8080" in shown
    assert "1/2 -> 1  to 10.244.1.5:8080" in shown
    assert told(capsys, "--rules", tmp_path / "old", tmp_path / "old")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rules", LIVE / "config.yaml", LIVE / "config.yaml"), "it is not what iptables-save"),
        (("--rules", LIVE / "none", LIVE / "none"), "cannot be read"),
        ((EXAMPLE, "--rules", LIVE / "nft-ruleset.txt", LIVE / "nft-ruleset.txt"), "say one"),
        (("--rules", LIVE / "nft-ruleset.txt"), "requires 2 arguments"),
        (
            ("--rules", LIVE / "iptables-save.txt", LIVE / "ip6tables-save.txt"),
            "nothing to compare",
        ),
        (("--node", "x", "--rules", LIVE / "nft-ruleset.txt", LIVE / "nft-ruleset.txt"), "--node"),
        ((EXAMPLE, "--to-mode", "iptables"), "both modes are iptables"),
        ((EXAMPLE, "--to-mode", "none"), "'none' is not one of"),
        ((EXAMPLE, "--to-layout", "kube-proxy"), "both layouts are kube-proxy"),
        ((EXAMPLE, "--to-layout", "auto"), "'auto' is not one of"),
        ((EXAMPLE, "--to-mode", "ipvs", "--to-layout", "flat"), "mode ipvs has one layout"),
        ((EXAMPLE, "--mode", "ipvs", "--layout", "flat", "--to-mode", "iptables"), "one layout"),
        (
            ("--to-layout", "flat", "--rules", LIVE / "nft-flat.txt", LIVE / "nft-flat.txt"),
            "--to-layout is for objects",
        ),
    ],
)
def test_bad_rules_and_modes_print_nothing(
    capsys: pytest.CaptureFixture[str], arguments: tuple[object, ...], said: str
) -> None:
    """What is no dump, or makes no sense together, is an error that says so."""
    code, shown, warned = told(capsys, *arguments)
    assert (code, shown) == (2, "")
    assert said in warned


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@pytest.mark.parametrize("layouts", [("kube-proxy", "flat"), ("flat", "kube-proxy")])
def test_two_layouts_differ_in_nothing(
    capsys: pytest.CaptureFixture[str], mode: str, layouts: tuple[str, str]
) -> None:
    """The layouts of a mode are compared as modes are, and do the same to every packet."""
    options = ("--mode", mode, "--layout", layouts[0], "--to-layout", layouts[1])
    code, shown, _ = told(capsys, EXAMPLE, *options)
    assert code == 0
    assert "IPv4: no difference, in " in shown


def test_what_a_layout_writes_otherwise_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a mode differs the rules on both sides are those of the layouts that are asked for."""
    options = ("--mode", "iptables", "--to-mode", "nftables", "--to-layout", "flat")
    code, shown, _ = told(capsys, EXAMPLE, *options)
    assert code == 1
    assert "-A @service-endpoints-tcp { 10.96.0.100 . 80 . 2 : 10.244.2.6 . 9376 }" in shown


def test_two_modes_differ_by_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Each way in which two modes differ is told once, with the name of its section."""
    code, shown, _ = told(capsys, EXAMPLE, "--mode", "iptables", "--to-mode", "nftables")
    assert code == 1
    known = [line for line in shown.splitlines() if line.startswith("known: ")]
    assert len(known) == len(set(known)) > 0
    assert "(closed-ports-of-cluster-ips-refused)" in shown
    assert not any(line.startswith(("came", "went", "changed")) for line in shown.splitlines())
