"""``svcnet render`` in mode ipvs, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    Acknowledgement,
    IPVSService,
    NewDest,
    NewService,
)
from svcnet.netfilter.ipvs.wire import decode
from svcnet.renderers.ipvs.sections import COMMANDS

CASES = Path(__file__).parents[1] / "conformance" / "cases"
CASE = CASES / "dual-lb-everything"


def svcnet(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def render(case: Path, *args: object, mode: str = "ipvs") -> Result:
    config = ("--config", case / "config.yaml")
    return svcnet("render", case / "objects.yaml", *config, "--mode", mode, *args)


def configuration(folder: Path, section: str) -> Path:
    """Write a configuration that has one section."""
    file = folder / "config.yaml"
    head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
    file.write_text(f"{head}hostnameOverride: node-a\n{section}\n")
    return file


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_json_is_the_document(family: str) -> None:
    """--output json prints the document and nothing else."""
    result = render(CASE, "--output", "json", "--family", family)
    assert result.exit_code == 0
    assert result.stdout == (CASE / f"ipvs.{family}.json").read_text()


def test_the_configurations_mode(tmp_path: Path) -> None:
    """``mode: ipvs`` in the configuration is as good as --mode ipvs."""
    config = configuration(tmp_path, "mode: ipvs")
    result = svcnet("render", CASE / "objects.yaml", "--config", config, "--output", "json")
    assert json.loads(result.stdout)["dummyDevice"] == "kube-ipvs0"


def test_files_and_golden_files(tmp_path: Path) -> None:
    """-o writes, and --check reads, whatever form is asked for."""
    for form in ("text", "json", "messages"):
        golden = tmp_path / form
        assert render(CASE, "--output", form, "--to", golden).stdout == ""
        assert render(CASE, "--output", form, "--to", golden).exit_code == 0
        same = render(CASE, "--output", form, "--check", golden)
        assert (same.exit_code, same.stdout) == (0, "")
    different = render(CASE, "--output", "json", "--check", tmp_path / "text")
    assert different.exit_code == 1


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_text_is_the_sections_under_headings(family: str) -> None:
    """The whole text is each tool's section, which --section prints alone."""
    text = ""
    for tool, command in COMMANDS.items():
        section = render(CASE, "--family", family, "--section", tool).stdout
        assert section
        assert "#" not in section
        heading = command.replace("iptables", "ip6tables") if family == "ipv6" else command
        text += f"# {heading}\n{section}"
    assert render(CASE, "--family", family).stdout == text


def test_jumps_are_part_of_the_iptables_section() -> None:
    """--jumps adds to what iptables reads, alone or in the whole text."""
    plain = render(CASE, "--section", "iptables").stdout
    jumps = render(CASE, "--section", "iptables", "--jumps").stdout
    assert jumps.startswith(plain)
    added = jumps.removeprefix(plain)
    assert '-I INPUT -m comment --comment "kubernetes ipvs access filter"' in added
    assert render(CASE, "--jumps").stdout == render(CASE).stdout.replace(plain, jumps)


def test_messages_are_bytes_and_words() -> None:
    """Each line of -o messages is a message's bytes, which say what the comment says."""
    lines = render(CASES / "affinity-custom", "--output", "messages").stdout.splitlines()
    assert len(lines) == 4
    text, comment = lines[0].split("  # ")
    assert comment == "add 10.96.0.10:80 TCP scheduler rr persistent 60"
    assert bytes.fromhex(text)[4:6] == bytes(2)
    (observed,) = decode(_of_a_family(bytes.fromhex(text)))
    assert observed.service == IPVSService(  # type: ignore[union-attr]
        "10.96.0.10", 80, flags=MADE_BY_SVCNET | 1, timeout=60
    )
    assert not isinstance(observed, Acknowledgement)
    assert str(NewService(observed.service)) == comment  # type: ignore[union-attr]
    for line in lines[1:]:
        text, comment = line.split("  # ")
        (observed,) = decode(_of_a_family(bytes.fromhex(text)))
        dest = observed.dest  # type: ignore[union-attr]
        assert str(NewDest(IPVSService("10.96.0.10", 80), dest)) == comment


