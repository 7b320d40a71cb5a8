"""A node's proxies, one an IP family, that one thread serves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from svcnet.errors import ApplyError
from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import ProxyTable, ServicePortName
from svcnet.servers.userspace.budget import FileBudget
from svcnet.servers.userspace.engine import UDP_IDLE_SECONDS
from svcnet.servers.userspace.limits import files_to_share
from svcnet.servers.userspace.loop import EventLoop
from svcnet.servers.userspace.proxy import Proxy, serve
from svcnet.servers.userspace.sockets import ANY, LOOPBACK
from svcnet.servers.userspace.statistics import ProxySnapshot, Refusals, total_refusals


class NodeProxy:
    """What ``svcnet run`` serves with: a proxy for a table of each IP family.

    The tables may be empty, and change while :meth:`serve` runs in a thread. Worker processes
    begin here, and no other thread should run yet: a process that is copied has the locks of
    threads, and not the threads. With `loopback` ports are open on loopback only, else on
    every address. Raises ApplyError when no port, or no descriptor, can be had.
    """

    def __init__(
        self,
        tables: Iterable[ProxyTable],
        *,
        loopback: bool = False,
        udp_idle: float = UDP_IDLE_SECONDS,
        workers: int = 1,
    ) -> None:
        self._addresses = LOOPBACK if loopback else ANY
        self._is_released = False
        budget = FileBudget(files_to_share())
        try:
            self._loop = EventLoop()
            self.proxies = {
                table.family: Proxy(
                    table,
                    address=self.address(table.family),
                    udp_idle=udp_idle,
                    budget=budget,
                    workers=workers,
                    loop=self._loop,
                )
                for table in tables
            }
        except OSError as error:
            raise ApplyError(f"the proxy cannot begin: {error.strerror}") from None

    @property
    def tables(self) -> tuple[ProxyTable, ...]:
        """The tables that are in force, with the proxies' ports."""
        return tuple(proxy.table for proxy in self.proxies.values())

    def address(self, family: IPFamily) -> str:
        """Return the address that is listened on."""
        return self._addresses[family]

    def keep(self, families: Collection[IPFamily]) -> None:
        """End the proxies of all other families. To be called before :meth:`serve`."""
        for family in self.proxies.keys() - families:
            self.proxies.pop(family).release()

    def serve(self) -> None:
        """Serve until :meth:`stop`. Raises ApplyError when a worker process is lost."""
        self._is_released = True
        serve(tuple(self.proxies.values()))

    def stop(self, drain: float) -> None:
        """Take nothing new; end with the last connection, or after `drain` seconds."""
        for proxy in self.proxies.values():
            proxy.stop(drain)

    def release(self) -> None:
        """End all that is left, if it was never served."""
        if not self._is_released:
            self._is_released = True
            self.keep(())
            self._loop.release()

    def refusals(self) -> Mapping[ServicePortName, Refusals]:
        """Return what there was no room for, of all families.

        For other threads than the one that serves. Raises ApplyError when that has ended.
        """
        return total_refusals(proxy.refusals() for proxy in self.proxies.values())

    def snapshots(self) -> Iterator[ProxySnapshot]:
        """Yield what each proxy counted; for other threads than the one that serves."""
        return (proxy.snapshot() for proxy in self.proxies.values())
