"""An agent from Python, without root: what it does, and what it leaves as it was."""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import svcnet.agent
from svcnet.agent import Agent, Cluster
from svcnet.checks import EMPTY_FILE
from svcnet.errors import ApplyError, InputError, UsageError
from svcnet.executors.lock import Busy
from svcnet.modes import DataPlane, Mode, builtin
from svcnet.reconciler import Event, InSyncEvent, SyncEvent
from svcnet.testing import FakeMachine
from tests.agent.kept import Noise, NotedMode, agent, write
from tests.conftest import ROOT
from tests.servers.monitoring.serving import free_port, get_json

SECONDS = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, web="10.96.0.10")
    return tmp_path


def of_process() -> dict[str, object]:
    """Return what of this process an agent could change for everybody in it."""
    gc.collect()
    root = logging.getLogger()
    numbers = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}
    return {
        "signals": {number: signal.getsignal(number) for number in numbers},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "collector": (gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()),
        "logging": (root.level, list(root.handlers), logging.raiseExceptions),
        "threads": set(threading.enumerate()),
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook),
        "environment": dict(os.environ),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "folder": Path.cwd(),
    }


def test_within_a_block_the_machine_is_true(folder: Path) -> None:
    """The first state is there when it begins, changes are followed, and rules stay at the end."""
    mode, log = NotedMode(), Noise()
    before = of_process()
    with agent(folder, mode, log=log):
        mode.wait("web")
        write(folder, web="10.96.0.10", db="10.96.0.11")
        mode.wait("web", "db")
        during = of_process()
        assert threading.main_thread() not in mode.threads
    assert {**during, "threads": 0, "descriptors": 0} == {**before, "threads": 0, "descriptors": 0}
    assert of_process() == before
    assert log.lines[-1] == ("info", "ended; the rules stay")


def test_rules_of_iptables_are_kept(folder: Path) -> None:
    """On a machine that is none they are kept, put right again, and stay at the end."""
    machine = FakeMachine()
    config = folder / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "iptables: {syncPeriod: 100ms, minSyncPeriod: 10ms}\n"
    )
    heard = Heard()
    with agent(folder, "iptables", config=config, machine=machine, listen=heard) as running:
        assert "10.96.0.10/32" in machine.tables().save()
        machine.load("*nat\n-F KUBE-SERVICES\nCOMMIT\n")
        heard.wait(lambda event: isinstance(event, SyncEvent) and bool(event.done.differed))
        assert "10.96.0.10/32" in machine.tables().save()
        (family,) = running.status()["families"]
        assert (family["family"], family["mode"]) == ("IPv4", "iptables")
    assert "10.96.0.10/32" in machine.tables().save()


GOING = (
    "---\napiVersion: v1\nkind: Node\n"
    "metadata: {name: this, deletionTimestamp: '2026-11-24T12:00:00Z'}\n"
)


@pytest.mark.parametrize(
    ("nodes", "status"), [("", 200), (GOING, 503)], ids=["none", "one that goes"]
)
def test_manifests_without_any_node_say_nothing_about_this_one(
    folder: Path, nodes: str, status: int
) -> None:
    """Then its health is that of its rules; what a Node says of it counts, too."""
    manifest = folder / "cluster.yaml"
    manifest.write_text(manifest.read_text() + nodes)
    port = free_port()
    with agent(folder, "iptables", healthz=f"127.0.0.1:{port}"):
        assert get_json(port, "/healthz")[0] == status


