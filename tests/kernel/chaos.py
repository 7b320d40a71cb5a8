"""Everything that can happen to a node at once, and what must be there after it.

A run of svcnet follows a fake API server on which a random history goes on. The server
fails, forgets and goes back in time, and the proxy before it freezes and tears down; svcnet is
told to read its input again, to end, or killed and started again; other programs write rules
of their own with odd bytes in them; peers hold connections to whatever listens; the system's
tools fail, hang, lie and die; and somebody else damages what svcnet made. Once all that is over
the machine must be as a cold apply of the server's objects makes a new one, what is foreign
as its owners left it, and the process no larger than it was.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import unified_diff
from functools import partial
from pathlib import Path
from random import Random

import pytest
from attrs import define, field

from svcnet.errors import ApplyError
from svcnet.sources.kubernetes import KINDS
from svcnet.testing import FakeAPIServer, Fault
from svcnet.testing.fake_http import FakeRequest
from tests.kernel.api import API, api
from tests.kernel.applying import write_host
from tests.kernel.changes import History, for_a_node
from tests.kernel.foreign import processes_here, without
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import Machine
from tests.kernel.nursery import Nursery, Run, nursery
from tests.kernel.sizes import MOST_KILOBYTES, Size
from tests.kernel.tools import FailingTools

SEED = int(os.environ.get("SVCNET_CHAOS_SEED", "1"))
LEFT_OPEN = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored in. <function _SelectorTr:pytest.PytestUnraisableExceptionWarning",
)
"""The fake server, closed between a connection and its first word, leaves that to the garbage
collector, as asyncio's servers do: https://github.com/python/cpython/issues/109564.
"""
CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16,fd00:10:244::/64
iptables: {syncPeriod: 1s, minSyncPeriod: 50ms}
ipvs: {syncPeriod: 1s, minSyncPeriod: 50ms}
nftables: {syncPeriod: 1s, minSyncPeriod: 50ms}
"""
PATIENCE_SECONDS = 60
"""No break lasts longer: so long a server that is silent may go unnoticed."""
MOST_PEERS = 60
LONGEST_LINE = 10_000
MOST_LINES = 5000
MOST_FILES = 12
MOST_THREADS = 4
CHANGES_IN_TWO_ROUNDS = 1500
CHANGES_AT_ONCE = 30
FAULTS = 0.03
"""The probability that a request to the server fails."""
ALARMING = ("somebody else", '"event":"refused"', "a step was refused")
"""What a run never tells while it is alone with the machine."""


def changes(usual: int) -> int:
    """Return how many changes a test makes."""
    return int(os.environ.get("SVCNET_CHAOS_CHANGES", usual))


