"""Tools that hang, are killed, or print rubbish, at each step of each verb: rules stay."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main
from svcnet.errors import ApplyError
from svcnet.executors import iptables, userspace
from svcnet.executors.iptables import Variant
from svcnet.graph import RuleGraph
from svcnet.renderers import iptables as rules
from svcnet.renderers import userspace as portals
from tests.kernel.faulty_tools import FAULTS, Tools
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.test_foreign import GRAPH, LESS, Machine
from tests.kernel.test_twice import VARIANTS, elsewhere
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "my-service")
NAMES = (
    "iptables",
    *(f"iptables-{variant}-{verb}" for variant in VARIANTS for verb in ("save", "restore")),
)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xtables_lock: None) -> Tools:
    """Wrappers of the iptables commands, in front of this process's PATH."""
    made = Tools.wrapped(tmp_path / "tools", NAMES)
    made.misbehave()
    made.put_in_front(monkeypatch)
    return made


def svcnet(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments], prog_name="svcnet")


def assert_refused(result: Result, tool: str, fault: str) -> None:
    """There is one clear error that names the tool; no traceback."""
    assert result.exit_code == 3, (tool, fault, result.output, result.exception)
    assert tool in result.stderr, (tool, fault, result.stderr)
    assert result.stderr.count("\n") <= 4
    assert "\x1b" not in result.stderr
    assert "Traceback" not in result.stderr


