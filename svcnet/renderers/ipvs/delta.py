"""A step from one sync to another, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from attrs import field, frozen

from svcnet.graph import NodeSettings
from svcnet.renderers.ipvs.part import Entry, ServerKey, VirtualServer
from svcnet.renderers.ipvs.sets import IPSet


class ServerChange(NamedTuple):
    """A virtual server that came (``before`` is None), went (``after`` is) or changed."""

    key: ServerKey
    before: VirtualServer | None
    after: VirtualServer | None


@frozen
class IPVSDelta:
    """What changed, by what it is.

    ``resized`` are sets that have another bound, which takes making them anew, ``rules``
    is the whole restore text when any rule changed, else empty, ``sysctls`` are those
    that came or changed, and ``timeouts`` those of idle connections, 0 for no change.
    """

    settings: NodeSettings = field(repr=False)
    servers: tuple[ServerChange, ...]
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    resized: tuple[IPSet, ...]
    rules: str
    sysctls: Mapping[str, int]
    timeouts: tuple[int, int, int]

    def __bool__(self) -> bool:
        entries = self.added or self.removed or self.resized
        return bool(self.servers or entries or self.rules or self.sysctls or any(self.timeouts))

    @property
    def family(self) -> str:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family
