"""What a way to serve costs at a size: load, one change, a connection, and memory.

A program, which guests run too, see :mod:`tests.kernel.uml.guest`. It takes the name of a way, and
numbers of Services and of endpoints each, and prints a JSON value. It works in a network namespace
of its own. Times of a load and of changes are those that ``svcnet run`` has: an adapter is given
graphs. A connection is one to a Service whose endpoints are this machine's own addresses.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import Process
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
from tests.kernel.ipvs.netlink import own_namespace

NODE = "192.0.2.10"
VIP_PORT, PORT = 80, 8080
ROUNDS = 20
BUDGET = 3.0
"""After so many seconds no further round of one kind of change begins."""
CONNECTIONS = 3_000
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection at once, so that no port waits for anything."""


@frozen
class Way:
    """A mode with its options, under the name that pictures have."""

    name: str
    mode: str
    given: Mapping[str, str] = field(factory=dict)
    in_guest: bool = False
    by_netlink: bool = True


WAYS = (
    Way("nftables", "nftables", {"layout": "kube-proxy"}),
    Way("nftables flat, by nft", "nftables", {"layout": "flat"}, by_netlink=False),
    Way("nftables flat", "nftables", {"layout": "flat"}),
    Way("iptables-nft", "iptables", {"variant": "nft"}),
    Way("iptables-nft flat", "iptables", {"variant": "nft", "layout": "flat"}),
    Way("iptables-legacy", "iptables", {"variant": "legacy"}),
    Way("iptables-legacy flat", "iptables", {"variant": "legacy", "layout": "flat"}),
    Way("ipvs", "ipvs", {"variant": "legacy"}, in_guest=True),
)


@frozen
class Cluster:
    """A cluster of Services that are alike, its graph, and one more Service that may come."""

    services: int
    endpoints: int
    state: ClusterState
    view: NodeView
    graph: RuleGraph

    @classmethod
    def of(cls, services: int, endpoints: int, mode: svcnet.modes.Mode[Any, Any]) -> Cluster:
        made: list[Any] = [make_node("node-a", NODE)]
        for number in range(services):
            made += [service(number), slice_of(number, endpoints)]
        state = ClusterState().apply(made)
        view = node_view(state, rules=mode.settings().rules)
        return cls(services, endpoints, state, view, compile_state(state, view))


def service(number: int) -> Service:
    return make_service(f"svc-{number:05d}", vip(number))


def vip(number: int) -> str:
    return address("10", 96, number)


def slice_of(number: int, endpoints: int, instead: str = "") -> EndpointSlice:
    """Return a Service's slice; with `instead` the last endpoint has that address."""
    addresses = [address("10", 128, number * endpoints + n) for n in range(endpoints)]
    if instead:
        addresses[-1] = instead
    made = [
        Endpoint((each,), node_name="node-a" if n == 0 else f"node-{n}")
        for n, each in enumerate(addresses)
    ]
    return make_slice(f"svc-{number:05d}", *made)


class Machine:
    """A mode at work in this network namespace, and how long what it did took."""

    def __init__(self, way: Way, cluster: Cluster) -> None:
        mode = svcnet.modes.get(way.mode)
        settings = mode.settings(given=way.given)
        self.keeper = Keeper(mode.executor(settings=settings).adapter("IPv4"))
        self.view, self.state, self.graph = cluster.view, cluster.state, cluster.graph

    def load(self) -> float:
        begun = time.perf_counter()
        self.keeper.whole(self.graph)
        return time.perf_counter() - begun

    def change(self, put: Sequence[Any], gone: Sequence[Any] = ()) -> tuple[float, float]:
        """Return the milliseconds from an event to the kernel, and those of the step alone."""
        begun = time.perf_counter()
        state = self.state.apply(put, gone)
        names = self.state.services_of(put) | self.state.services_of(gone)
        graph, changed = recompile(self.graph, self.state, state, self.view, names)
        between = time.perf_counter()
        done = self.keeper.step(graph, changed)
        end = time.perf_counter()
        assert done.kind == "delta", done
        self.state, self.graph = state, graph
        return 1000 * (end - begun), 1000 * (end - between)