KINDS = tuple(FAULTS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("there", [None, GRAPH])
def test_apply(there: RuleGraph | None, variant: Variant, tools: Tools) -> None:
    """At each step of apply, what was there before is there afterwards."""
    machine = Machine(variant)
    verb = ("apply", EXAMPLE, "--family", "ipv4", "--variant", variant)

    def start_anew() -> list[bytes]:
        tools.misbehave()
        iptables.cleanup("IPv4")
        if there is not None:
            iptables.apply(rules.full(there), variant=variant)
        return ours()

    def ours() -> list[bytes]:
        return sorted(line for line in machine.save().splitlines() if b"KUBE-" in line)

    def work() -> None:
        start_anew()
        tools.misbehave()
        assert svcnet(*verb).exit_code == 0
        calls = tools.calls
        assert calls[0] == "iptables"
        for number, tool in enumerate(calls, 1):
            kinds = KINDS if (there, variant) == (GRAPH, "nft") else (KINDS[number % len(KINDS)],)
            for fault in kinds:
                before = start_anew()
                tools.misbehave(fault, number)
                result = svcnet(*verb)
                if variant not in tool and tool != "iptables":
                    # The listing of the variant that is not asked for is only for a warning.
                    assert result.exit_code == 0
                    if fault == "does nothing":
                        # There are no tables of that variant, so it prints nothing by right.
                        continue
                    told = rf"warning: (whether|what another mode may have left stays:) {tool}"
                    assert re.search(told.removesuffix("-save"), result.stderr)
                    continue
                if result.exit_code == 0:
                    # It had done its work before it was killed; or it lied, and was asked again.
                    done = ("is cut off", f"iptables-{variant}-restore")
                    assert (fault, tool) == done or fault == "does nothing"
                    assert "nothing to change" in svcnet(*verb).stderr
                    continue
                assert_refused(result, tool, fault)
                assert ours() == before

    elsewhere(work)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("verb", ["save", "restore"])
def test_a_tool_that_lies(verb: str, variant: Variant, tools: Tools) -> None:
    """What says that it has listed or done all, and has not, is not believed."""
    machine, tool = Machine(variant), f"iptables-{variant}-{verb}"
    options = ("--family", "ipv4", "--variant", variant)

    def ours() -> list[bytes]:
        tools.misbehave()
        return [line for line in machine.save().splitlines() if b"KUBE-" in line]

    def refused(*arguments: str) -> None:
        before = ours()
        tools.misbehave("does nothing", "always", only=tool)
        assert_refused(svcnet(*arguments, *options), tool, "does nothing")
        assert ours() == before

    def work() -> None:
        # Without a table there is nothing to list.
        if verb == "restore":
            refused("apply", EXAMPLE)
        tools.misbehave()
        iptables.apply(rules.full(GRAPH), variant=variant)
        refused("apply", EXAMPLE)
        refused("cleanup")
        assert svcnet("apply", EXAMPLE, *options).exit_code == 0
        assert "nothing to change" in svcnet("apply", EXAMPLE, *options).stderr

    elsewhere(work)


def test_a_listing_of_the_other_family(tools: Tools) -> None:
    """Where both families have as many rules, addresses tell them apart."""

    def work() -> None:
        for family in ("ipv4", "ipv6"):
            assert svcnet("apply", EXAMPLE, "--family", family, "--variant", "nft").exit_code == 0
        tools.misbehave("exec ip6tables-nft-save", "always", only="iptables-nft-save")
        result = svcnet("apply", EXAMPLE, "--family", "ipv4", "--variant", "nft")
        assert_refused(result, "iptables-nft-save", "lists another family")

    elsewhere(work)


def test_cleanup(tools: Tools) -> None:
    """What a cleanup could not do, the next one does."""
    machine = Machine("legacy")

    def put() -> None:
        tools.misbehave()
        iptables.apply(rules.full(LESS), variant="legacy")

    def cleaned() -> bytes:
        tools.misbehave()
        assert svcnet("cleanup", "--family", "ipv4").exit_code == 0
        return machine.save()

    def work() -> None:
        put()
        empty = cleaned()
        number = 1
        while True:
            put()
            fault = KINDS[number % len(KINDS)]
            tools.misbehave(fault, number)
            result = svcnet("cleanup", "--family", "ipv4")
            if len(tools.calls) < number:
                break
            if result.exit_code != 0:
                assert_refused(result, tools.calls[number - 1], fault)
            else:
                # It had done its work before it was killed; or it lied, and was asked again.
                assert fault in ("does nothing", "is cut off")
                tools.misbehave()
                assert machine.save() == empty
            assert cleaned() == empty
            number += 1
        assert number > 6

    elsewhere(work)


def test_probe(tools: Tools) -> None:
    """A version that nobody knows is not guessed."""

    def work() -> None:
        for fault in KINDS[:-1]:
            tools.misbehave(fault, 1)
            assert_refused(svcnet("probe"), "iptables", fault)

    elsewhere(work)


@contextmanager
def refused_by(tool: str) -> Iterator[None]:
    with pytest.raises(ApplyError, match=tool) as refused:
        yield
    assert "modprobe" not in str(refused.value)


def test_portal_rules(tools: Tools) -> None:
    """What could not be put of a proxy's rules, the next time is."""
    table = portals.full(GRAPH)
    table = table.with_ports({name: 40000 + n for n, name in enumerate(table.ports)})
    wanted = portals.portal_rules(table)

    def work() -> None:
        userspace.install(wanted, variant="nft")
        for number, tool in enumerate(tools.calls, 1):
            if "nft" not in tool:
                continue
            for fault in KINDS:
                tools.misbehave()
                userspace.remove("IPv4")
                tools.misbehave(fault, number)
                # A listing that is not so is asked for again.
                lists_again = (fault, tool) == ("does nothing", "iptables-nft-save")
                with nullcontext() if lists_again else refused_by(tool):
                    userspace.install(wanted, variant="nft")
                tools.misbehave()
                userspace.install(wanted, variant="nft")
                assert userspace.install(wanted, variant="nft").transactions == ()

    elsewhere(work)


HURRIED = """
import sys
from svcnet.executors import children
children.SECONDS = 3.0
children.LAST_SECONDS = 1.0
children.Deadline.set.__defaults__ = (0.5,)
from svcnet.cli import main
main(sys.argv[4:])
"""
"""Has a tool three seconds, and half a second after the end; then it is svcnet with arguments."""

CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: 200ms, minSyncPeriod: 10ms}
"""


@pytest.fixture
def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xtables_lock: None
) -> Iterator[tuple[Tools, Callable[..., Told]]]:
    """Wrappers, and how svcnet run is started in a namespace of its own with them in front."""
    tools = Tools.wrapped(tmp_path / "tools", NAMES)
    tools.misbehave()
    monkeypatch.setenv("PATH", tools.path)
    (tmp_path / "config.yaml").write_text(CONFIG)

    def start(*options: str) -> Told:
        wrap = (sys.executable, "-c", HURRIED)
        config = str(tmp_path / "config.yaml")
        return Told("run", EXAMPLE, "--family", "ipv4", "--config", config, *options, wrap=wrap)

    with own_namespace():
        yield tools, start


def hung(tools: Tools) -> None:
    """Wait until a tool hangs."""
    deadline = time.monotonic() + 60
    while not tools.hangs:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("mode", "call"),
    [("iptables", 1), ("iptables", 2), ("iptables", 4), ("userspace", 2), ("userspace", 4)],
)
def test_the_end_is_heard_while_a_tool_hangs(
    mode: str, call: int, started: tuple[Tools, Callable[..., Told]]
) -> None:
    """At every step of the start: SIGTERM ends svcnet, and what hangs with it."""
    tools, start = started
    tools.misbehave("hangs", call)
    with start("--mode", mode, "--variant", "nft") as process:
        hung(tools)
        begun = time.monotonic()
        process.process.send_signal(signal.SIGTERM)
        process.ended()
        assert time.monotonic() - begun < 20
    assert tools.calls[call - 1] in " ".join(process.lines)
    assert not any("Traceback" in line for line in process.lines)


def test_a_run_goes_on_trying(started: tuple[Tools, Callable[..., Told]]) -> None:
    """Whatever tools do for however long: it is told, and once they work the rules are right."""
    tools, start = started
    with start("--variant", "nft") as process:
        process.wait(" written")
        for fault in KINDS:
            told = len(process.lines)
            tools.misbehave(fault, "always")
            run("iptables-nft", "-t", "nat", "-F", "KUBE-SERVICES")
            while not any("iptables-nft-save: " in line for line in process.lines[told:]):
                assert process.process.poll() is None
                time.sleep(0.02)
            tools.misbehave()
            deadline = time.monotonic() + 60
            while "10.96.0.100" not in run("/usr/sbin/iptables-nft-save", "-t", "nat"):
                assert time.monotonic() < deadline, process.lines
                time.sleep(0.1)
    assert not any("Traceback" in line for line in process.lines)
