"""A step from one sync to another, as values."""

from __future__ import annotations

from typing import NamedTuple

from attrs import field, frozen

from svcnet.graph import NodeSettings
from svcnet.renderers.ipvs.part import Entry, ServerKey, VirtualServer


class ServerChange(NamedTuple):
    """A virtual server that came (``before`` is None), went (``after`` is) or changed."""

    key: ServerKey
    before: VirtualServer | None
    after: VirtualServer | None


@frozen
class IPVSDelta:
    """What changed. ``rules`` is the whole restore text when any rule did, else empty."""

    settings: NodeSettings = field(repr=False)
    servers: tuple[ServerChange, ...]
    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    rules: str

    def __bool__(self) -> bool:
        return bool(self.servers or self.added or self.removed or self.rules)

    @property
    def family(self) -> str:
        """The IP family, ``IPv4`` or ``IPv6``."""
        return self.settings.family