def _of_a_family(message: bytes) -> bytes:
    """Return a message with the number of some family: with 0 it is none that is decoded."""
    return message[:4] + b"\x1c\x00" + message[6:]


def test_since_prints_what_changes() -> None:
    """--since prints each tool's lines for what changed, and nothing for no change."""
    case = CASES / "then-endpoint-added"
    config = ("--config", case / "config.yaml", "--mode", "ipvs")
    new, old = case / "objects.second.yaml", case / "objects.yaml"
    step = svcnet("render", new, *config, "--since", old).stdout
    assert [line for line in step.splitlines() if line.startswith("# ")] == ["# ipvsadm --restore"]
    assert step.count("\n-a -t ") == 1
    assert "-D" not in step
    messages = svcnet("render", new, *config, "--since", old, "--output", "messages").stdout
    assert messages.count("\n") == step.count("\n-a ")
    assert svcnet("render", old, *config, "--since", old).stdout == ""


def test_since_a_deleted_service() -> None:
    """What goes is taken away in the order that leaves no address without a server."""
    case = CASES / "then-service-deleted"
    config = ("--config", case / "config.yaml", "--mode", "ipvs")
    new, old = case / "objects.second.yaml", case / "objects.yaml"
    lines = svcnet("render", new, *config, "--since", old).stdout.splitlines()
    kinds = [line.split(" ")[0] for line in lines if not line.startswith("#")]
    assert list(dict.fromkeys(kinds)) == ["address", "-D", "del"]
    back = svcnet("render", old, *config, "--since", new).stdout.splitlines()
    kinds = [line.split(" ")[0] for line in back if not line.startswith("#")]
    assert list(dict.fromkeys(kinds)) == ["add", "-A", "-a", "address"]


def test_timeouts_of_the_configuration(tmp_path: Path) -> None:
    """Timeouts are part of what is said to IPVS, as lines and as messages."""
    config = configuration(tmp_path, "ipvs: {tcpTimeout: 15m}")
    args = ("render", CASE / "objects.yaml", "--config", config, "--mode", "ipvs")
    assert svcnet(*args, "--section", "ipvsadm").stdout.startswith("--set 900 0 0\n")
    first = svcnet(*args, "--output", "messages").stdout.splitlines()[0]
    assert first.endswith("  # set timeouts tcp 900 tcpfin 0 udp 0")


@pytest.mark.parametrize(
    ("mode", "args", "message"),
    [
        ("iptables", ("--output", "json"), "-o json is for mode ipvs"),
        ("iptables", ("--output", "messages"), "-o messages is for mode ipvs"),
        ("iptables", ("--section", "iptables"), "--section is for mode ipvs"),
        ("ipvs", ("--section", "ipset", "--output", "json"), "--section is one of -o text"),
        ("ipvs", ("--jumps", "--output", "json"), "--jumps are rules of iptables"),
        ("ipvs", ("--jumps", "--section", "ipset"), "--jumps are rules of iptables"),
        ("ipvs", ("--jumps", "--since", CASE / "objects.yaml"), "--jumps belongs to a full text"),
        ("ipvs", ("--section", "ip", "--since", CASE / "objects.yaml"), "cuts a full text"),
        ("ipvs", ("--output", "json", "--since", CASE / "objects.yaml"), "is a whole state"),
    ],
)
def test_options_that_do_not_go_together(mode: str, args: tuple[object, ...], message: str) -> None:
    """What makes no sense is refused with a sentence, and nothing is printed."""
    result = render(CASE, *args, mode=mode)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_scheduler_that_there_is_not(tmp_path: Path) -> None:
    """A scheduler that IPVS does not have is an error with its place, in either file."""
    bad = "{name: web, namespace: shop, annotations: {svcnet.io/ipvs-scheduler: rrr}}"
    objects = (CASE / "objects.yaml").read_text().replace("{name: web, namespace: shop}", bad, 1)
    assert bad in objects
    config = configuration(tmp_path, "ipvs: {scheduler: rrr}")
    result = svcnet("render", "--config", config, "--mode", "ipvs", stdin=objects)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert any("<stdin>:" in line and "['svcnet.io/ipvs-scheduler']" in line for line in lines)
    assert any(f"{config}:" in line and "ipvs.scheduler" in line for line in lines)
