"""The proxy of a node and IP family: it holds the ports, and has engines serve them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from select import EPOLLHUP
from typing import TypeVar

from attrs import define

from svcnet.errors import ApplyError
from svcnet.renderers.userspace.table import (
    ListenerName,
    ProxiedPort,
    ProxyTable,
    Role,
    ServicePortName,
)
from svcnet.servers.userspace.budget import FileBudget
from svcnet.servers.userspace.engine import UDP_IDLE_SECONDS, Engine, ServicePortChange
from svcnet.servers.userspace.limits import files_to_share
from svcnet.servers.userspace.loop import EventLoop
from svcnet.servers.userspace.sockets import ANY, bind
from svcnet.servers.userspace.statistics import (
    ProxySnapshot,
    Refusals,
    Statistics,
    total,
    total_refusals,
)
from svcnet.servers.userspace.workers import Worker

Value = TypeVar("Value")

GRACE_SECONDS = 1.0
"""How long a listener that went still serves: connections that are on their way must not fail."""


def serve(proxies: Sequence[Proxy]) -> None:
    """Serve proxies that share one loop, until each of them has ended.

    Raises ApplyError when a worker process of one is lost; all of them end then.
    """
    loop = proxies[0].loop
    serving = set(proxies)
    failures: list[ApplyError] = []

    def end(proxy: Proxy, failure: ApplyError | None) -> None:
        serving.discard(proxy)
        failures.extend([failure] if failure else [])
        if failure or not serving:
            loop.stop()

    for proxy in proxies:
        proxy.on_end = partial(end, proxy)
    try:
        loop.run()
    finally:
        for proxy in proxies:
            proxy.release()
        loop.release()
    if failures:
        raise failures[0]


@define(eq=False)
class BoundPort:
    """A proxy port that is held. ``leaving`` is set while it serves out its grace."""

    port: int
    leaving: object | None = None


class Proxy:
    """A userspace proxy that serves what a table says.

    The ports are bound at once, in the network namespace of the calling thread; ``ports``
    tells which. :meth:`run` serves until :meth:`stop` is called. The table may change
    all the while (:meth:`update`): what is the same before and after is not touched.

    `address` is the one to listen on, by default any. A port of the table that is taken is
    replaced by the next free one of the table's range. `udp_idle` is how many
    seconds a flow of datagrams may be silent. `workers` is the number of processes, each
    with a share of the connections, and a `budget` of its own. Proxies of one process share
    that, and can share a `loop`.

    Raises ApplyError when no port can be had.
    """

    def __init__(
        self,
        table: ProxyTable,
        *,
        address: str | None = None,
        udp_idle: float = UDP_IDLE_SECONDS,
        budget: FileBudget | None = None,
        workers: int = 1,
        loop: EventLoop | None = None,
    ) -> None:
        self._address = address or ANY[table.family]
        self._bound: dict[ListenerName, BoundPort] = {}
        self._unwanted: set[ListenerName] = set()
        self._taken: set[tuple[str, int]] = set()
        self._table = ProxyTable(table.settings)
        self._draining: set[Engine | Worker] = set()
        self.on_end: Callable[[ApplyError | None], None] = lambda _failure: None
        self.loop = loop or EventLoop()
        own = budget or FileBudget(files_to_share())

        def make_engine(loop: EventLoop, budget: FileBudget | None = None) -> Engine:
            # A worker's is made in its own process, which has its own files.
            mine = budget or FileBudget(files_to_share(), own.most_flows)
            return Engine(loop, table.family, udp_idle=udp_idle, budget=mine)

        self._workers: list[Worker] = []
        for _ in range(workers - 1):
            self._workers.append(Worker(make_engine, self._workers))
        self._engine = make_engine(self.loop, own)
        for worker in self._workers:
            self.loop.watch(worker.fileno(), EPOLLHUP, self._lose)
        self._follow(table)

    @property
    def table(self) -> ProxyTable:
        """The table that is in force, with the ports that the proxy has."""
        return self._table

    @property
    def ports(self) -> Mapping[ListenerName, int]:
        """The proxy port of each listener of the table."""
        return self._table.ports

    def run(self) -> None:
        """Serve until :meth:`stop`. Raises ApplyError when a worker process is lost."""
        serve([self])

    def update(
        self,
        table: ProxyTable,
        names: Iterable[ServicePortName] | None = None,
        *,
        hold: bool = False,
    ) -> ProxyTable:
        """Follow `table`; return it with the proxy's ports once it is in force.

        `names`, where the caller knows them, are the only service ports that may differ from
        the table before; the cost is then theirs and not the table's.
        Listeners that the table has no more serve on for a moment; with `hold` until
        :meth:`let_go` and a moment. For any thread but the one that serves. Raises ApplyError
        when no port can be had for a new listener; what was served before is then still
        served. So it does when the proxy has ended.
        """
        return self._call(lambda: self._follow(table, names, hold=hold))

    def let_go(self) -> None:
        """Hear that nothing leads any more to listeners that the table has not.

        For any thread but the one that serves. Raises ApplyError when the proxy has ended.
        """
        self._call(self._let_go)

    def statistics(self) -> Statistics:
        """Return what was counted; for any thread but the one that serves."""
        return self.loop.call(self.count).result()

    def snapshot(self) -> ProxySnapshot:
        """Return what was counted with the family and the ports; for other threads."""
        return self.loop.call(
            lambda: ProxySnapshot(self._table.family, self.count(), self._table.ports)
        ).result()

    def count(self) -> Statistics:
        """Return what was counted; for the thread that serves."""
        workers = [worker.statistics() for worker in self._workers]
        return total([self._engine.statistics(), *workers])

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        """Return what there was no room for. Raises ApplyError when the proxy has ended.

        For any thread but the one that serves.
        """
        return self._call(self._refusals)

    def stop(self, drain: float = 0.0) -> Future[None]:
        """Take no new connections, and end when those that are open have, or after `drain` s."""
        return self.loop.call(lambda: self._drain(drain))

    def _call(self, work: Callable[[], Value]) -> Value:
        try:
            return self.loop.call(work).result()
        except CancelledError:
            raise ApplyError("the proxy has ended") from None

    def _refusals(self) -> Mapping[ServicePortName, Refusals]:
        workers = [worker.refusals() for worker in self._workers]
        return total_refusals([self._engine.refusals(), *workers])

    def _drain(self, seconds: float) -> None:
        if not self._draining:
            self._draining = {self._engine, *self._workers}
            for worker in self._workers:
                self.loop.rehandle(worker.fileno(), EPOLLHUP, partial(self._worker_ended, worker))
        for worker in self._workers:
            if worker in self._draining:
                with suppress(ApplyError):  # it is ending already
                    worker.drain(seconds)
        self._engine.drain(seconds, lambda: self._end(self._engine))

    def _worker_ended(self, worker: Worker, _mask: int) -> None:
        self.loop.unwatch(worker.fileno())
        self._end(worker)

    def _end(self, part: Engine | Worker) -> None:
        self._draining.discard(part)
        if not self._draining:
            self.on_end(None)

    def _lose(self, _mask: int) -> None:
        self.on_end(ApplyError("a worker process of the proxy has ended: the proxy stops"))

    def release(self) -> None:
        """End every connection that is left, and wait for the worker processes."""
        self._engine.release()
        for worker in self._workers:
            self.loop.unwatch(worker.fileno())
            worker.hang_up()
        for worker in self._workers:
            worker.wait()

    def _follow(
        self,
        table: ProxyTable,
        names: Iterable[ServicePortName] | None = None,
        *,
        hold: bool = False,
    ) -> ProxyTable:
        before, after = self._table.services, table.services
        looked_at = {*before, *after} if names is None else set(names)
        wanted = [after[name] for name in looked_at if name in after]
        changed = [config for config in wanted if differ(before.get(config.name), config)]
        fresh = self._bind(table, changed)
        try:
            for number, worker in enumerate(self._workers, start=1):
                worker.apply([_change(config, fresh, number) for config in changed])
            self._engine.apply([_change(config, fresh, 0) for config in changed])
            self._steer(changed)
        except OSError as error:
            raise ApplyError(f"the proxy cannot follow: {error.strerror}") from None
        gone = [before[name] for name in looked_at if name in before and name not in after]
        for config in (*changed, *gone):
            self._retire(before.get(config.name), after.get(config.name))
        if not hold:
            self._let_go()
        self._table = table.with_ports(self._ports(changed, gone))
        return self._table

    def _bind(
        self, table: ProxyTable, changed: Sequence[ProxiedPort]
    ) -> Mapping[ListenerName, list[socket.socket]]:
        """Return the sockets of listeners that are new, one for each process."""
        fresh: dict[ListenerName, list[socket.socket]] = {}
        bound: dict[ListenerName, BoundPort] = {}
        try:
            for config in changed:
                for name in _listeners(config):
                    if name not in self._bound:
                        port, fresh[name] = self._find(table, name)
                        bound[name] = BoundPort(port)
        except ApplyError:
            for name, held in bound.items():
                self._give_back(name, held.port)
            for sock in (sock for sockets in fresh.values() for sock in sockets):
                sock.close()
            raise
        self._bound |= bound
        return fresh

    def _find(self, table: ProxyTable, name: ListenerName) -> tuple[int, list[socket.socket]]:
        """Return the first free port from the table's on, and sockets bound to it."""
        protocol, count = name.service_port.protocol, len(self._workers) + 1
        for port in table.choice.upwards(table.ports[name]):
            if (protocol, port) in self._taken:
                continue
            try:
                found = bind(table.family, protocol, self._address, port, count)
            except OSError as error:
                raise ApplyError(f"{name}: no socket for port {port}: {error.strerror}") from None
            if found:
                self._taken.add((protocol, port))
                return port, found
        raise ApplyError(f"{name}: no port of {table.choice} is free")

    def _steer(self, changed: Sequence[ProxiedPort]) -> None:
        """Have all connections of a client come to the process that knows its backend."""
        if self._workers:
            for config in changed:
                for listener in config.listeners:
                    if listener.answer != "refuse":
                        name = ListenerName(config.name, listener.role)
                        count = len(self._workers) + 1 if config.affinity else 0
                        self._engine.steer(name, count)

    def _retire(self, old: ProxiedPort | None, new: ProxiedPort | None) -> None:
        """Note which listeners the table has no more, and which it has again."""
        wanted = set(_listeners(new))
        for listener in wanted:
            self._bound[listener].leaving = None
        self._unwanted -= wanted
        self._unwanted.update(found for found in _listeners(old) if found not in wanted)

    def _let_go(self) -> None:
        """Let listeners that the table has no more go in a while, unless they come again."""
        token = object()
        leaving = [name for name in self._unwanted if self._bound[name].leaving is None]
        for name in leaving:
            self._bound[name].leaving = token
        if leaving:
            self.loop.after(GRACE_SECONDS, partial(self._release, leaving, token))

    def _release(self, leaving: Sequence[ListenerName], token: object) -> None:
        gone = [n for n in leaving if n in self._bound and self._bound[n].leaving is token]
        changes = [ServicePortChange(name.service_port, None, closed=(name.role,)) for name in gone]
        with suppress(ApplyError):  # a lost worker is heard of by other ways
            for worker in self._workers:
                worker.apply(changes)
        self._engine.apply(changes)
        self._unwanted -= set(gone)
        for name in gone:
            self._give_back(name, self._bound.pop(name).port)

    def _give_back(self, name: ListenerName, port: int) -> None:
        self._taken.discard((name.service_port.protocol, port))

    def _ports(
        self, changed: Sequence[ProxiedPort], gone: Sequence[ProxiedPort]
    ) -> Mapping[ListenerName, int]:
        before = self._table.services
        ports = self._table.ports.mutate()
        for config in (*(before[c.name] for c in changed if c.name in before), *gone):
            for name in _listeners(config):
                del ports[name]
        for config in changed:
            for name in _listeners(config):
                ports[name] = self._bound[name].port
        return ports.finish()


def differ(one: ProxiedPort | None, other: ProxiedPort | None) -> bool:
    """Return whether two states of a service port differ; most are the same object."""
    return one is not other and one != other


def _listeners(config: ProxiedPort | None) -> list[ListenerName]:
    if config is None:
        return []
    return [ListenerName(config.name, listener.role) for listener in config.listeners]


def _change(
    config: ProxiedPort, fresh: Mapping[ListenerName, list[socket.socket]], number: int
) -> ServicePortChange:
    sockets: dict[Role, socket.socket] = {
        name.role: fresh[name][number] for name in _listeners(config) if name in fresh
    }
    return ServicePortChange(config.name, config, sockets)
