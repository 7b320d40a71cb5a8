"""``svcnet render`` as a user runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.testing import FakeIPTables

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "conformance" / "cases"


def svcnet(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=stdin)


def render_case(name: str, *args: object) -> Result:
    case = CASES / name
    return svcnet("render", case / "objects.yaml", "--config", case / "config.yaml", *args)


def expected(name: str, family: str = "ipv4") -> str:
    return (CASES / name / f"iptables.{family}.txt").read_text()


def test_standard_output_is_the_text_alone() -> None:
    """Nothing but the restore text goes to standard output."""
    result = render_case("kitchen-sink", "--mode", "iptables")
    assert result.exit_code == 0
    assert result.stdout == expected("kitchen-sink")


def test_module_and_standard_input() -> None:
    """``python -m svcnet render`` without a path reads standard input."""
    case = CASES / "clusterip-basic"
    done = subprocess.run(
        [sys.executable, "-m", "svcnet", "render"],
        input=(case / "objects.yaml").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == expected("clusterip-basic")


def test_family() -> None:
    """--family picks the family; without it the Node's first address does."""
    assert render_case("dual-clusterip", "--family", "ipv6").stdout == expected(
        "dual-clusterip", "ipv6"
    )
    assert render_case("clusterip-basic-v6").stdout == expected("clusterip-basic-v6", "ipv6")


def test_host_facts() -> None:
    """--host reads the facts that svcnet probe prints."""
    name = "nodeport-addresses-two"
    result = render_case(name, "--host", CASES / name / "host.yaml")
    assert result.stdout == expected(name)


def test_output_file(tmp_path: Path) -> None:
    """-o writes the file and prints nothing."""
    target = tmp_path / "rules.txt"
    result = render_case("kitchen-sink", "--to", target)
    assert (result.exit_code, result.stdout) == (0, "")
    assert target.read_text() == expected("kitchen-sink")


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    """An output file in a missing folder is a plain error."""
    result = render_case("kitchen-sink", "--to", tmp_path / "no" / "rules.txt")
    assert result.exit_code == 3
    assert "cannot be written: No such file or directory" in result.stderr


def test_check_of_an_equal_golden_file() -> None:
    """--check is silent and exits 0 when the golden file is what would be printed."""
    result = render_case("kitchen-sink", "--check", CASES / "kitchen-sink" / "iptables.ipv4.txt")
    assert (result.exit_code, result.stdout) == (0, "")


def test_check_of_another_golden_file(tmp_path: Path) -> None:
    """--check prints a unified diff and exits 1 on any difference."""
    golden = tmp_path / "golden.txt"
    golden.write_text(expected("kitchen-sink").replace("10.96.0.13", "10.96.0.99", 1))
    result = render_case("kitchen-sink", "--check", golden)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"--- {golden}\n+++ rendered\n@@ ")
    assert "\n-" in result.stdout
    assert "\n+" in result.stdout


@pytest.mark.parametrize("content", [b"", b"*filter", b"a\r\nb"])
def test_check_sees_every_byte(tmp_path: Path, content: bytes) -> None:
    """An empty, cut or re-encoded golden file differs."""
    golden = tmp_path / "golden.txt"
    golden.write_bytes(content)
    assert render_case("clusterip-basic", "--check", golden).exit_code == 1


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_check_of_no_text(tmp_path: Path, content: bytes | None) -> None:
    """A golden file that is missing or no text is an error, not a difference."""
    golden = tmp_path / "golden.txt"
    if content is not None:
        golden.write_bytes(content)
    result = render_case("clusterip-basic", "--check", golden)
    assert result.exit_code == 2
    assert str(golden) in result.stderr


@pytest.mark.parametrize(
    "name",
    ["then-clusterip-changed", "then-endpoint-added", "then-endpoint-removed"],
)
def test_since(name: str) -> None:
    """--since prints a step that leads from the old rules to the new ones."""
    case = CASES / name
    config = ("--config", case / "config.yaml")
    new = svcnet("render", case / "objects.second.yaml", *config).stdout
    step = svcnet(
        "render", case / "objects.second.yaml", *config, "--since", case / "objects.yaml"
    ).stdout
    stepped, fresh = FakeIPTables(), FakeIPTables()
    stepped.restore(expected(name))
    stepped.restore(step)
    fresh.restore(new)
    assert stepped.order_free() == fresh.order_free()
    assert len(step) < len(new)


def test_since_the_same() -> None:
    """Nothing changed means nothing to load."""
    case = CASES / "kitchen-sink"
    assert render_case("kitchen-sink", "--since", case / "objects.yaml").stdout == ""