class Heard:
    """Keeps the events of a loop."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait(self, is_it: Callable[[Event], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(is_it, self.events)), SECONDS)


def test_it_is_stopped_from_another_thread(folder: Path) -> None:
    """What runs in one thread returns there once another says so, and only once."""
    mode = NotedMode()
    running = agent(folder, mode)
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(running.run)
        mode.wait("web")
        running.stop()
        running.stop()
        assert work.result(SECONDS) is None
    running.stop()
    with pytest.raises(UsageError, match="runs once"):
        running.run()
    with pytest.raises(UsageError, match="was not started"):
        running.join()


def test_what_was_stopped_before_does_not_run(folder: Path) -> None:
    mode = NotedMode()
    running = agent(folder, mode)
    running.stop()
    running.run()
    assert not mode.graphs
    started = agent(folder, mode)
    started.stop()
    assert started.start().join()
    assert not mode.graphs


def test_who_hears_may_stop_it(folder: Path) -> None:
    """In whichever thread: nothing waits for itself."""
    for kind in (SyncEvent, InSyncEvent):
        mode, running = NotedMode(), deque[Agent]()

        def listen(event: Event, kind: type = kind, running: deque[Agent] = running) -> None:
            if isinstance(event, kind):
                running[0].stop()

        running.append(agent(folder, mode, listen=listen))
        running[0].run()
        assert mode.graphs


def test_two_at_once_and_one_after_another(folder: Path) -> None:
    """On machines of their own two do not meet; on one, the second says who is there."""
    first, second = NotedMode(), NotedMode()
    shared = FakeMachine()
    with agent(folder, first, machine=shared), agent(folder, second, socket=folder / "two.sock"):
        assert first.graphs
        assert second.graphs
        with pytest.raises(Busy, match="IPv4"):
            agent(folder, NotedMode(), machine=shared, socket=folder / "three.sock").start()
    third = NotedMode()
    with agent(folder, third, machine=shared):
        assert third.graphs


def test_one_of_this_machine_holds_off_others(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the same process, with the lock that other processes see."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    host = folder / "host.yaml"
    host.write_text("addresses: [192.0.2.1]\n")
    first = NotedMode()
    with (
        agent(folder, first, machine=None, host=host),
        pytest.raises(Busy, match=f"process {os.getpid()}"),
    ):
        agent(folder, NotedMode(), machine=None, host=host, socket=folder / "two").start()


WRONG = "apiVersion: v1\nkind: Service\nmetadata: {name: [}\n"


def test_what_keeps_it_from_starting_is_raised(folder: Path) -> None:
    """Input that is wrong, nothing to serve, a mode that cannot: and nothing is left behind."""
    before = of_process()
    (folder / "cluster.yaml").write_text(WRONG)
    for begin in (Agent.start, Agent.run):
        with pytest.raises(InputError, match=r"cluster\.yaml:3"):
            begin(agent(folder, NotedMode()))
    (folder / "cluster.yaml").write_text("")
    with pytest.raises(InputError, match=EMPTY_FILE.name), agent(folder, NotedMode()):
        raise AssertionError
    write(folder, web="10.96.0.10")
    with pytest.raises(UsageError, match="rendered only"):
        agent(folder, Unkept()).start()
    assert of_process() == before


class Unkept(NotedMode):
    """A mode without an executor."""

    executor = Mode.executor  # type: ignore[assignment]


def test_a_machine_that_refuses_is_tried_again(folder: Path) -> None:
    """It is told of, and the start goes on once the machine takes the rules, or time is over."""
    mode, log = NotedMode("no"), Noise()
    with pytest.raises(ApplyError, match=r"after 0\.2 s: no"):
        agent(folder, mode, log=log).start(timeout=0.2)
    assert any(text.startswith("no [") for _, text in log.lines)
    log = Noise()
    running = agent(folder, mode, log=log)
    with ThreadPoolExecutor(1) as thread:
        starting = thread.submit(running.start)
        log.wait("no")
        mode.refusal = ""
        assert starting.result(SECONDS) is running
        running.stop()
        running.join()
    assert mode.graphs


def test_what_ends_it_later_is_raised_where_it_is_waited_for(folder: Path) -> None:
    """Such as what somebody who listens raises; an error of the block itself goes first."""

    def listen(event: Event) -> None:
        if isinstance(event, SyncEvent) and len(mode.graphs) > 1:
            raise RuntimeError("enough")

    mode, log = NotedMode(), Noise()

    def work() -> None:
        with agent(folder, mode, listen=listen, log=log):
            write(folder, db="10.96.0.11")
            log.wait("enough")
            if own is not None:
                raise own

    own: Exception | None = None
    with pytest.raises(RuntimeError):
        work()
    write(folder, web="10.96.0.10")
    mode, log, own = NotedMode(), Noise(), KeyError()
    with pytest.raises(KeyError):
        work()


def test_input_is_read_again_on_request(folder: Path) -> None:
    """Wrong input is told of and changes nothing."""
    mode, log = NotedMode(), Noise()
    with agent(folder, mode, log=log) as running:
        running.reload()
        log.wait("the input was read again")
        (folder / "cluster.yaml").write_text(WRONG)
        log.wait("the rules stay as they were")
        assert running.status()["input"]["problem"]


def test_status_is_told_before_during_and_after(folder: Path) -> None:
    running = agent(folder, NotedMode())
    with pytest.raises(UsageError, match="does not run"):
        running.status()
    with running:
        document = running.status()
        assert json.loads(json.dumps(document)) == document
    assert running.status()["families"]


def test_a_proxy_shows_where_it_is(folder: Path) -> None:
    """In mode userspace Services are served in this process, and the ports are shown."""
    shown: list[DataPlane] = []
    options = {"no-redirect": True}
    before = of_process()
    with agent(folder, "userspace", machine=None, options=options, show=shown.append):
        (proxy,) = shown
        (table,) = proxy.listing()
        (line,) = [line for line in table.splitlines() if "default/web" in line]
        port = int(line.split()[2].rpartition(":")[2])
        with suppress(ConnectionResetError):  # its backend is nowhere
            socket.create_connection(("127.0.0.1", port), 5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert of_process() == before


def test_what_makes_no_sense_is_refused_at_once(folder: Path) -> None:
    """A request that cannot be right begins nothing."""
    manifest = folder / "cluster.yaml"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"mode": "nftable"}, "there is no mode"),
        ({"options": {"colour": "red"}}, "no option 'colour'"),
        ({"options": {"workers": 2}}, "mode userspace"),
        ({"mode": "userspace", "options": {"workers": "2"}}, "workers: cannot be '2'"),
        ({"mode": "userspace", "options": {"no-redirect": 1}}, "no-redirect: cannot be 1"),
        ({"families": "IPv4"}, "families are of IPv4 and IPv6"),
        ({"families": ["IPv5"]}, "families are of IPv4 and IPv6"),
        ({"ip_families": ["IPv4", "IPv4"]}, "each once"),
        ({"ignore": ["no-such"]}, "ignore: there is no check"),
        ({"healthz": "nowhere:http"}, "healthz"),
    ]
    for asked, text in wrong:
        with pytest.raises(UsageError, match=text):
            Agent(manifest, **asked)
    with pytest.raises(UsageError, match="no PATH"):
        Agent([])
    for name in ("strict", "allow_empty"):
        with pytest.raises(UsageError, match=f"{name} is for manifests"):
            Agent(Cluster(), **{name: True})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ip_families is for manifests"):
        Agent(Cluster(), ip_families=["IPv4"])


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary()),
    *(st.lists(st.integers(), max_size=2), st.builds(Path, st.sampled_from(["a", "/"]))),
)


@given(st.sampled_from([mode.name for mode in builtin().values() if mode.options]), st.data())
def test_any_value_of_an_option_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    """Whatever a program gives for an option is one that the command could give, or an error."""
    option = data.draw(st.sampled_from(list(builtin()[name].options)))
    value = data.draw(VALUES)
    try:
        Agent("cluster.yaml", mode=name, options={option.name: value})
    except UsageError as error:
        assert str(error)  # noqa: PT017
    else:
        assert option.takes(value)


def test_an_event_loop_needs_a_thread_beside_it(folder: Path) -> None:
    """In one that runs it is started, not run; and a main() is for the main thread."""

    async def inside() -> None:
        with pytest.raises(UsageError, match="start"):
            agent(folder, NotedMode()).run()
        mode = NotedMode()
        running = await asyncio.to_thread(agent(folder, mode).start)
        assert mode.graphs
        running.stop()
        assert await asyncio.to_thread(running.join)

    asyncio.run(inside())
    with ThreadPoolExecutor(1) as thread, pytest.raises(UsageError, match="main thread"):
        thread.submit(agent(folder, NotedMode()).main).result(SECONDS)


def test_without_a_log_it_is_the_logger_svcnet(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A program has of it what its own logging says; values are behind the text."""
    with caplog.at_level(logging.INFO, "svcnet"), agent(folder, NotedMode(), log=None):
        pass
    (synced,) = [each for each in caplog.records if each.getMessage().startswith("synced")]
    assert synced.name == "svcnet"
    assert "done: IPv4: noted" in synced.getMessage()
    assert vars(synced)["about"]["family"] == "IPv4"
    assert caplog.messages[-1] == "ended; the rules stay"


