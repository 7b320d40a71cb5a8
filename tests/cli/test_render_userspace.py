"""``svcnet render`` in mode userspace, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

CASES = Path(__file__).parents[1] / "conformance" / "cases"
CASE = CASES / "dual-lb-everything"
SCTP = CASES / "nodeport-sctp"
HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def svcnet(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def render(case: Path, *args: object, mode: str = "userspace") -> Result:
    config = ("--config", case / "config.yaml")
    return svcnet("render", case / "objects.yaml", *config, "--mode", mode, *args)


def configuration(folder: Path, fields: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(f"{HEAD}hostnameOverride: node-a\n{fields}\n")
    return file


def ports(result: Result) -> list[int]:
    """Return every proxy port of a JSON document."""
    assert result.exit_code == 0
    found = json.loads(result.stdout)["servicePorts"]
    return [listener["port"] for service in found for listener in service["listeners"]]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_text_is_comments_and_rules(family: str) -> None:
    """Standard output is restore text: the table in comments, and the chains of the mode."""
    result = render(CASE, "--family", family)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines = result.stdout.splitlines()
    assert first == f"# userspace proxy of node-a, {family.replace('ipv', 'IPv')}"
    assert {line[0] for line in lines} == set("#*:-C")
    assert "-j KUBE-PORTALS-CONTAINER" not in result.stdout
    assert "-j KUBE-PORTALS-CONTAINER" in render(CASE, "--family", family, "--jumps").stdout


def test_the_configurations_mode_and_ports(tmp_path: Path) -> None:
    """``mode`` and ``portRange`` of the configuration count, and options before them."""
    config = configuration(tmp_path, "mode: userspace\nportRange: 40000+99")
    command = ("render", CASE / "objects.yaml", "--config", config, "--output", "json")
    assert all(40000 <= port <= 40099 for port in ports(svcnet(*command)))
    chosen = ports(svcnet(*command, "--proxy-port-range", "50000-50099"))
    assert all(50000 <= port <= 50099 for port in chosen)
    other = ports(svcnet(*command, "--proxy-port-seed", "another"))
    assert other != ports(svcnet(*command))
    assert all(40000 <= port <= 40099 for port in other)


def test_files_and_golden_files(tmp_path: Path) -> None:
    """-o writes, and --check reads, whatever form is asked for."""
    for form in ("text", "json", "haproxy"):
        golden = tmp_path / form
        assert render(CASE, "--output", form, "--to", golden).stdout == ""
        same = render(CASE, "--output", form, "--check", golden)
        assert (same.exit_code, same.stdout) == (0, "")
    assert render(CASE, "--output", "json", "--check", tmp_path / "text").exit_code == 1


def test_since_prints_what_changes() -> None:
    """--since prints what changes in the table and in the rules, and nothing for no change."""
    case = CASES / "then-service-deleted"
    config = ("--config", case / "config.yaml", "--mode", "userspace")
    new, old = case / "objects.second.yaml", case / "objects.yaml"
    lines = svcnet("render", new, *config, "--since", old).stdout.splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*nat"
    assert {line[:3] for line in rules[1:-1]} == {"-D "}
    assert [line[:3] for line in lines if line.startswith("# -")]
    assert not [line for line in lines if line.startswith("# +")]
    assert svcnet("render", old, *config, "--since", old).stdout == ""


def test_what_is_unsupported_is_told() -> None:
    """What the mode cannot carry is a line on standard error, and with --strict an error."""
    line = (
        "unsupported: Service shop/sig: spec.ports[0].protocol: "
        "port 2905 is SCTP, and the userspace proxy carries TCP and UDP [S901 unsupported-port]\n"
    )
    for output in ("text", "json", "haproxy"):
        result = render(SCTP, "--output", output)
        assert (result.exit_code, result.stderr) == (0, line)
    step = render(SCTP, "--since", SCTP / "objects.yaml")
    assert (step.exit_code, step.stderr, step.stdout) == (0, line, "")
    strict = render(SCTP, "--strict")
    assert (strict.exit_code, strict.stdout, strict.stderr) == (2, "", line)


def test_haproxy_has_no_udp() -> None:
    """For HAProxy, UDP ports are told as well; the other forms carry them."""
    case = CASES / "affinity-udp"
    assert render(case).stderr == ""
    result = render(case, "--output", "haproxy")
    assert result.exit_code == 0
    assert "UDP, and HAProxy carries TCP" in result.stderr


def test_too_few_ports() -> None:
    """A range that is too small for the listeners is an error that says how many they are."""
    result = render(CASE, "--proxy-port-range", "40000")
    assert (result.exit_code, result.stdout) == (2, "")
    needed = len(ports(render(CASE, "--output", "json")))
    assert result.stderr == (
        f"the proxy needs {needed} ports, and the range 40000-40000 has only 1 [S904 unsupported]\n"
    )


@pytest.mark.parametrize(
    ("mode", "args", "message"),
    [
        ("iptables", ("--output", "haproxy"), "-o haproxy is for mode userspace; mode"),
        (
            "iptables",
            ("--output", "json"),
            "is for mode ipvs, mode nftables and mode userspace; mode iptables",
        ),
        ("ipvs", ("--output", "haproxy"), "mode ipvs has text, json and messages"),
        ("userspace", ("--output", "messages"), "mode userspace has text, json and haproxy"),
        ("userspace", ("--section", "iptables"), "--section is for mode ipvs"),
        ("userspace", ("--jumps", "--output", "json"), "--jumps are rules of iptables"),
        ("userspace", ("--jumps", "--output", "haproxy"), "--jumps are rules of iptables"),
        ("userspace", ("--jumps", "--since", CASE / "objects.yaml"), "belongs to a full text"),
        ("userspace", ("--output", "json", "--since", CASE / "objects.yaml"), "a whole state"),
        ("userspace", ("--output", "haproxy", "--since", CASE / "objects.yaml"), "a whole state"),
        ("userspace", ("--proxy-port-range", "x"), "--proxy-port-range: a port range is like"),
        ("ipvs", ("--proxy-port-range", "1-2"), "--proxy-port-range is for mode userspace"),
        ("iptables", ("--proxy-port-seed", "a"), "--proxy-port-seed is for mode userspace"),
    ],
)
def test_options_that_do_not_go_together(mode: str, args: tuple[object, ...], message: str) -> None:
    """What makes no sense is refused with a sentence, and nothing is printed."""
    result = render(CASE, *args, mode=mode)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_apply_points_to_run() -> None:
    """A proxy is not applied and left: the error says which verb serves it."""
    host = CASES / "nodeport-addresses" / "host.yaml"
    config = ("--config", CASE / "config.yaml", "--host", host)
    result = svcnet("apply", CASE / "objects.yaml", *config, "--mode", "userspace")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "svcnet run --mode userspace" in result.stderr