def test_jumps_load_twice_without_doubling() -> None:
    """With --jumps the text is complete, and loading it again changes nothing."""
    text = render_case("kitchen-sink", "--jumps").stdout
    assert text.startswith(expected("kitchen-sink"))
    tables = FakeIPTables()
    tables.restore(text)
    once = {table: dict(chains) for table, chains in tables.tables.items()}
    tables.restore(text)
    assert tables.tables == once
    assert once["nat"]["PREROUTING"] == [
        '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    ]


def test_jumps_are_the_references() -> None:
    """--jumps inserts what the reference ensures, in its order."""
    for family in ("ipv4", "ipv6"):
        calls = (CASES.parent / f"jumps.iptables.{family}.txt").read_text().splitlines()
        wanted = [call.split(" ", 2)[2] for call in calls if " -I " in call]
        text = render_case("dual-clusterip", "--jumps", "--family", family).stdout
        ours = [line for line in text.splitlines() if line.startswith("-I ")]
        # Ours come table by table; and IPv6, which has no route_localnet, needs no
        # protection of loopback: there our text has no KUBE-FIREWALL to jump to.
        if family == "ipv6":
            wanted = [line for line in wanted if "KUBE-FIREWALL" not in line]
        assert sorted(ours) == sorted(wanted)


def test_since_and_jumps_exclude_each_other() -> None:
    """A step is for a machine that has the jumps."""
    case = CASES / "kitchen-sink"
    result = render_case("kitchen-sink", "--jumps", "--since", case / "objects.yaml")
    assert result.exit_code == 2


def test_several_nodes_need_a_name(tmp_path: Path) -> None:
    """Of several Nodes one must be named, and one that is not there is an error."""
    objects = (CASES / "clusterip-basic" / "objects.yaml").read_text()
    two = objects + "---\n" + objects.split("---\n")[1].replace("node-a", "node-b")
    assert svcnet("render", stdin=two).exit_code == 2
    assert "--node" in svcnet("render", stdin=two).stderr
    assert svcnet("render", "--node", "node-b", stdin=two).exit_code == 0
    missing = svcnet("render", "--node", "node-c", stdin=two)
    assert missing.exit_code == 2
    assert "node-c" in missing.stderr


def test_the_mode_of_the_configuration(tmp_path: Path) -> None:
    """A configuration for another mode is not silently rendered as iptables."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "mode: nftables\n"
    )
    objects = CASES / "clusterip-basic" / "objects.yaml"
    found = svcnet("render", objects, "--config", config).stdout
    assert found.startswith("add table ip kube-proxy ")
    other = svcnet("render", objects, "--config", config, "--mode", "iptables")
    assert other.stdout.startswith("*filter\n")


def test_errors_of_all_files_at_once(tmp_path: Path) -> None:
    """Every error of every input is reported, nothing is printed, the exit code is 2."""
    objects = tmp_path / "objects.yaml"
    objects.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
        "  clusterIP: 10.96.0.10\n  ports:\n  - port: 80000\n    protocol: ICMP\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "iptables: {masqueradeBit: 32}\n"
    )
    result = svcnet("render", objects, "--config", config)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert any("objects.yaml:7" in line and "spec.ports[0].port" in line for line in lines)
    assert any("objects.yaml:8" in line and "spec.ports[0].protocol" in line for line in lines)
    assert any("config.yaml:3" in line and "masqueradeBit" in line for line in lines)


def test_strict_makes_warnings_errors() -> None:
    """A Service port that no slice serves is a warning, and with --strict an error."""
    name = "clusterip-slice-port-name-mismatch"
    warned = render_case(name)
    assert warned.exit_code == 0
    assert "warning" in warned.stderr
    strict = render_case(name, "--strict")
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert "error" in strict.stderr


def test_other_kinds_are_passed_over_and_counted() -> None:
    """Kinds that mean nothing here are named on standard error with their number."""
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n---\n"
    objects = (CASES / "clusterip-basic" / "objects.yaml").read_text()
    result = svcnet("render", stdin=other * 2 + objects)
    assert result.stdout == expected("clusterip-basic")
    assert "passed over: 2 ConfigMap" in result.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    """``svcnet render … | head -1`` ends quietly."""
    case = CASES / "large-cluster-1000"
    done = subprocess.run(
        f"{sys.executable} -m svcnet render {case}/objects.yaml | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "*filter\n"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_graph_text_and_one_service() -> None:
    """``svcnet graph`` prints the canonical dump, of everything or of one Service."""
    case = CASES / "kitchen-sink"
    args = ("graph", case / "objects.yaml", "--config", case / "config.yaml")
    everything = svcnet(*args).stdout
    assert everything.startswith("node node-a IPv4\n")
    assert everything.count("\nservice-port ") == 8
    one = svcnet(*args, "--service", "shop/lb").stdout
    assert one.count("\nservice-port shop/lb:") == one.count("\nservice-port ") == 2
    missing = svcnet(*args, "--service", "nobody")
    assert missing.exit_code == 2
    assert "default/nobody" in missing.stderr


def test_graph_as_a_picture(tmp_path: Path) -> None:
    """``-o dot`` is a drawing that Graphviz accepts."""
    case = CASES / "kitchen-sink"
    text = svcnet(
        "graph", case / "objects.yaml", "--config", case / "config.yaml", "--output", "dot"
    )
    assert text.stdout.startswith("digraph svcnet {\n")
    if shutil.which("dot") is None:
        assert text.stdout.count("{") == text.stdout.count("}")
        return
    drawn = subprocess.run(
        ["dot", "-Tsvg"], input=text.stdout, capture_output=True, text=True, check=True
    )
    assert "shop/lb:http/TCP" in drawn.stdout


def test_help_names_every_verb() -> None:
    """--help lists the verbs and each verb has a help of its own."""
    listing = svcnet("--help").stdout
    for verb in ("apply", "cleanup", "graph", "probe", "render"):
        assert verb in listing
        assert svcnet(verb, "--help").exit_code == 0
    assert svcnet("no-such-verb").exit_code == 2


def test_help_imports_little() -> None:
    """``svcnet --help`` does not load what only other verbs need, so that it starts fast."""
    code = (
        "import sys\nfrom svcnet.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'yaml', 'orjson', 'ryml', 'pyroute2', 'rich', 'netaddr', 'cattrs'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
