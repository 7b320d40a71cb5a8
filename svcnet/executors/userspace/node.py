"""A node's proxies, one an IP family, with the rules that lead traffic to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from svcnet.errors import ApplyError
from svcnet.executors.iptables import Commands, Variant
from svcnet.executors.lock import lock
from svcnet.executors.userspace.engine import UDP_IDLE_SECONDS
from svcnet.executors.userspace.loop import Loop
from svcnet.executors.userspace.proxy import Proxy, differ, serve
from svcnet.executors.userspace.rules import RulesReport, change, install, remove
from svcnet.executors.userspace.sockets import ANY, LOOPBACK
from svcnet.executors.userspace.statistics import Snapshot
from svcnet.renderers.userspace.portals import Rule, portal_rules, service_rules
from svcnet.renderers.userspace.table import ProxyTable, ServicePortName


class NodeProxy:
    """What ``svcnet run`` runs: it follows a table for each IP family.

    Without `redirect` it listens on loopback, makes no rules and needs no privilege; with
    it, ports are open on every address, and no other such proxy can be in the same network
    namespace. Ports are bound at once. Raises ApplyError.
    """

    def __init__(
        self,
        tables: Sequence[ProxyTable],
        *,
        redirect: bool = True,
        variant: Variant | None = None,
        udp_idle: float = UDP_IDLE_SECONDS,
        workers: int = 1,
    ) -> None:
        self._redirect = redirect
        self._variant = variant
        self._commands: dict[str, Commands] = {}
        self._locks = [lock(table.family) for table in tables] if redirect else []
        loop = Loop()
        self.proxies = [
            Proxy(
                table,
                address=self.address(table.family),
                udp_idle=udp_idle,
                workers=workers,
                loop=loop,
            )
            for table in tables
        ]

    @property
    def tables(self) -> tuple[ProxyTable, ...]:
        """The tables that are in force, with the proxy's ports."""
        return tuple(proxy.table for proxy in self.proxies)

    def address(self, family: str) -> str:
        """Return the address that is listened on."""
        return ANY[family] if self._redirect else LOOPBACK[family]

    def install(self) -> tuple[RulesReport, ...]:
        """Make the rules that lead here, from whatever is there. Raises ApplyError."""
        if not self._redirect:
            return ()
        try:
            return tuple(self._install(table) for table in self.tables)
        except ApplyError:
            with suppress(ApplyError):
                self._remove()
            raise

    def _remove(self) -> None:
        for table in self.tables:
            remove(table.family, self._variant)

    def run(self) -> None:
        """Serve until :meth:`stop`, then remove the rules. Raises ApplyError."""
        try:
            serve(self.proxies)
        finally:
            if self._redirect:
                self._remove()
            for lock in self._locks:
                lock.close()

    def stop(self, drain: float) -> None:
        """Take nothing new; end with the last connection, or after `drain` seconds."""
        for proxy in self.proxies:
            proxy.stop(drain)

    def follow(self, tables: Sequence[ProxyTable]) -> Iterator[str]:
        """Follow new tables of the same families; yield what somebody should know of.

        New listeners serve before a rule leads to them, and old ones until none does. For
        any thread but the one that serves. Raises ApplyError.
        """
        for proxy, table in zip(self.proxies, tables, strict=True):
            before = proxy.table
            after = proxy.update(table)
            if self._redirect:
                yield from self._change(before, after)

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield what each proxy counted; for other threads than the one that serves."""
        return (proxy.snapshot() for proxy in self.proxies)

    def _install(self, table: ProxyTable) -> RulesReport:
        report = install(portal_rules(table), variant=self._variant)
        self._commands[table.family] = report.commands
        return report

    def _change(self, before: ProxyTable, after: ProxyTable) -> Iterator[str]:
        """Change the rules of what differs; where those there are not ours any more, all."""
        names = [
            name
            for name in sorted({*before.services, *after.services})
            if differ(before.services.get(name), after.services.get(name))
        ]
        try:
            if before.settings != after.settings:
                yield str(self._install(after))
            else:
                old, new = _rules(before, names), _rules(after, names)
                change(old, new, self._commands[after.family])
        except ApplyError as error:
            yield f"warning: the rules were not as they should be, and are written anew: {error}"
            yield str(self._install(after))


def _rules(table: ProxyTable, names: Sequence[ServicePortName]) -> list[Rule]:
    return [
        rule
        for name in names
        if name in table.services
        for rule in service_rules(table.services[name], table.ports, table.settings)
    ]
