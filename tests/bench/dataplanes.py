"""What a way to serve costs at a size: load, changes, first packets, connections, and memory.

A program, which guests run too, see :mod:`tests.kernel.uml.guest`. It takes the name of a way, and
numbers of Services and of endpoints each, and prints a JSON object a line: what it has found since
the line before. The kernel ends it when one of these takes longer than `LIMIT`. It works in a
network namespace of its own. Times of a load and of changes are those that ``svcnet run`` has: an
adapter is given graphs.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from attrs import field, frozen

import svcnet.modes
from svcnet.compiler import NodeView, compile_state, node_view, recompile
from svcnet.executors.lock import lock
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState, Endpoint, EndpointSlice, Service
from svcnet.reconciler import Keeper
from svcnet.testing import make_node, make_service, make_slice
from tests.bench.clusters import address
from tests.bench.userspace_load import Load, server
from tests.kernel.ipvs.netlink import own_namespace

NODE = "192.0.2.10"
NOBODY = "203.0.113.9"
VIP_PORT, PORT = 80, 8080
KIB = 1024 / 1e6
"""The MB of what the kernel counts."""
LIMIT = 60
"""Seconds that a load may take, and each pair of changes."""
ROUNDS = 20
BUDGET = 2.0
"""After so many seconds no further round of one kind of change begins."""
FLOWS = 2_000
SECONDS, AT_ONCE = 1, 16
"""How long new connections are made, and how many are under way."""
QUIET, SOON = 0.5, 20
"""The kernel takes old tables apart by itself: it is done when its memory is the same so many
seconds later, and is waited for no longer than this."""

WIRE = f"""\
link set lo up
link add out type veth peer name far
link set far up
link set out up
addr add {NODE}/24 dev out
neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out
route add default via 192.0.2.1
"""
"""A node whose packets leave it, and get nowhere."""


@frozen
class Way:
    """A mode with its options, under the name that pictures have."""

    name: str
    mode: str
    given: Mapping[str, str] = field(factory=dict)
    in_guest: bool = False
    by_netlink: bool = True


def _ways() -> Iterator[Way]:
    yield Way("nftables, as kube-proxy", "nftables", {"layout": "kube-proxy"})
    yield Way("nftables flat, by nft", "nftables", {"layout": "flat"}, by_netlink=False)
    yield Way("nftables flat, by netlink", "nftables", {"layout": "flat"})
    for variant in ("nft", "legacy"):
        for name, layout in ((", as kube-proxy", "kube-proxy"), (" flat", "flat")):
            given = {"variant": variant, "layout": layout}
            yield Way(f"iptables-{variant}{name}", "iptables", given)
    beside = {"variant": "legacy", "layout": "kube-proxy"}
    yield Way("guest: iptables-legacy, as kube-proxy", "iptables", beside, in_guest=True)
    yield Way("guest: ipvs", "ipvs", {"variant": "legacy"}, in_guest=True)


WAYS = tuple(_ways())


@frozen
class Cluster:
    """A cluster of Services that are alike, and its graph."""

    services: int
    endpoints: int
    state: ClusterState
    view: NodeView
    graph: RuleGraph

    @classmethod
    def of(cls, services: int, endpoints: int, mode: svcnet.modes.Mode[Any, Any]) -> Cluster:
        made: list[Any] = [make_node("node-a", NODE)]
        for number in range(services):
            made += [service(number), slice_of(number, endpoints_of(number, endpoints))]
        state = ClusterState().apply(made)
        view = node_view(state, rules=mode.settings().rules)
        return cls(services, endpoints, state, view, compile_state(state, view))


def service(number: int) -> Service:
    return make_service(f"svc-{number:05d}", vip(number))


def vip(number: int) -> str:
    return address("10", 96, number)


def endpoints_of(number: int, count: int) -> list[Endpoint]:
    """Return a Service's endpoints, the first of which is on this node."""
    return [
        Endpoint(
            (address("10", 128, number * count + n),), node_name=f"node-{n}" if n else "node-a"
        )
        for n in range(count)
    ]


def slice_of(number: int, endpoints: Sequence[Endpoint]) -> EndpointSlice:
    return make_slice(f"svc-{number:05d}", *endpoints)


class Machine:
    """A mode at work in this network namespace, and how long what it did took."""

    def __init__(self, way: Way, cluster: Cluster) -> None:
        mode = svcnet.modes.get(way.mode)
        settings = mode.settings(given=way.given)
        self.keeper = Keeper(mode.executor(settings=settings).adapter("IPv4"))
        self.view, self.state, self.graph = cluster.view, cluster.state, cluster.graph

    def load(self) -> float:
        """Return the seconds that a load takes, from a graph."""
        begun = time.perf_counter()
        self.keeper.whole(self.graph)
        return time.perf_counter() - begun

    def change(self, put: Sequence[Any], gone: Sequence[Any] = ()) -> float:
        """Return the milliseconds from an event to the kernel."""
        begun = time.perf_counter()
        state = self.state.apply(put, gone)
        names = self.state.services_of(put) | self.state.services_of(gone)
        graph, changed = recompile(self.graph, self.state, state, self.view, names)
        done = self.keeper.step(graph, changed)
        end = time.perf_counter()
        assert done.kind == "delta", done
        self.state, self.graph = state, graph
        return 1000 * (end - begun)


