"""The proxies of this process, which serve from a thread of their own, and their rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from svcnet.executors.attempts import attempt_all
from svcnet.executors.commits import Commits
from svcnet.executors.iptables import Ownership, concerns
from svcnet.executors.machine import Machine
from svcnet.executors.userspace import remove
from svcnet.graph import NodeSettings, RuleGraph
from svcnet.modes.adapter import Adapter
from svcnet.modes.options import VARIANT
from svcnet.modes.proxy import DataPlane, Overload
from svcnet.modes.settings import ModeSettings
from svcnet.modes.userspace.adapter import UserspaceAdapter
from svcnet.modes.userspace.crowding import Crowding
from svcnet.modes.userspace.options import DRAIN, NO_REDIRECT, STATS, UDP_TIMEOUT, WORKERS
from svcnet.modes.userspace.settings import ProxySettings
from svcnet.renderers.userspace import document as table_document
from svcnet.renderers.userspace import full, listing
from svcnet.servers.questions import Answers
from svcnet.servers.userspace import NodeProxy, document, raise_file_limit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from svcnet.models import IPFamily


class UserspaceProxy(DataPlane):
    """Serves Services of `families`, until `stack` is closed.

    Which family the Node has is known only when the input has been read; the rest are let go then.
    `others` says what of iptables belongs to other modes.
    """

    def __init__(
        self,
        settings: ModeSettings,
        families: Collection[IPFamily],
        stack: ExitStack,
        machine: Machine,
        others: Callable[[IPFamily], Sequence[Ownership]],
    ) -> None:
        self._machine = machine
        self._others = others
        self._given = given = settings.given
        self.has_rules = not given[NO_REDIRECT.name]
        self.drain: float = given[DRAIN.name]
        self._families: list[IPFamily] = []
        self._crowding = Crowding()
        raise_file_limit()
        self._node = NodeProxy(
            [full(RuleGraph(NodeSettings(each))) for each in families],
            loopback=not self.has_rules,
            udp_idle=given[UDP_TIMEOUT.name],
            workers=given[WORKERS.name],
        )
        stack.callback(self._node.release)

    def begin(
        self, families: Collection[IPFamily], settings: ModeSettings, stack: ExitStack
    ) -> Sequence[Adapter]:
        """Return what puts graphs here, and tell the counts where that is asked."""
        assert isinstance(settings, ProxySettings)
        self._families = list(families)
        self._node.keep(families)
        commits = Commits(self._machine, concerns)
        adapters = [
            UserspaceAdapter(
                self._node.proxies[family],
                settings.choice,
                redirect=self.has_rules,
                variant=self._given[VARIANT.name],
                others=self._others(family) if self.has_rules else (),
                commits=commits,
            )
            for family in families
        ]
        if self._given[STATS.name] is not None:
            stack.callback(Answers(self._given[STATS.name], self._counts, asks=False).close)
        return adapters

    def serve(self) -> None:
        """Serve until told to stop. Raises ApplyError when a worker process is lost."""
        self._node.serve()

    def stop(self, drain: float) -> None:
        """Take nothing new, and end when connections have, or after `drain` seconds."""
        self._node.stop(drain)

    def remove(self) -> None:
        """Take the rules away that lead here."""
        if self.has_rules:
            variant = self._given[VARIANT.name]
            take = partial(remove, variant=variant, machine=self._machine)
            for _ in attempt_all(partial(take, each) for each in self._families):
                pass

    def listing(self) -> Iterator[str]:
        """Yield a table for each family of where each Service is."""
        for table in self._node.tables:
            yield listing(table, self._node.address(table.family))

    def tables(self) -> Iterator[str]:
        """Yield the table of each family with the ports that are in force."""
        return map(table_document, self._node.tables)

    def draw(self, height: int) -> RenderableType:
        """Return the busiest service ports, as a table that fits."""
        from svcnet.modes.userspace.view import counts

        return counts(self._node, height)

    def crowd(self, now: float) -> Overload:
        """Return which service ports are full, and how many were turned away."""
        refusals = self._node.refusals()
        before = self._crowding.turned_away
        lines = self._crowding.look(now, refusals)
        return Overload(tuple(lines), self._crowding.turned_away - before)

    def _counts(self, _: bytes) -> bytes:
        """Return the counts as JSON; nothing once the proxy has ended."""
        with suppress(CancelledError):
            return document(self._node.snapshots())
        return b""