@define
class Chaos:
    """A node in the middle of it; the seed decides what happens next."""

    folder: Path
    machine: Machine
    server: API
    nursery: Nursery
    tools: FailingTools
    seed: int
    settled: list[float] = field(factory=list)
    """How long it took after each round until the machine was right, in seconds."""
    _peers: list[socket.socket] = field(factory=list, init=False)
    _sizes: list[Size] = field(factory=list, init=False)
    """Of the run that there is now, at rest after each round."""
    _random: Random = field(init=False)
    _history: History = field(init=False)
    _options: tuple[object, ...] = field(init=False)
    _run: Run = field(init=False)
    _disturbed: bool = field(default=False, init=False)
    """Whether the run may find what it did not make: damage, or a last word of one killed."""
    _runs: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)
        self._history = History(self.seed)
        config = self.folder / "config.yaml"
        config.write_text(CONFIG)
        here = ("--node", "n1", "--config", config, "--host", write_host(self.folder))
        self._options = (*here, "--family", "both", *self.machine.options)

    def go_on(self, changes: int) -> None:
        """Make so many changes, in rounds with a quiet time after each.

        In every other round nobody but svcnet has to do with the machine.
        """
        self.machine.foreign.look()
        self._start()
        rounds = 2 * max(changes // CHANGES_IN_TWO_ROUNDS, 1)
        for number in range(rounds):
            made = 0
            while made < changes / rounds:
                count = self._random.randint(1, CHANGES_AT_ONCE)
                self.server.call(partial(self._history.go_on, changes=count))
                made += count
                time.sleep(self._random.choice((0, 0, 0.02, 0.05, 0.2)))
                if self._random.random() < 0.25:
                    self._happen(alone=number % 2 == 0)
            self._quiet()
        self._end()
        left = processes_here(os.getpid(), self.nursery.pid)
        assert not left, f"seed {self.seed}: {left}"
        print(f"seed {self.seed}: {rounds} rounds, right after {max(self.settled):.1f} s at most")

    def _happen(self, *, alone: bool) -> None:
        """Have something happen besides a change: to the server, or to svcnet."""
        to_server: list[Callable[[], object]] = [
            lambda: self.server.call(lambda server: server.compact()),
            lambda: self.server.finish(lambda server: server.disconnect()),
            lambda: self.server.call(lambda server: server.script(Fault("cut", on="watch"))),
            lambda: self.server.call(
                lambda server: server.script(Fault("error", "watch", code=410))
            ),
            self._away,
            self._back_in_time,
            self._frozen,
            lambda: self.server.at_proxy(lambda proxy: proxy.reset()),
            lambda: self.server.at_proxy(lambda proxy: proxy.close()),
        ]
        beside = [
            lambda: self.machine.foreign.stir(self._random),
            lambda: self.machine.foreign.stir(self._random),
            self._peer,
            self._hang_up,
        ]
        to_svcnet = [self._again, self._killed, self._damaged, self._tools_fail]
        happenings = [*to_server, *beside]
        self._random.choice(happenings if alone else [*happenings, *to_svcnet, *to_svcnet])()

    def _script(self, fault: Fault) -> None:
        self.server.call(lambda server: server.script(fault))

    def _away(self) -> None:
        self.server.stop()
        time.sleep(self._random.random() / 4)
        self.server.start()

    def _back_in_time(self) -> None:
        """Have the server be restored, a few changes later.

        What nobody can notice is a server that has caught up before it is asked again.
        """
        backup = self.server.call(lambda server: server.backup())
        self.server.call(lambda server: self._history.go_on(server, CHANGES_AT_ONCE))
        time.sleep(self._random.random() / 4)

        async def restore(server: FakeAPIServer) -> None:
            # Only what is asked of the restored server counts, and it answers all of that.
            await server.stop()
            server.requests.clear()
            server.chaos = 0
            await server.restore(backup)

        self.server.finish(restore)
        until(lambda: self.server.call(lambda server: checked(server.requests)) == len(KINDS))
        self.server.call(lambda server: setattr(server, "chaos", FAULTS))

    def _frozen(self) -> None:
        """Have the proxy keep connections and forward nothing, of new ones too or not.

        Those that it keeps may be frozen for good: only who uses them can give them up.
        """
        new, for_good = self._random.random() < 0.5, self._random.random() < 0.5
        self.server.at_proxy(lambda proxy: proxy.freeze(new=new))
        time.sleep(self._random.random())
        self.server.at_proxy(lambda proxy: proxy.thaw(new_only=for_good))

    def _peer(self) -> None:
        """Have a peer open connections and say nothing, or half a request; some go again."""
        self._random.shuffle(self._peers)
        while len(self._peers) > MOST_PEERS:
            self._peers.pop().close()
        for port in (10256, 10249):
            peer = socket.socket()
            peer.setblocking(False)
            peer.connect_ex(("127.0.0.1", port))
            self._peers.append(peer)
        for peer in self._peers:
            if self._random.random() < 0.2:
                with suppress(OSError):
                    peer.send(self._random.choice((b"GET /heal", b"\x16\x03\x01", b"\r\n")))

    def _hang_up(self) -> None:
        """Have svcnet read its input again, once it hears signals: before, they would end it."""
        if self._run.has_told():
            self._run.send(signal.SIGHUP)

    def _tools_fail(self) -> None:
        """Have tools fail from now on, more or less often, or be well again."""
        self._disturbed = True
        self.tools.fail(self._random.choice((0, 10, 50, 100)))

    def _again(self) -> None:
        self._revive()
        self._end()
        self._start()

    def _revive(self) -> None:
        """Start svcnet anew if it has ended, as an init system does.

        A proxy whose first rules are refused does: there is nothing yet that it could keep.
        """
        if self._run.is_over():
            assert self._run.code() == ApplyError.exit_code, self._run.log.read_text()
            assert self._disturbed, self._run.log.read_text()
            self._start()

    def _killed(self) -> None:
        self._revive()
        self._run.kill()
        # As systemd does it: what it had started is killed with it.
        while left := processes_here(os.getpid(), self.nursery.pid):
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(int(process.split()[0]), signal.SIGKILL)
        self._start()
        # What it had told a tool to do may be done yet.
        self._disturbed = True

    def _damaged(self) -> None:
        self._disturbed = True
        self.machine.damage(self._random)
        self.machine.foreign.look()

    def _quiet(self) -> None:
        """Wait until the machine is as a cold apply makes one."""
        self.tools.fail(0)
        self._revive()
        begun = time.monotonic()
        self.server.call(self._history.heal)
        objects = self.server.call(lambda server: for_a_node(server.objects()))
        dump = self.folder / "objects.json"
        dump.write_text(json.dumps(objects))
        with own_namespace():
            cold = without(self.machine.cold(dump, self._options))
        until(lambda: self._is_right(cold))
        self.settled.append(time.monotonic() - begun)
        now = without(self.machine.state())
        difference = "\n".join(unified_diff(cold, now, "cold", "now", lineterm="", n=0))
        said = "\n".join(line[:500] for line in self._run.log.read_text().splitlines()[-12:])
        assert not difference, f"seed {self.seed}: {difference}\n{said}"
        self.machine.foreign.untouched()
        self._look_at_log()
        self._weigh()

    def _is_right(self, cold: list[str]) -> bool:
        self._revive()
        return without(self.machine.state()) == cold

    def _weigh(self) -> None:
        """The process, without peers, must be as it was after its first round."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()
        self._sizes.append(Size.at_rest(self._run.pid))
        first, last = self._sizes[0], self._sizes[-1]
        assert last.memory - first.memory < 2 * MOST_KILOBYTES, f"seed {self.seed}: {self._sizes}"
        # Connections that a proxy froze are there until they are given up, threads by chance.
        most = first.files + MOST_FILES + self.machine.listeners()
        assert last.files <= most, f"seed {self.seed}: {self._sizes}"
        assert last.threads <= first.threads + MOST_THREADS, f"seed {self.seed}: {self._sizes}"

    def _start(self) -> None:
        self._disturbed = self.tools.failing
        self._runs += 1
        self._sizes = []
        log = self.folder / f"log-{self._runs}"
        where = ("--kubernetes", "--kubeconfig", self.server.kubeconfig(self.folder))
        self._run = self.nursery.start(log, "run", *where, *self._options)

    def _end(self) -> None:
        self._run.wait_for_words()
        if self._run.is_over():
            self._revive()
            self._run.wait_for_words()
        self._run.send(signal.SIGTERM)
        code = self._run.code()
        assert code == 0 or (code == ApplyError.exit_code and self._disturbed), self._run.log
        self._look_at_log()

    def _look_at_log(self) -> None:
        """Every line is JSON, and a run that is alone finds nothing that it has not made.

        But for the last words of one that ends for an error.
        """
        lines = self._run.log.read_text().splitlines()
        faults = [line for line in lines if "Traceback" in line or "fault of svcnet's" in line]
        assert not faults, f"seed {self.seed}: {faults}"
        if self._disturbed:
            lines = [line for line in lines if line.startswith("{")]
        assert all(line.startswith("{") and len(line) < LONGEST_LINE for line in lines), lines
        assert len(lines) < MOST_LINES, lines[-50:]
        if not self._disturbed:
            alarms = [line for line in lines if any(text in line for text in ALARMING)]
            assert not alarms, f"seed {self.seed}: {alarms}"


def checked(requests: list[FakeRequest]) -> int:
    """Return of how many kinds there was a watch, and after it a look at the server's version."""
    watched, found = set(), set()
    for request in requests:
        if request.verb == "watch":
            watched.add(request.path)
        elif request.path in watched:
            found.add(request.path)
    return len(found)


def until(condition: Callable[[], bool]) -> bool:
    """Wait for a condition; return whether it came true in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@contextmanager
def chaos(folder: Path, machine: Machine, seed: int = SEED) -> Iterator[Chaos]:
    """Have a node in a network namespace of its own, with a server that fails now and then."""
    tools = FailingTools(folder / "tools")
    with (
        own_namespace(),
        api(seed=seed, chaos=FAULTS) as server,
        nursery(tools.make()) as runs,
    ):
        assert not processes_here(os.getpid(), runs.pid), "a namespace of its own has nobody else"
        server.stand_behind_a_proxy()
        yield Chaos(folder, machine, server, runs, tools, seed)