def changes(machine: Machine, cluster: Cluster) -> Iterator[dict[str, float]]:
    """Yield the medians of each kind of change, pair by pair, of a Service in the middle."""
    number = cluster.services // 2
    whole = endpoints_of(number, cluster.endpoints)
    middle = cluster.endpoints // 2
    before, after = whole[:middle], whole[middle + 1 :]
    other = Endpoint(("10.250.0.1",), node_name=whole[middle].node_name)
    all_of_it = [service(number), slice_of(number, whole)]

    def endpoints(*those: Endpoint) -> Callable[[], float]:
        return lambda: machine.change([slice_of(number, those)])

    pairs: tuple[dict[str, Sequence[Callable[[], float]]], ...] = (
        {"endpoint replaced": [endpoints(*before, other, *after), endpoints(*whole)]},
        {
            "endpoint removed": [endpoints(*before, *after)],
            "endpoint added": [endpoints(*whole)],
        },
        {
            "Service removed": [lambda: machine.change([], all_of_it)],
            "Service added": [lambda: machine.change(all_of_it)],
        },
    )
    for pair in pairs:
        times: dict[str, list[float]] = {kind: [] for kind in pair}
        end = time.monotonic() + BUDGET
        for _ in range(ROUNDS):
            for kind, turns in pair.items():
                times[kind] += [turn() for turn in turns]
            if time.monotonic() > end:
                break
        yield {f"{kind}, ms": median(taken) for kind, taken in times.items()}


def first_packet(addresses: Sequence[str]) -> float:
    """Return the median of the microseconds in which a connection's first packet is sent.

    Each of many connections goes to one of some addresses by chance; nobody answers in time. The
    kernel goes through all rules in the call.
    """
    chosen = random.Random(7)
    found = []
    for _ in range(FLOWS):
        where = (chosen.choice(addresses), VIP_PORT)
        with socket.socket() as end:
            end.setblocking(False)
            begun = time.perf_counter_ns()
            end.connect_ex(where)
            found.append((time.perf_counter_ns() - begun) / 1000)
    return median(found)


def connections(load: Load, where: str) -> float:
    """Return how many connections a second are made, each of which has a byte go there and back."""
    return load.run("connect", where, SECONDS, AT_ONCE)["a second"]


@contextmanager
def network(cluster: Cluster) -> Iterator[Load]:
    """Give this namespace a way out, and the addresses of the last Service's endpoints.

    Somebody answers there, and yielded is who asks.
    """
    ip(WIRE)
    own = endpoints_of(cluster.services - 1, cluster.endpoints)
    ip("\n".join(f"addr add {one.addresses[0]}/32 dev lo" for one in own))
    with tempfile.TemporaryDirectory() as folder:
        load = Load.compiled(Path(folder))
        with server([load.program, "serve", f"0.0.0.0:{PORT}"], PORT):
            yield load


def nothing_else(way: Way) -> AbstractContextManager[object]:
    """Return what has the machine seem unable to take batches, where a way is by nft alone."""
    if way.by_netlink:
        return nullcontext()
    return patch("svcnet.executors.nftables.writer.takes_batches", lambda _: False)


def ip(commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)


def kernel_memory() -> float:
    """Return the MB that the kernel has in use for itself, as far as rules may be in it.

    See proc_meminfo(5). What it could give back, such as what it remembers of files, is left out.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (values["SUnreclaim"] + values["VmallocUsed"] + values["Percpu"]) * KIB


def quiet_kernel_memory() -> float:
    """Return the same when it has come to rest."""
    end = time.monotonic() + SOON
    found = kernel_memory()
    while time.monotonic() < end:
        time.sleep(QUIET)
        before, found = found, kernel_memory()
        if abs(found - before) < 1:
            break
    return found


def program_memory(name: str) -> float:
    """Return the MB of this process in a line of proc_pid_status(5), such as ``VmRSS``."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * KIB


def largest_process() -> float:
    """Return the MB that this process or a command of it had resident at its peak.

    A command has that of who starts it to begin with, in getrusage(2), so that less is never seen.
    """
    commands = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KIB
    return max(commands, program_memory("VmHWM"))


def measure(way: Way, services: int, endpoints: int) -> Iterator[dict[str, Any]]:
    """Yield all figures of one way at one size."""
    cluster = Cluster.of(services, endpoints, svcnet.modes.get(way.mode))
    with (
        own_namespace(),
        network(cluster) as load,
        nothing_else(way),
        lock("IPv4", keeps=True),
    ):
        yield {
            "kernel": os.uname().release,
            "first packet without rules, us": first_packet([NOBODY]),
            "connections a second without rules": connections(
                load, f"{address('10', 128, services * endpoints - 1)}:{PORT}"
            ),
        }
        machine = Machine(way, cluster)
        before = quiet_kernel_memory()
        yield {}
        yield {"load, s": machine.load()}
        yield {"kernel, MB": quiet_kernel_memory() - before, "program, MB": program_memory("VmRSS")}
        yield from changes(machine, cluster)
        yield {"largest process, MB": largest_process()}
        yield {
            "first packet, us": first_packet([vip(n) for n in range(services)]),
            "first packet to nobody, us": first_packet([NOBODY]),
        }
        yield {"connections a second": connections(load, f"{vip(services - 1)}:{VIP_PORT}")}


def main(name: str, services: int, endpoints: int) -> None:
    (way,) = [each for each in WAYS if each.name == name]
    signal.alarm(LIMIT)
    for found in measure(way, services, endpoints):
        print(json.dumps(found), flush=True)
        signal.alarm(LIMIT)
    signal.alarm(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
