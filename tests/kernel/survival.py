"""A Service that nobody touches, used all the while, on a node where svcnet comes and goes.

The node of the small cluster follows an API server. Other Services change without end.
Whoever meets a gap in the untouched one's rules hears of it: its packets go to `outside`,
which answers too, or they are refused.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field

from svcnet.cli import main
from tests.kernel.api import API, api, endpoints, node, service
from tests.kernel.changes import for_a_node
from tests.kernel.chaos import CONFIG, until
from tests.kernel.ipvs.netlink import own_namespace
from tests.kernel.machines import Machine
from tests.kernel.netns import CLIENT, CLUSTER_IP, HOST, NODE, POD1, POD2, POD3, Cluster
from tests.kernel.nursery import Nursery, Run, nursery

UNTOUCHED = "untouched"
NODE_PORT = 30080
HELD = 4
CHANGING = 12
ANSWER_SECONDS = 10.0
"""Long enough for a machine that is busy: a gap shows by who answers, and by refusals."""


@define
class Traffic:
    """Clients of the untouched Service, each in a thread; ``wrong`` is what went wrong."""

    cluster: Cluster
    wrong: list[object] = field(factory=list)
    answers: Counter[str] = field(factory=Counter)
    _over: threading.Event = field(factory=threading.Event)

    def new_connections(self) -> None:
        """Connect again and again, from outside, to the cluster IP and to the node port."""
        for address, port in ((CLUSTER_IP.v4, 80), (NODE.v4, NODE_PORT)):
            self._attempt("client", CLIENT.v4, address, port, "TCP")

    def held_connections(self) -> None:
        """Have bytes go both ways on connections that are never closed."""
        for hold in range(HELD):
            fine = self._agent("pod2")("exchange", hold=hold, timeout=ANSWER_SECONDS)
            self._count("held" if fine else ["lost", hold])

    def datagrams(self) -> None:
        """Ask by UDP again and again, each time from another port."""
        self._attempt("pod1", POD1.v4, CLUSTER_IP.v4, 53, "UDP")

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Have all clients at work for a while; none of them may have met a gap."""
        for hold in range(HELD):
            to = {"source": POD2.v4, "destination": CLUSTER_IP.v4, "port": 80}
            answer = self._agent("pod2")("open", hold=hold, timeout=ANSWER_SECONDS, **to)
            self._count(answer)
        work = (self.new_connections, self.held_connections, self.datagrams)
        threads = [threading.Thread(target=self._again, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._agent("pod2")("close")
        assert not self.wrong, self.wrong[:20]

    def _again(self, work: Callable[[], None]) -> None:
        while not self._over.is_set():
            work()

    def _attempt(self, name: str, source: str, address: str, port: int, protocol: str) -> None:
        to = {"source": source, "destination": address, "port": port, "protocol": protocol}
        ask = self._agent(name)
        for answer in ask("attempt", count=5, sequential=True, timeout=ANSWER_SECONDS, **to):
            self._count(answer)

    def _agent(self, name: str) -> Callable[..., Any]:
        return self.cluster.agents[name]

    def _count(self, answer: str | list[Any]) -> None:
        """Take an answer: from an endpoint it is fine."""
        if isinstance(answer, str):
            self.answers[answer] += 1
        elif answer[0] == "reply" and answer[1].startswith("pod"):
            self.answers[f"{answer[1]} {answer[2]}"] += 1
        else:
            self.wrong.append(answer)


@define
class Node:
    """The small cluster's node, and the API server that it follows."""

    folder: Path
    machine: Machine
    cluster: Cluster
    server: API
    nursery: Nursery
    random: Random = field(factory=lambda: Random(1))
    _runs: int = 0

    def start(self) -> Run:
        """Start svcnet."""
        self._runs += 1
        where = ("--kubernetes", "--kubeconfig", self.server.kubeconfig(self.folder))
        log = self.folder / f"log-{self._runs}"
        return self.nursery.start(log, "run", *where, *self._options())

    def started(self) -> Run:
        """Start svcnet, and wait until the machine is as it wants it."""
        run = self.start()
        run.wait_for_words('"event":"synced"')
        return run

    def change(self) -> None:
        """Have another Service, or its endpoints, change, come or go."""
        number = self.random.randrange(CHANGING)
        name, address = f"other-{number}", f"10.96.2.{number}"
        what = self.random.random()
        if what < 0.3:
            port = self.random.randint(1000, 1003)
            self.server.put(service(name, address, port=port))
        elif what < 0.9:
            addresses = (f"10.244.3.{n}" for n in self.random.sample(range(9), 3))
            self.server.put(endpoints(name, *addresses))
        elif name in self._names():
            self.server.delete("Service", name)

    def _names(self) -> list[str]:
        objects = self.server.call(lambda server: server.objects())
        return [item["metadata"]["name"] for item in objects if item["kind"] == "Service"]

    def is_right(self) -> None:
        """The machine must be, or come to be, as a cold apply makes one."""
        objects = self.server.call(lambda server: for_a_node(server.objects()))
        dump = self.folder / "objects.json"
        dump.write_text(json.dumps(objects))
        with own_namespace():
            cold = self.machine.cold(dump, self._options())
        until(lambda: self.machine.state() == cold)
        now = self.machine.state()
        difference = "\n".join(unified_diff(cold, now, "cold", "now", lineterm="", n=0))
        assert not difference, difference

    def _options(self) -> tuple[object, ...]:
        config, host = self.folder / "config.yaml", self.folder / "host.yaml"
        # Once: a run that has just begun reads them while others are asked for.
        if not host.exists():
            config.write_text(CONFIG)
            host.write_text(json.dumps({"addresses": HOST.addresses}))
        here = ("--node", "n1", "--config", config, "--host", host)
        return (*here, "--family", "ipv4", *self.machine.options)


@contextmanager
def small_node(folder: Path, machine: Machine, cluster: Cluster) -> Iterator[Node]:
    """Have the node follow a server with the untouched Service; all is taken away at the end.

    And at the beginning, since the cluster is that of other tests as well.
    """

    def clear() -> None:
        # As long as this is on, cleanup leaves what keeps neighbours from 127.0.0.1.
        Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("0")
        main(["cleanup", "--variant", machine.variant], standalone_mode=False)

    with cluster.visiting("node"), api() as server:
        clear()
        ports = [
            {"name": "http", "port": 80, "targetPort": 8080, "nodePort": NODE_PORT},
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353},
        ]
        server.put(node("n1", NODE.v4))
        server.put(service(UNTOUCHED, CLUSTER_IP.v4, type="NodePort", ports=ports))
        found = endpoints(UNTOUCHED)
        named = [{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "UDP"}]
        placed = [
            {"addresses": [pod.v4], "nodeName": name}
            for pod, name in ((POD1, "n1"), (POD2, "n1"), (POD3, "n2"))
        ]
        server.put({**found, "ports": named, "endpoints": placed})
        try:
            # Whoever keeps the rules has ended before they are taken away.
            with nursery() as runs:
                yield Node(folder, machine, cluster, server, runs)
        finally:
            clear()


def kill_again_and_again(made: Node, kills: int, longest: float = 0.3) -> None:
    """Have svcnet be killed at random moments while other Services change; nobody notices."""
    traffic = Traffic(made.cluster)
    first = made.started()
    with traffic.flowing():
        first.kill()
        for _ in range(kills - 1):
            run = made.start()
            end = time.monotonic() + made.random.uniform(0, longest)
            while time.monotonic() < end:
                made.change()
                time.sleep(made.random.uniform(0, 0.03))
            run.kill()
        last = made.start()
        made.is_right()
    last.end()
    # Of each of three endpoints both ports have answered, and held connections have.
    assert len(traffic.answers) == 7, traffic.answers


def restart_again_and_again(made: Node, restarts: int) -> None:
    """Have svcnet end and begin, with a change now and then meanwhile; only that is written.

    What has been used keeps its counters: it was not made anew.
    """
    traffic = Traffic(made.cluster)
    run = made.started()
    with traffic.flowing():
        # The kernel brings the counters of IPVS up to date every two seconds.
        assert until(lambda: any(made.machine.counters().values()))
        for number in range(restarts):
            before = made.machine.counters()
            run.end()
            changed = number % 2 == 1
            if changed:
                made.server.put(service("other", f"10.96.2.{number}"))
                made.server.put(endpoints("other", f"10.244.3.{number}"))
            run = made.started()
            made.is_right()
            after = made.machine.counters()
            used = {name: count for name, count in before.items() if count}
            assert used
            assert all(after.get(name, -1) >= count for name, count in used.items())
            told = run.log.read_text()
            assert changed or "nothing" in told, told
    run.end()


def kill_a_proxy_again_and_again(made: Node, kills: int) -> None:
    """Have svcnet be killed where it proxies itself: its connections end, and new ones work after.

    Until the next run begins its ports are nobody's, and clients are refused.
    """
    traffic = Traffic(made.cluster)
    run = made.started()
    for _ in range(kills):
        end = time.monotonic() + made.random.uniform(0, 0.2)
        while time.monotonic() < end:
            made.change()
        run.kill()
        run = made.started()
        traffic.new_connections()
        traffic.datagrams()
        assert not traffic.wrong, traffic.wrong
    made.is_right()
    run.end()