def changes(machine: Machine, cluster: Cluster) -> dict[str, dict[str, float]]:
    """Return the medians of each kind of change, in milliseconds."""
    number, count = cluster.services // 2, cluster.endpoints
    more = [service(cluster.services), slice_of(cluster.services, count)]
    turns: dict[str, list[Callable[[], tuple[float, float]]]] = {
        "endpoint replaced": [
            lambda: machine.change([slice_of(number, count, "10.250.0.1")]),
            lambda: machine.change([slice_of(number, count)]),
        ],
        "endpoint removed": [lambda: machine.change([slice_of(number, count - 1)])],
        "endpoint added": [lambda: machine.change([slice_of(number, count)])],
        "Service added": [lambda: machine.change(more)],
        "Service removed": [lambda: machine.change([], more)],
    }
    pairs = (("endpoint replaced",), ("endpoint removed", "endpoint added"))
    found: dict[str, dict[str, float]] = {}
    for kinds in (*pairs, ("Service added", "Service removed")):
        times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        end = time.monotonic() + BUDGET
        for _ in range(ROUNDS):
            for kind in kinds:
                times[kind] += [turn() for turn in turns[kind]]
            if time.monotonic() > end:
                break
        for kind, taken in times.items():
            events, steps = zip(*taken, strict=True)
            found[kind] = {"event, ms": median(events), "step, ms": median(steps)}
    return found


def connections(number: int) -> dict[str, float]:
    """Return what a connection to a Service takes, and how many there are a second."""
    where, taken = (vip(number), VIP_PORT), []
    begun = time.perf_counter()
    for _ in range(CONNECTIONS):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            before = time.perf_counter()
            client.connect(where)
            taken.append(time.perf_counter() - before)
    seconds = time.perf_counter() - begun
    return {"median, us": 1e6 * median(taken), "a second": CONNECTIONS / seconds}


@contextmanager
def network(cluster: Cluster) -> Iterator[None]:
    """Give this namespace a way out, and the addresses of the first and last Service's endpoints.

    Somebody answers there.
    """
    ip(f"link add out type veth peer name far\naddr add {NODE}/24 dev out\nlink set out up")
    ip("link set far up\nlink set lo up\nroute add default dev out")
    own = {0, cluster.services - 1}
    each = [address("10", 128, n * cluster.endpoints + k) for n in own for k in range(10)]
    ip("\n".join(f"addr add {one}/32 dev lo" for one in each))
    server = socket.create_server(("", PORT), backlog=4096)
    process = Process(target=answer, args=(server,), daemon=True)
    process.start()
    yield
    process.kill()
    process.join()
    server.close()


def nothing_else(way: Way) -> AbstractContextManager[object]:
    """Return what has the machine seem unable to take batches, where a way is by nft alone."""
    if way.by_netlink:
        return nullcontext()
    return patch("svcnet.executors.nftables.writer.takes_batches", lambda _: False)


def answer(server: socket.socket) -> None:
    while True:
        server.accept()[0].close()


def ip(commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)


def kernel_memory() -> float:
    """Return the MB that the kernel has in use for itself, as far as rules are in it."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (values["Slab"] + values["VmallocUsed"] + values["Percpu"]) / 1000


def own_memory() -> float:
    """Return the MB that are resident of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(way: Way, services: int, endpoints: int) -> dict[str, Any]:
    """Return all figures of one way at one size."""
    cluster = Cluster.of(services, endpoints, svcnet.modes.get(way.mode))
    with own_namespace(), network(cluster), nothing_else(way), lock("IPv4", keeps=True):
        machine = Machine(way, cluster)
        before, own = kernel_memory(), own_memory()
        figures: dict[str, Any] = {"way": way.name, "services": services, "endpoints": endpoints}
        figures["load, s"] = machine.load()
        figures["kernel, MB"] = kernel_memory() - before
        figures["own, MB"] = own_memory() - own
        figures |= changes(machine, cluster)
        figures["connection to the first"] = connections(0)
        figures["connection to the last"] = connections(services - 1)
    return figures


if __name__ == "__main__":
    (chosen,) = [each for each in WAYS if each.name == sys.argv[1]]
    print(json.dumps(measure(chosen, *map(int, sys.argv[2:]))), flush=True)
