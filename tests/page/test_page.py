"""The text of a page, without a browser: what is in it, and what can never be."""

from __future__ import annotations

import cProfile
import gzip
import json
import re
import zipfile
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import svcnet
from svcnet import checks
from svcnet.cli import main
from svcnet.errors import Diagnostic
from svcnet.graph import Deliver, Packet, evaluate
from svcnet.models import ClusterState
from svcnet.modes import builtin
from svcnet.testing import FakeMachine, make_node, make_service, make_slice
from tests.bench.clusters import as_json
from tests.fuzz import examples

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "tests/browser/shop.yaml"
EXAMPLE = ROOT / "examples/my-service"


def head_of(page: str) -> dict[str, Any]:
    """Return what a page reads at once."""
    found = re.search(r'<script type="application/json" id="head">(.*?)</script>', page, re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def services_of(page: str) -> dict[str, dict[str, Any]]:
    """Return the documents of Services, by their names."""
    pieces = re.findall(r'<script type="text/plain" id="piece-\d+">(.*?)</script>', page)
    found = [each for piece in pieces for each in json.loads(gzip.decompress(b64decode(piece)))]
    return {each["name"]: each for each in found}


def test_equal_input_makes_an_equal_page() -> None:
    assert svcnet.report(svcnet.load(SHOP)) == svcnet.report(svcnet.load(SHOP))


def test_a_file_holds_what_standard_output_gets(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    told = CliRunner().invoke(main, ["report", str(SHOP)])
    CliRunner().invoke(main, ["report", str(SHOP), "--to", str(file)])
    assert file.read_text("utf-8") == told.stdout
    assert file.read_text("utf-8").startswith("<!doctype html>\n")


def test_only_the_pages_own_script_and_style_may_be_used() -> None:
    """The policy names them by the hashes of what stands there, and allows nothing else."""
    page = svcnet.report(svcnet.load(EXAMPLE))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    for rule, pattern in (("script-src", "<script>(.*?)</script>"), ("style-src", "<style>(.*?)<")):
        texts = re.findall(pattern, page, re.DOTALL)
        assert len(texts) == 1
        digest = b64encode(sha256(texts[0].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert not re.search(
        r"""(?:src|href)=["'](?!#)|url\(|@import|https?://(?!www\.w3\.org)""", page
    )


@pytest.mark.parametrize("mode", builtin())
def test_each_mode_has_its_lines_beside_the_ways(mode: str) -> None:
    loaded = svcnet.load(SHOP)
    document = services_of(svcnet.report(loaded, mode=mode))["front-door"]
    assert document["lines"]
    assert {tool for tool, *_ in document["lines"]} & {"nat", "nft", "ipvsadm", "proxy"}


def test_ends_and_chances_are_those_of_the_graph() -> None:
    """Of each frontend and each kind of sender."""
    loaded = svcnet.load(SHOP)
    for family in ("IPv4", "IPv6"):
        graph = svcnet.compile(loaded.state, family=family)
        page = svcnet.report(loaded, families=[family])
        asked = 0
        for document in services_of(page).values():
            for part in document["parts"]:
                for cell in part["cells"]:
                    asked += 1
                    explained = svcnet.explain(loaded, packet_of(cell))
                    wanted = [
                        (f"{end.verdict.address}:{end.verdict.port}", str(end.probability))
                        for end in evaluate(graph, explained.packet)
                        if isinstance(end.verdict, Deliver)
                    ]
                    ends = [(part["nodes"][way["end"]], way["chance"]) for way in cell["ways"]]
                    found = [
                        (end["title"], chance) for end, chance in ends if end["title"][0] in "1["
                    ]
                    assert found == wanted
        assert asked > 10 or family == "IPv6"


def packet_of(cell: dict[str, Any]) -> Packet:
    """Return the packet that a document tells of."""

    where, _, protocol = cell["asked"].rpartition("/")
    address, _, port = where.rpartition(":")
    source, _, interface = cell["source"].partition(" by ")
    return Packet(source, address.strip("[]"), int(port), protocol, interface)


def test_a_step_has_the_lines_of_the_manifest_around_its_field() -> None:
    document = services_of(svcnet.report(svcnet.load(EXAMPLE)))["my-service"]
    places = {
        f"{path} {Path(file).name}:{line}": lines
        for _, path, file, line, lines in document["places"]
    }
    lines = (EXAMPLE / "service.yaml").read_text("utf-8").splitlines()
    assert places["spec.clusterIPs[0] service.yaml:11"] == [
        [number, lines[number - 1]] for number in (10, 11, 12)
    ]


def test_what_has_no_text_has_no_lines() -> None:
    state = svcnet.load(EXAMPLE).state
    document = services_of(svcnet.report(state))["my-service"]
    assert {(file, line) for _, _, file, line, _ in document["places"]} == {("", 0)}


def test_a_long_line_is_cut_around_the_field() -> None:
    objects = json.dumps(
        {
            "kind": "List",
            "apiVersion": "v1",
            "items": [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": f"web-{number}", "namespace": "shop"},
                    "spec": {"clusterIP": f"10.96.0.{number}", "ports": [{"port": 80}]},
                }
                for number in range(1, 50)
            ],
        }
    )
    page = svcnet.report(svcnet.load(objects.encode()))
    for number in (1, 25, 49):
        document = services_of(page)[f"web-{number}"]
        shown = [lines for _, path, _, _, lines in document["places"] if "clusterIP" in path]
        [[line, text]] = shown[0]
        assert line == 1
        assert f'"10.96.0.{number}"' in text
        assert len(text) < 200


@pytest.mark.parametrize("name", [b"caf\xe9.yaml", "naïve\n.yaml".encode(), b"\xe2\x80\xae.yaml"])
def test_a_file_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    file = Path(str(tmp_path)) / name.decode("utf-8", "surrogateescape")
    file.write_text(SHOP.read_text("utf-8"), "utf-8")
    result = CliRunner().invoke(main, ["report", str(file)])
    assert result.exit_code == 0
    document = services_of(result.stdout)["edge"]
    assert all(place[2].isprintable() for place in document["places"])


@given(st.text(st.characters(exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1))
@example("</script><script>alert(1)</script>")
@example("<!--<script>&lt;")
@settings(max_examples=examples(20))
def test_no_text_of_an_object_stands_in_the_page_as_html(text: str) -> None:
    """Whatever it is, there are as many tags as without it."""

    def page(text: str) -> str:
        service = make_service(text, selector={text: text}, external_name=text)
        state = ClusterState.of([make_node(), service, make_slice(text, "10.244.1.5")])
        message = Diagnostic(text, 1, text, text, text, "warning", check=checks.TYPE)
        return svcnet.report(state, findings=[message])

    found = page(text)
    assert found.count("<") == page("plain").count("<")
    assert head_of(found)["services"][0][1] == text


def test_what_checks_find_is_told_of_the_service_that_it_is_about() -> None:
    result = CliRunner().invoke(main, ["report", str(SHOP)])
    found = {
        (
            each.get("check", ""),
            "service" in each and head_of(result.stdout)["services"][each["service"]][1],
        )
        for each in head_of(result.stdout)["problems"]
        if "check" in each
    }
    assert ("S705 no-slice", "cart") in found
    assert ("S711 unserved-family", "front-door") in found


def test_nobody_answers_is_told_once_and_first() -> None:
    service = make_service(ports=make_service().ports, external_ips=("192.0.2.77",))
    page = svcnet.report(ClusterState.of([make_node(), service]))
    assert [(each["level"], each["title"]) for each in head_of(page)["problems"]] == [
        ("error", "Nobody answers")
    ]


def test_without_services_there_is_a_page_all_the_same() -> None:
    page = svcnet.report(ClusterState.of([make_node()]))
    assert head_of(page)["services"] == []


def test_a_node_that_no_address_is_known_of_leads_to_no_packets_for_node_ports() -> None:
    service = make_service(
        type="NodePort", ports=(evolve(make_service().ports[0], node_port=30080),)
    )
    page = svcnet.report(ClusterState.of([service, make_slice("web", "10.244.1.5")]))
    document = services_of(page)["web"]
    assert [node["title"] for node in document["parts"][0]["nodes"][:2]] == [
        "10.96.0.10:80",
        "*:30080",
    ]


def test_differences_of_a_machine_are_those_that_verify_finds(tmp_path: Path) -> None:
    rules = tmp_path / "rules.txt"
    saved = (EXAMPLE / "iptables-save.txt").read_text("utf-8")
    wrong = saved.replace("--dport 443", "--dport 444").replace("0.33333333349", "0.25000000000")
    rules.write_text(wrong.replace(".2.6:9376", ".2.9:9376"))
    options = [str(EXAMPLE), "--rules", str(rules)]
    told = json.loads(CliRunner().invoke(main, ["verify", *options, "--output", "json"]).stdout)
    wanted = [each for found in told["families"] for each in found["differences"]]
    result = CliRunner().invoke(main, ["report", *options])
    assert result.exit_code == 0
    [document] = services_of(result.stdout).values()
    shown = [each for part in document["parts"] for each in part["differences"]]
    assert len(wanted) > len(shown) >= 2
    assert sorted(each["kind"] for each in shown) == sorted(
        each["kind"] for each in wanted if each["servicePort"]
    )
    titles = [each["title"] for each in head_of(result.stdout)["problems"]]
    assert len([each for each in titles if each.startswith("The machine differs")]) == len(wanted)
    for part in document["parts"]:
        for each in part["differences"]:
            assert part["nodes"][each["frontend"]]["column"] == "frontend"
            assert sum(end[2] for end in each["found"]) == pytest.approx(1, abs=1e-5)
            assert each["lines"] or each["kind"] == "missing"


def test_a_machine_that_does_what_it_should_has_no_difference() -> None:
    loaded = svcnet.load(EXAMPLE)
    options = ["report", str(EXAMPLE), "--rules", str(EXAMPLE / "iptables-save.txt")]
    page = CliRunner().invoke(main, options).stdout
    assert head_of(page)["problems"] == []
    assert head_of(page)["compared"]
    assert not head_of(svcnet.report(loaded))["compared"]


def test_rules_of_two_places_are_refused() -> None:
    options = ["report", str(EXAMPLE), "--live", "--rules", "rules.txt"]
    result = CliRunner().invoke(main, options)
    assert (result.exit_code, result.stdout) == (2, "")


def test_explain_writes_the_page_of_one_packet() -> None:
    options = ["explain", str(EXAMPLE), "--from", "node", "--to", "my-service:http"]
    told = CliRunner().invoke(main, [*options, "--output", "json"])
    wanted = json.loads(told.stdout)
    page = CliRunner().invoke(main, [*options, "--output", "html"]).stdout
    [document] = services_of(page).values()
    [part] = document["parts"]
    [cell] = part["cells"]
    assert head_of(page)["single"]
    assert cell["sender"] == "node"
    assert [way["chance"] for way in cell["ways"]] == [
        end["probability"] for end in wanted["outcomes"]
    ]
    assert document["lookup"]
    for way, end in zip(cell["ways"], wanted["outcomes"], strict=True):
        steps = [document["steps"][number] for number in way["steps"]]
        assert [step[1] for step in steps] == [step["decision"] for step in end["steps"]]
        lines = [[document["lines"][line][1] for line in step[3]] for step in steps]
        assert lines == [[rule["text"] for rule in step["rules"]] for step in end["steps"]]


def test_explain_writes_the_page_of_one_packet_by_rules(tmp_path: Path) -> None:
    rules = ROOT / "examples/my-service/iptables-save.txt"
    options = ["explain", "--rules", str(rules), "--to", "10.96.0.100:80", "--interface", "eth0"]
    told = json.loads(CliRunner().invoke(main, [*options, "--output", "json"]).stdout)
    result = CliRunner().invoke(main, [*options, "--output", "html"])
    [document] = services_of(result.stdout).values()
    [cell] = document["parts"][0]["cells"]
    ends = [document["parts"][0]["nodes"][way["end"]]["title"] for way in cell["ways"]]
    assert ends == [f"{end['address']}:{end['port']}" for end in told["outcomes"]]
    assert all(place.startswith(f"{rules}:") for _, _, place in document["lines"])


@pytest.mark.parametrize("to", ["10.96.0.100:81", "203.0.113.9:80"])
def test_the_page_of_one_packet_has_what_would_let_it_through(to: str) -> None:
    options = ["explain", str(EXAMPLE), "--to", to]
    told = json.loads(CliRunner().invoke(main, [*options, "--output", "json"]).stdout)
    page = CliRunner().invoke(main, [*options, "--output", "html"]).stdout
    [document] = services_of(page).values()
    assert [each["text"] for each in document["changes"]] == [
        each["change"] for each in told["changes"]
    ]


def test_a_page_of_all_packets_is_a_report() -> None:
    result = CliRunner().invoke(main, ["explain", str(EXAMPLE), "--all", "--output", "html"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "svcnet report shows all" in result.stderr


@pytest.mark.parametrize("mode", builtin())
def test_a_page_of_twice_as_many_services_is_twice_the_work(mode: str) -> None:
    """Counted in calls of functions, in each mode: no Service is looked at for another one."""

    def calls(count: int) -> int:
        services = [
            make_service(
                f"web-{number}",
                f"10.96.1.{number}",
                type="NodePort",
                ports=(evolve(make_service().ports[0], node_port=30000 + number),),
            )
            for number in range(1, count + 1)
        ]
        slices = [make_slice(each.name, f"10.244.1.{n}") for n, each in enumerate(services, 1)]
        state = ClusterState.of([make_node(), *services, *slices])
        profile = cProfile.Profile()
        profile.enable()
        svcnet.report(state, mode=mode)
        profile.disable()
        return sum(entry.callcount for entry in profile.getstats())

    # The first imports what is not there yet.
    _, few, more, most = map(calls, (1, 20, 40, 80))
    assert most - more < 2.2 * (more - few)


def test_a_page_grows_by_little_for_each_service() -> None:
    """5,000 Services with ten endpoints each stay far below 20 MB."""
    few, more = (len(svcnet.report(svcnet.load(as_json(count)))) for count in (20, 120))
    assert (more - few) / 100 * 5000 < 12_000_000


def test_a_wheel_has_what_pages_are_made_of(tmp_path: Path) -> None:
    """Every file of svcnet, be it Python or not, is in what is installed."""
    wheel = pytest.importorskip("hatchling.builders.wheel")
    [built] = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        names = set(archive.namelist())
    parts = {str(path.relative_to(ROOT)) for path in (ROOT / "svcnet/page/parts").iterdir()}
    assert len(parts) == 3
    assert parts <= names


def test_a_page_shows_in_what_this_machine_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The rules that it has are those of an endpoint before."""
    machine = FakeMachine()
    for module in ("svcnet.executors.this_machine", "svcnet.cli.dump", "svcnet.cli.comparison"):
        monkeypatch.setattr(f"{module}.THIS_MACHINE", machine)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("service.yaml", "endpointslices.yaml", "node.yaml"):
        before = (EXAMPLE / name).read_text("utf-8").replace("10.244.2.6", "10.244.2.9")
        (tmp_path / name).write_text(before)
    done = CliRunner().invoke(main, ["apply", str(tmp_path), "--mode", "nftables"])
    assert done.exit_code == 0, done.output
    result = CliRunner().invoke(main, ["report", str(EXAMPLE), "--live", "--mode", "nftables"])
    titles = [each["title"] for each in head_of(result.stdout)["problems"]]
    assert (
        titles == ["The machine differs, wrong endpoint: packets go to others than they should"] * 2
    )
