"""Modes of svcnet and of other packages: found, left out with a warning, and offered."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import svcnet
from svcnet import modes
from svcnet.cli import main
from svcnet.errors import UsageError
from svcnet.graph import RuleGraph
from svcnet.models import (
    ClusterState,
    Host,
    IPVSConfiguration,
    KubeProxyConfiguration,
    NFTablesConfiguration,
    RuleSettings,
)
from svcnet.models.state import ClusterObject
from svcnet.modes.options import Flag, Option, offers
from svcnet.modes.pace import Pace
from svcnet.modes.registry import RESERVED
from svcnet.testing import make_node, make_service, make_slice
from tests.modes.plain import PLAIN, PlainMode

EXAMPLE = str(Path(__file__).parents[2] / "examples/my-service")


def graph_of(objects: list[ClusterObject]) -> RuleGraph:
    return svcnet.compile(ClusterState.of(objects))


GRAPH = graph_of([make_node(), make_service(), make_slice()])

Install = Callable[[Mapping[str, str]], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what has a package with entry points installed for the length of a test."""

    def installed(entries: Mapping[str, str]) -> None:
        folder = tmp_path / "other-1.dist-info"
        folder.mkdir()
        lines = [f"{name} = {value}\n" for name, value in entries.items()]
        (folder / "entry_points.txt").write_text("".join(["[svcnet.modes]\n", *lines]))
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
        monkeypatch.syspath_prepend(tmp_path)

    return installed


