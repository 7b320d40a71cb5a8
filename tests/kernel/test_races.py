"""Two at once: the last success is what the machine has, and nobody is told otherwise.

Each race begins from a state C, and has two of svcnet's verbs begin at nearly the same moment, of
which one may be killed. The environment variable SVCNET_RACES names a number of races of each
kind and variant.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from attrs import define, field, frozen

from svcnet.executors.iptables import Commands, Variant, apply, cleanup, counting
from svcnet.executors.lock import is_free
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import RuleGraph
from svcnet.models import Host
from svcnet.renderers.iptables import full
from tests.kernel.applying import order_free
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.nursery import Nursery, Run, nursery
from tests.kernel.reconciler.test_drift import graph_of

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("xtables_lock")]

RACES = int(os.environ.get("SVCNET_RACES", "4"))
SERVICES = 25
REFUSED = 3
SVCNET = (sys.executable, "-m", "svcnet")
GUARD = "-j KUBE-FIREWALL"
NONE = ("--healthz-bind-address", "", "--metrics-bind-address", "")
SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {{name: s{number}}}
spec: {{clusterIP: 10.96.0.{number}, ports: [{{port: {port}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s{number}-1, labels: {{kubernetes.io/service-name: s{number}}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{{addresses: [10.244.{state}.{number}]}}, {{addresses: [10.244.9.{number}]}}]
"""

Tables = dict[str, dict[str, list[str]]]


def manifests(state: int) -> str:
    """Return a state: of three Services, one has another port in each, one is in some alone."""
    return "".join(
        SERVICE.format(number=number, state=state, port=80 + (number % 3 == 0) * state)
        for number in range(1, SERVICES)
        if number % 3 != state
    )


@frozen
class Outcome:
    """What a run came to: its exit code, None where it was killed or goes on, and its words."""

    name: str
    code: int | None
    told: str


@define
class Track:
    """A network namespace where races are run, and what the tables are in each state."""

    variant: Variant
    folder: Path
    nursery: Nursery
    expected: dict[str, Tables] = field(factory=dict)
    graphs: dict[str, RuleGraph] = field(factory=dict)
    random: Random = field(factory=lambda: Random(5))
    _number: int = 0

    def prepare(self) -> None:
        # The verbs ask the kernel whether rules can count in it.
        host = Host(nfacct=not counting.lack(machine=THIS_MACHINE))
        for state, name in enumerate("ABC"):
            text = manifests(state)
            (self.folder / f"{name}.yaml").write_text(text)
            self.graphs[name] = graph_of("IPv4", text, host)
            self.reset(name)
            self.expected[name] = self.tables()
        cleanup("IPv4", self.variant)
        self.expected["cleanup"] = self.tables()

    def reset(self, name: str) -> None:
        """Begin with a state, or with nothing at all."""
        for table in ("nat", "filter"):
            for verb in ("-F", "-X"):
                run(f"iptables-{self.variant}", "-t", table, verb)
        if name:
            apply(full(self.graphs[name]), variant=self.variant)

    def tables(self) -> Tables:
        """Return what is there; the order of the jumps among each other is of no account.

        What guards the loopback is left out: once it is there, it stays.
        """
        tables = order_free(Commands("IPv4", self.variant, THIS_MACHINE).observe())
        return {
            table: {
                chain: rules
                if chain.startswith("KUBE")
                else sorted(rule for rule in rules if rule != GUARD)
                for chain, rules in chains.items()
                if chain != "KUBE-FIREWALL"
            }
            for table, chains in tables.items()
        }

    def start(self, name: str, *options: str) -> Run:
        """Have the machine become a state by apply, or by cleanup; or keep it by run."""
        self._number += 1
        log = self.folder / f"log-{self._number}"
        words = ["cleanup", "--family", "ipv4", "--variant", self.variant, *options]
        if name != "cleanup":
            verb = ("run", *NONE) if "run" in options else ("apply",)
            words = [*verb, str(self.folder / f"{name}.yaml"), "--variant", self.variant]
            words += [option for option in options if option != "run"]
        return self.nursery.start(log, *words)

    def pause(self, most: float = 0.08) -> None:
        time.sleep(self.random.random() * most)

    def wait_for_work(self, most: float = 3) -> None:
        """Wait until somebody has the lock, for what is fast enough has had it already."""
        end = time.monotonic() + most
        while is_free("IPv4") and time.monotonic() < end:
            time.sleep(0.001)

    def must_be(self, *names: str) -> None:
        found = self.tables()
        assert any(found == self.expected[name] for name in names), names


