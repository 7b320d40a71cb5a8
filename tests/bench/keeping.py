"""``svcnet run`` with an API server: how long an event takes to be a rule, and what that costs.

A program, which guests run too, see :mod:`tests.kernel.uml.guest`: it takes a mode, one more option
such as ``layout=flat``, and numbers of Services, of endpoints and of events, and prints JSON. The
server, svcnet and this program are processes of one network namespace. What svcnet does is read
from its log, which has the time, and what it uses from /proc, so that it is measured as it is. When
nf_tables has a change the kernel itself tells.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from attrs import define, field, frozen

from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.netlink import NETLINK_NETFILTER, messages
from tests.bench import clusters
from tests.kernel.api import write_kubeconfig
from tests.kernel.ipvs.netlink import own_namespace

PATIENCE = 900.0
QUIET = 5.0
"""After so many seconds without a word a run has nothing more to do."""
A_SECOND, LOAD_SECONDS = 100, 20
CHANGES = {"event": "count", "event, replaced": "replaced"}
"""How a slice changes: it loses or regains an endpoint, or has another in place of one."""
WRITING = ("write", "rules")
"""The stages in which the kernel and the commands of others work."""
PACES = {"minSyncPeriod 1 s": "1s", "minSyncPeriod 0": "1ns"}  # "0s" is the default
TICKS = os.sysconf("SC_CLK_TCK")
NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES = 1, 7  # linux/netlink.h, linux/netfilter/nfnetlink.h
NFT_MSG_NEWGEN = 15  # linux/netfilter/nf_tables.h

CONFIG = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: {mode}
iptables: {{syncPeriod: 1h, minSyncPeriod: {pace}}}
ipvs: {{syncPeriod: 1h, minSyncPeriod: {pace}}}
nftables: {{syncPeriod: 1h, minSyncPeriod: {pace}}}
"""

Line: TypeAlias = dict[str, Any]
Figures: TypeAlias = dict[str, Any]


@frozen
class Server:
    """The API server's process."""

    process: subprocess.Popen[str]
    port: int

    def change(
        self, events: int, how: str = "count", interval: float = 0
    ) -> tuple[list[float], float]:
        """Change so many slices; return when each was, and when the server wrote the last."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{events} {interval} {how}\n")
        self.process.stdin.flush()
        times, wrote = json.loads(self.process.stdout.readline())
        return times, wrote


@frozen
class Used:
    """Seconds of CPU that a process has used, and those that it has started and waited for."""

    own: float
    children: float

    @classmethod
    def of(cls, pid: int) -> Used:
        """Return what a process has used so far.

        Its own is exact (``schedstat``); what it has waited for is counted by the clock's ticks, as
        in proc_pid_stat(5).
        """
        tasks = Path(f"/proc/{pid}/task").iterdir()
        own = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(own / 1e9, sum(int(text) / TICKS for text in fields[13:15]))

    def since(self, before: Used, events: int) -> Figures:
        """Return milliseconds an event."""
        return {
            "own CPU, ms": round((self.own - before.own) / events * 1000, 2),
            "children's CPU, ms": round((self.children - before.children) / events * 1000, 2),
        }


@define
class Run:
    """A run of svcnet, and what it writes to its log."""

    process: subprocess.Popen[str]
    lines: queue.Queue[Line] = field(factory=queue.Queue)

    def read(self) -> None:
        """Take in the log until its end."""
        assert self.process.stderr is not None
        for text in self.process.stderr:
            if text.startswith("{"):
                self.lines.put(json.loads(text))

    def wait(self, event: str) -> Line:
        """Return the next line of an event; the others before it are passed over."""
        while True:
            line = self.lines.get(timeout=PATIENCE)
            if line["event"].startswith(event):
                return line

    def until_quiet(self) -> list[Line]:
        """Return the syncs up to where nothing comes any more."""
        found = []
        while True:
            try:
                found.append(self.lines.get(timeout=QUIET))
            except queue.Empty:
                return [line for line in found if line["event"] == "synced"]

    def used(self) -> Used:
        return Used.of(self.process.pid)

    def memory(self, name: str) -> float:
        """Return the MB of a line of proc_pid_status(5), such as ``VmRSS``."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


