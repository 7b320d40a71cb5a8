"""A trace of a live packet is told line by line; those here are of Linux 6 and its tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import svcnet
from svcnet import modes
from svcnet.cli import main
from svcnet.compiler import node_view
from svcnet.meaning.explanation.question import Question
from svcnet.meaning.explanation.trace import TraceLine, TraceReading
from tests.fuzz import examples

ROOT = Path(__file__).parents[2]
TRACES = Path(__file__).parent / "traces"
OF_MODE = {"iptables": "xtables-monitor.txt", "nftables": "nft-monitor.txt"}
LOADED = svcnet.load([ROOT / "examples/my-service"])


def reading(mode: str) -> TraceReading:
    view = node_view(LOADED.state)
    return TraceReading(Question(LOADED.state, view, modes.get(mode), locate=LOADED.places))


def told(mode: str) -> list[TraceLine]:
    lines = (TRACES / OF_MODE[mode]).read_text().splitlines()
    return list(map(reading(mode).read, lines))


def explain(*args: object, stdin: str | None = None) -> Result:
    words = ["explain", str(ROOT / "examples/my-service"), *map(str, args)]
    return CliRunner().invoke(main, words, input=stdin)


@pytest.mark.parametrize("mode", OF_MODE)
def test_each_service_port_is_told_from_the_other(mode: str) -> None:
    """A packet to port 443 meets rules of https alone, though both ports have one cluster IP."""
    ports: dict[str, set[str]] = {}
    key = ""
    for line in told(mode):
        words = line.text.split()
        key = words[2]
        if line.service is not None:
            ports.setdefault(key, set()).add(line.service.port_name)
    assert sorted(map(sorted, ports.values())) == [["http"], ["https"]]


@pytest.mark.parametrize("mode", OF_MODE)
def test_the_fields_are_told(mode: str) -> None:
    found = [line for line in told(mode) if line.origin is not None]
    fields = {line.origin.path for line in found if line.origin}
    assert {"spec.clusterIPs[0]", "endpoints[0].addresses[0]"} <= fields
    assert all(line.place is not None and line.place.line for line in found)


@pytest.mark.parametrize("mode", OF_MODE)
def test_rules_of_all_and_rules_of_others(mode: str) -> None:
    sentences = [line.told for line in told(mode)]
    assert "a rule for packets of all Services" in sentences
    assert "no rule for Services: somebody else's" in sentences
    assert "headed for 203.0.113.5:80, which is no Service's" in sentences


def test_an_older_kube_proxy_has_the_same_chains() -> None:
    """A rule that svcnet writes otherwise is known by the chain that it leads to."""
    line = (
        " TRACE: 2 2e9184b2 nat:KUBE-SERVICES:rule:0x11:JUMP:KUBE-SVC-I37Z43XJW6BD4TLV  "
        '-4 -t nat -A KUBE-SERVICES -d 10.96.0.100/32 -p tcp -m comment --comment "older" '
        "-m tcp --dport 80 -j KUBE-SVC-I37Z43XJW6BD4TLV"
    )
    found = reading("iptables").read(line)
    assert found.service is not None
    assert found.service.port_name == "http"


@pytest.mark.parametrize("mode", OF_MODE)
def test_as_a_command(mode: str) -> None:
    """Each line of the trace comes back, and what it tells below it; or all as JSON."""
    file = TRACES / OF_MODE[mode]
    result = explain("--trace", file, "--mode", mode)
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.startswith("    = ")]
    assert lines == [line.strip() for line in file.read_text().splitlines()]
    assert "one of 3 endpoints" in result.stdout or "the endpoint 10.244.1.5:9376" in result.stdout
    document = json.loads(
        explain("--trace", "-", "--mode", mode, "--output", "json", stdin=file.read_text()).stdout
    )
    assert [each["line"] for each in document] == lines
    assert {"line", "decision", "service", "field", "source"} == set(document[0])


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("")
    for file in (empty, tmp_path / "nothing", tmp_path, ROOT / "README.md"):
        result = explain("--trace", file)
        assert (result.exit_code, result.stdout) == (2, "")
        assert " [S903 usage]" in result.stderr
    assert explain("--trace", empty, "--to", "10.96.0.100:80").exit_code == 2
    assert explain("--trace", empty, "--from", "node").exit_code == 2
    one_input = CliRunner().invoke(main, ["explain", "--trace", "-"], input="")
    assert one_input.exit_code == 2


LINES = [line for name in OF_MODE.values() for line in (TRACES / name).read_text().splitlines()]


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(LINES), st.integers(0, 400), st.integers(0, 400), st.text(max_size=9))
def test_a_line_that_is_hurt_is_told_or_not(line: str, start: int, end: int, text: str) -> None:
    """Whatever a line holds, it is one line with an answer, and never an end."""
    found = READINGS[len(text) % 2].read(f"{line[:start]}{text}{line[end:]}")
    json.dumps(found.to_dict())


READINGS = [reading(mode) for mode in OF_MODE]