PROGRAM = """
import sys
from tests.agent.kept import NotedMode, agent
from pathlib import Path
def listen(event):
    if type(event).__name__ == "InSyncEvent":
        print("settled", flush=True)
running = agent(Path(sys.argv[1]), NotedMode(), log=None, listen=listen)
getattr(running, sys.argv[2])()
print("over", flush=True)
"""


@pytest.mark.parametrize(
    ("how", "number", "code"),
    [
        ("main", signal.SIGTERM, 0),
        ("main", signal.SIGINT, 0),
        ("run", signal.SIGTERM, -signal.SIGTERM),
        ("run", signal.SIGINT, -signal.SIGINT),
    ],
)
def test_signals_are_heard_when_that_is_asked(
    folder: Path, how: str, number: signal.Signals, code: int
) -> None:
    """The process of main() ends well by them; in that of run() they do what they did before."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "settled\n"
        process.send_signal(number)
        out, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, out.endswith("over\n")) == (code, code == 0), told


def test_the_room_prints_nothing() -> None:
    """No module of it knows the command, a terminal or the standard streams."""
    for module in Path(svcnet.agent.__file__).parent.glob("*.py"):
        tree = ast.parse(module.read_text("utf-8"))
        imported = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [each.name for each in node.names]
            )
        }
        roots = {name.partition(".")[0] for name in imported}
        assert not roots & {"click", "rich", "sys", "structlog"}, module
        assert "print" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