class Commits:
    """When nf_tables has carried out transactions, in seconds since 1970."""

    def __init__(self) -> None:
        self._socket = THIS_MACHINE.netlink(NETLINK_NETFILTER)
        self._socket.enable(NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        self._times: list[float] = []
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        """Take in what the kernel tells; the last message of each transaction is its generation."""
        while True:
            try:
                datagram = self._socket.receive()
            except OSError:  # nothing for some seconds, or too much at once
                continue
            now = time.time()
            if any(kind & 0xFF == NFT_MSG_NEWGEN for kind, _, _, _ in messages(datagram)):
                self._times.append(now)

    def take(self) -> list[float]:
        """Return the times of those that were not taken yet."""
        times, self._times = self._times, []
        return times


@contextmanager
def serving(services: int, endpoints: int) -> Iterator[Server]:
    """Start an API server with so many Services."""
    command = [sys.executable, "-m", "tests.bench.api_server", str(services), str(endpoints)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
        process.stdin.close()


@contextmanager
def running(config: Path, *options: object) -> Iterator[Run]:
    """Run svcnet with a configuration until the end of the block; its rules stay."""
    command = [sys.executable, "-m", "svcnet", "run", "--node", "node-a"]
    command += ["--config", str(config), *map(str, options)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        run = Run(process)
        reader = threading.Thread(target=run.read)
        reader.start()
        try:
            yield run
        finally:
            process.terminate()
            reader.join()


def measure(mode: str, option: str, services: int, endpoints: int, events: int) -> Figures:
    """Return the figures of one mode and size."""
    with tempfile.TemporaryDirectory() as temporary, serving(services, endpoints) as server:
        folder = Path(temporary)
        config = folder / "config.yaml"
        config.write_text(CONFIG.format(mode=mode, pace=PACES["minSyncPeriod 0"]))
        manifests = folder / "cluster.json"
        manifests.write_bytes(clusters.as_json(services, endpoints))
        figures: Figures = {"cold, from manifests": from_manifests(config, option, manifests)}
        kubeconfig = write_kubeconfig(folder, f"http://127.0.0.1:{server.port}")
        begun = time.time()
        with running(config, option, "--kubernetes", "--kubeconfig", kubeconfig) as run:
            listed = run.wait("EndpointSlice: synced")
            figures["cold"] = {"listed after, s": round(at(listed) - begun, 2), **cold(run, begun)}
            commits = Commits() if mode == "nftables" else None
            for name, how in CHANGES.items():
                figures[name] = one_by_one(run, server, events, how, commits)
            for period, pace in PACES.items():
                config.write_text(CONFIG.format(mode=mode, pace=pace))
                run.process.send_signal(signal.SIGHUP)
                run.wait("the input was read again")
                figures[f"{A_SECOND} events a second, {period}"] = many(run, server)
                figures.setdefault("MB in the middle", round(run.memory("VmRSS")))
            figures["MB in the end"] = round(run.memory("VmRSS"))
    return figures


def from_manifests(config: Path, option: str, manifests: Path) -> Figures:
    """Return what a start takes that reads a file, in a network namespace of its own."""
    with own_namespace():
        begun = time.time()
        with running(config, option, manifests) as run:
            return cold(run, begun)


def cold(run: Run, begun: float) -> Figures:
    """Return what a start takes, from the process's own to the rules of all Services."""
    synced = run.wait("synced")
    time.sleep(1)
    used = run.used()
    return {
        "rules after, s": round(at(synced) - begun, 2),
        "stages, s": {name: round(s, 2) for name, s in synced["stages"].items()},
        "own CPU, s": round(used.own, 2),
        "children's CPU, s": round(used.children, 2),
        "MB": round(run.memory("VmRSS")),
        "MB at the peak": round(run.memory("VmHWM")),
    }


def one_by_one(run: Run, server: Server, events: int, how: str, commits: Commits | None) -> Figures:
    """Return what an event takes that comes to a machine at rest."""
    run.until_quiet()
    used = run.used()
    took: dict[str, list[float]] = {}
    for _ in range(events):
        if commits is not None:
            commits.take()
        (changed,), wrote = server.change(1, how)
        synced = run.wait("synced")
        stages = synced["stages"]
        took.setdefault("all", []).append(at(synced) - changed)
        others = sum(stages.get(stage, 0) for stage in WRITING)
        took.setdefault("own", []).append(at(synced) - changed - others)
        for name, seconds in stages.items():
            took.setdefault(name, []).append(seconds)
        time.sleep(0.05)
        if commits is not None:
            kernel = commits.take()[-1]
            took.setdefault("until the kernel has it", []).append(kernel - changed)
            took.setdefault("of it the server's own", []).append(wrote - changed)
    ms = {name: round(median(values) * 1000, 2) for name, values in took.items()}
    least = {name: round(min(values) * 1000, 2) for name, values in took.items()}
    return {"median, ms": ms, "least, ms": least, **run.used().since(used, events)}


def many(run: Run, server: Server) -> Figures:
    """Return what events take that come at a steady pace."""
    run.until_quiet()
    used, events = run.used(), A_SECOND * LOAD_SECONDS
    times, _ = server.change(events, interval=1 / A_SECOND)
    syncs = run.until_quiet()
    found = run.used().since(used, events)
    return {
        **found,
        "own, % of a core": round(found["own CPU, ms"] * A_SECOND / 10, 1),
        "syncs": len(syncs),
        "last rule after last event, s": round(at(syncs[-1]) - times[-1], 2),
    }


def at(line: Line) -> float:
    """Return when a line was written, in seconds since 1970."""
    return datetime.fromisoformat(line["time"]).timestamp()


if __name__ == "__main__":
    with own_namespace():
        services, endpoints, events = map(int, sys.argv[3:])
        found = measure(sys.argv[1], f"--{sys.argv[2]}", services, endpoints, events)
        print(json.dumps(found), flush=True)