def svcnet_command(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_each_mode_is_a_value_under_its_name() -> None:
    """The registry gives one and the same value each time, and a name leads to it."""
    for name, mode in modes.available().items():
        assert modes.get(name) is mode
        assert mode.name == name
        assert modes.resolve(mode) is modes.resolve(name) is mode
        assert mode.full(GRAPH).mode == name


def test_a_mode_is_given_by_name_or_as_a_value() -> None:
    """``svcnet.render`` and ``render_delta`` take both, and a value need not be installed."""
    step = svcnet.graph.diff(graph_of([make_node()]), GRAPH)
    for name, mode in modes.builtin().items():
        assert svcnet.render(GRAPH, mode=mode) == svcnet.render(GRAPH, mode=name)
        assert svcnet.render_delta(step, mode=mode) == svcnet.render_delta(step, mode=name)
    assert svcnet.render(GRAPH, mode=PLAIN).lines
    assert svcnet.render_delta(step, mode=PLAIN).come


def test_what_no_mode_is_called() -> None:
    """An error names the modes that there are."""
    with pytest.raises(
        UsageError, match="no mode 'nft'; there are iptables, ipvs, nftables and userspace"
    ):
        svcnet.render(GRAPH, mode="nft")


def test_a_mode_that_serves_is_not_applied() -> None:
    """The error says how to run it."""
    with pytest.raises(UsageError, match="svcnet run --mode userspace"):
        svcnet.apply(svcnet.render(GRAPH, mode="userspace"))


def test_a_mode_of_another_package(install: Install) -> None:
    """It is rendered by name, has its option, and stands in what --help prints."""
    install({"plain": "tests.modes.plain:PLAIN"})
    text = svcnet_command("render", EXAMPLE, "--mode", "plain")
    assert (text.exit_code, text.stderr) == (0, "")
    loud = svcnet_command("render", EXAMPLE, "--mode=plain", "--loud")
    assert loud.stdout == text.stdout.upper() != text.stdout
    shown = svcnet_command("render", "--help").stdout
    assert "[iptables|ipvs|nftables|userspace|plain]" in shown
    assert "Mode plain: write it in capitals." in " ".join(shown.split())
    assert list(modes.available()) == ["iptables", "ipvs", "nftables", "userspace", "plain"]
    assert svcnet.render(GRAPH, mode="plain") == PLAIN.full(GRAPH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "plain", "--section", "ip"), "--section is for mode ipvs; mode plain has no s"),
        (("--mode", "plain", "--output", "json"), "mode plain has text"),
        (("--mode", "plain", "--since", EXAMPLE), "-o text is a whole state; compare two"),
        (("--loud",), "--loud is for mode plain; mode iptables has one voice"),
    ],
)
def test_options_are_of_modes(install: Install, arguments: tuple[str, ...], message: str) -> None:
    """What a mode does not have is refused in the same words, whoever made the mode."""
    install({"plain": "tests.modes.plain:PLAIN"})
    result = svcnet_command("render", EXAMPLE, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message.replace("has no s", "has one text") in result.stderr


BROKEN = {
    "nowhere": ("no_such_module:MODE", "ModuleNotFoundError: No module named 'no_such_module'"),
    "nothing": ("tests.modes.plain:NOTHING", "AttributeError: "),
    "number": ("sys:maxsize", "it is no svcnet.modes.Mode but of type int"),
    "type": ("tests.modes.plain:PlainMode", "it is no svcnet.modes.Mode but of type ABCMeta"),
    "shy": ("tests.modes.plain:SHY", "the mode calls itself 'other'"),
    "ipvs": ("tests.modes.plain:TWIN", "there is a mode of this name"),
    "formless": ("tests.modes.plain:FORMLESS", "it has no form text"),
    "greedy": ("tests.modes.plain:GREEDY", "an option cannot be called node"),
    "unlike": ("tests.modes.plain:UNLIKE", "--section is of another type than that of mode ipvs"),
    "spiteful": ("tests.modes.plain:SPITEFUL", "RuntimeError: look\\naway"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mode_that_cannot_be_used(install: Install, name: str) -> None:
    """It is one warning, a line with its check, and all other modes are there."""
    value, why = BROKEN[name]
    install({name: value, "plain": "tests.modes.plain:PLAIN"})
    result = svcnet_command("render", EXAMPLE, "--mode", "plain")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"warning: the mode of entry point {name} = {value} is left out: ")
    assert why in line
    assert line.endswith("[S916 unusable-mode]")
    assert list(modes.available()) == ["iptables", "ipvs", "nftables", "userspace", "plain"]
    quiet = svcnet_command("render", EXAMPLE, "--mode", "plain", "--ignore", "unusable-mode")
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")
    if name != "ipvs":
        with pytest.raises(UsageError, match="is left out"):
            modes.get(name)


def test_the_environment_leaves_other_packages_out(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing of theirs is imported, or told of."""
    install({"plain": "tests.modes.plain:PLAIN", "nowhere": "no_such_module:MODE"})
    monkeypatch.setenv("SVCNET_MODES", "builtin")
    assert modes.find_modes() == modes.Catalogue(modes.builtin())
    result = svcnet_command("render", EXAMPLE, "--mode", "plain")
    assert result.exit_code == 2
    assert "left out" not in result.stderr


def test_nothing_is_looked_for_that_is_not_asked_for() -> None:
    """What names modes of svcnet's own, or none, costs no search for entry points."""
    code = (
        "import sys, svcnet.cli\n"
        "svcnet.cli.main(sys.argv[1:], standalone_mode=False)\n"
        "print([name for name in ('importlib.metadata', 'svcnet.renderers.userspace')"
        " if name in sys.modules], file=sys.stderr)\n"
    )
    for arguments in (["--help"], ["render", EXAMPLE], ["render", EXAMPLE, "--mode", "ipvs"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stderr == "[]\n"


def test_reserved_names_are_those_of_the_verbs() -> None:
    """A mode may not take an option that a verb has, now or for another mode."""
    context = click.Context(main)
    own = set()
    for verb in {
        verb for mode in modes.builtin().values() for o in mode.options for verb in o.verbs
    }:
        command = main.get_command(context, verb)
        assert command is not None
        for parameter in command.params:
            own |= {name.removeprefix("--") for name in parameter.opts if name.startswith("--")}
    assert own | {"help", "output"} == RESERVED


def test_options_of_one_name_are_one_option() -> None:
    """Its help says what it does in which mode, and once what is the same."""
    one = Option("drain", ("run",), Flag(), "Wait for ends.", "")
    two = Option("drain", ("run",), Flag(), "Wait for peace.", "")
    (offer,) = offers("run", {"a": [one], "b": [two], "c": [one], "d": []})
    assert offer.text(["a", "b", "c", "d"]) == (
        "Modes a and c: wait for ends. Mode b: wait for peace."
    )
    (offer,) = offers("run", {"a": [one], "c": [one]})
    assert offer.text(["a", "c"]) == "Wait for ends."
    assert offers("apply", {"a": [one]}) == []


class Marked(PlainMode):
    """A mode with a section of its own in the configuration."""

    def rules(self, config: KubeProxyConfiguration) -> RuleSettings:
        """Take another mark, and addresses of node ports whatever the configuration says."""
        return RuleSettings(config.nftables.masquerade_bit, node_port_addresses=("192.0.2.0/24",))

    def pace(self, config: KubeProxyConfiguration) -> Pace:
        """Take the periods of the same section."""
        return Pace(config.nftables.min_sync_period, config.nftables.sync_period)


def test_what_differs_by_mode_is_asked_of_the_mode() -> None:
    """The mark, addresses of node ports and periods are what the mode makes of a configuration."""
    section = NFTablesConfiguration(masquerade_bit=20, sync_period=7.0, min_sync_period=3.0)
    config = KubeProxyConfiguration(nftables=section, ipvs=IPVSConfiguration(sync_period=5.0))
    state, host = ClusterState.of([make_node()]), Host(("192.0.2.7", "198.51.100.7"))
    usual = svcnet.compile(state, config, host).settings
    marked = svcnet.compile(state, config, host, mode=Marked()).settings
    assert (usual.masquerade_mark, usual.node_port_addresses) == (1 << 14, None)
    assert (marked.masquerade_mark, marked.node_port_addresses) == (1 << 20, ("192.0.2.7",))
    assert Marked().settings(config).pace == Pace(3.0, 7.0)
    assert modes.get("ipvs").settings(config).pace == Pace(0.0, 5.0)
    assert modes.get("iptables").settings(config).pace == Pace(1.0, 30.0)
