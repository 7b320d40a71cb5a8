"""A step from one sync to another, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.family import IPFamily
from svcnet.graph import NodeSettings, Origin
from svcnet.renderers.ipvs.part import Entry, ServerKey, VirtualServer
from svcnet.renderers.ipvs.sets import IPSet
from svcnet.renderers.ipvs.tables import IPVSTables


class ServerChange(NamedTuple):
    """A virtual server that came (``before`` is None), went (``after`` is) or changed."""

    key: ServerKey
    before: VirtualServer | None
    after: VirtualServer | None


@frozen(repr=False)
class IPVSDelta(Brief):
    """What changed, by what it is.

    ``resized`` are sets that have another bound, which takes making them anew, ``rules``
    is the whole restore text when any rule changed, else empty, ``sysctls`` are those
    that came or changed, and ``timeouts`` those of idle connections, 0 for no change. ``old``
    and ``new`` are what it leads from and to.
    """

    settings: NodeSettings = field(repr=False)
    servers: tuple[ServerChange, ...]
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    resized: tuple[IPSet, ...]
    rules: str
    sysctls: Mapping[str, int]
    timeouts: tuple[int, int, int]
    old: IPVSTables = field(repr=False, eq=False)
    new: IPVSTables = field(repr=False, eq=False)

    def __bool__(self) -> bool:
        entries = self.added or self.removed or self.resized
        return bool(self.servers or entries or self.rules or self.sysctls or any(self.timeouts))

    @property
    def family(self) -> IPFamily:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family

    def origin_of(self, key: ServerKey) -> Origin | None:
        """Return what caused a virtual server that comes, stays or goes; None for any other."""
        return self.new.origin_of(key) or self.old.origin_of(key)

    def origin_of_endpoint(self, key: ServerKey, address: str, port: int) -> Origin | None:
        """Return what caused a real server that comes, stays or goes; None for any other."""
        real = key, address, port
        return self.new.origin_of_endpoint(*real) or self.old.origin_of_endpoint(*real)

    def origin_of_line(self, line: str) -> Origin | None:
        """Return what caused a line of the step; see :meth:`IPVSTables.origin_of_line`."""
        return self.new.origin_of_line(line) or self.old.origin_of_line(line)