@pytest.fixture(scope="module", params=["nft", "legacy"])
def track(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Track]:
    with own_namespace(), nursery() as forking:
        made = Track(request.param, tmp_path_factory.mktemp("races"), forking)
        made.prepare()
        yield made


def outcome(name: str, one: Run) -> Outcome:
    code = one.nursery.wait(one.pid)
    told = one.log.read_text()
    assert "Traceback" not in told, told
    return Outcome(name, code, told)


def must_be_fair(outcomes: Sequence[Outcome]) -> list[str]:
    """Return who was successful; whoever was not has been told who was at work."""
    for each in outcomes:
        assert each.code in (0, REFUSED), each
        if each.code == REFUSED:
            [line] = each.told.splitlines()
            assert "in this network namespace (process " in line
    return [each.name for each in outcomes if each.code == 0]


@pytest.mark.parametrize(
    ("start", "first", "second", "wait"),
    [
        ("C", "A", "B", True),
        ("C", "A", "B", False),
        ("", "A", "B", True),
        ("", "A", "B", False),
        ("C", "A", "cleanup", True),
        ("C", "cleanup", "B", False),
        ("C", "cleanup", "cleanup", True),
    ],
)
def test_two_at_once(track: Track, start: str, first: str, second: str, wait: bool) -> None:
    """Of two that wait both are successful; of two that do not one is, or both in turn."""
    options = ("--wait",) if wait else ()
    for _ in range(RACES):
        track.reset(start)
        one = track.start(first, *options)
        track.pause()
        other = track.start(second, *options)
        successful = must_be_fair([outcome(first, one), outcome(second, other)])
        assert successful
        assert len(successful) == 2 or not wait
        track.must_be(*successful)


@pytest.mark.parametrize("verb", ["B", "cleanup"])
def test_beside_a_run(track: Track, verb: str) -> None:
    """Who comes second is refused, and what the run wants is there as long as it lives."""
    for _ in range(RACES):
        track.reset("C")
        pair = [partial_start(track, "A", "run"), partial_start(track, verb)]
        track.random.shuffle(pair)
        runs: dict[str, Run] = {}
        for name, begin in pair:
            runs[name] = begin()
            track.pause()
        successful = must_be_fair([outcome(verb, runs[verb])])
        if "synced" in wait_for_words(runs["A"]):
            track.must_be("A")
            runs["A"].end()
            track.must_be("A")
        else:
            assert runs["A"].nursery.wait(runs["A"].pid) == REFUSED
            assert successful
            track.must_be(verb)


def partial_start(track: Track, name: str, *options: str) -> tuple[str, Callable[[], Run]]:
    return name, lambda: track.start(name, *options)


def wait_for_words(one: Run) -> str:
    """Return what a run has told first: that it is in sync, or that it is refused."""
    one.wait_for_words()
    return one.log.read_text()


@pytest.mark.parametrize(
    ("first", "second"), [("A", "B"), ("A", "cleanup"), ("cleanup", "B"), ("run", "B")]
)
def test_one_is_killed(track: Track, first: str, second: str) -> None:
    """What a killed one had begun is over before the next one looks."""
    for _ in range(RACES):
        track.reset("C")
        options = ("run",) if first == "run" else ()
        one = track.start("A" if first == "run" else first, *options)
        track.wait_for_work()
        track.pause()
        other = track.start(second, "--wait")
        track.pause(0.15)
        os.kill(one.pid, signal.SIGKILL)
        one.nursery.wait(one.pid)
        assert must_be_fair([outcome(second, other)]) == [second]
        track.must_be(second)


def test_a_slow_command_of_a_killed_one(track: Track, tmp_path: Path) -> None:
    """A command that outlives its svcnet still has the lock: the next one looks after its end."""
    tool = f"iptables-{track.variant}-restore"
    begun, end, done, text = (tmp_path / name for name in ("begun", "end", "done", "text"))
    slow = tmp_path / tool
    slow.write_text(
        f"#!/bin/sh\ncat > {text}\n"
        f"grep -q '^[*]nat' {text} && touch {begun} && while [ ! -e {end} ]; do sleep 0.05; done\n"
        f'{shutil.which(tool)} "$@" < {text}\n[ ! -e {end} ] || touch {done}\n'
    )
    slow.chmod(0o755)
    track.reset("")
    killed = subprocess.Popen(
        [*SVCNET, "apply", track.folder / "A.yaml", "--variant", track.variant],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
    )
    while not begun.exists():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    other = track.start("B", "--wait")
    # Without a lock it is through in this time.
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and "nat" not in track.tables():
        time.sleep(0.05)
    end.touch()
    deadline = time.monotonic() + 30
    while not done.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert must_be_fair([outcome("B", other)]) == ["B"]
    track.must_be("B")
