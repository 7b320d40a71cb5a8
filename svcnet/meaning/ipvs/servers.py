"""Virtual servers: which one takes a packet, and which real servers it can choose.

Source: Linux ``net/netfilter/ipvs/ip_vs_ctl.c`` (``ip_vs_service_find``) and
``net/netfilter/ipvs/ip_vs_core.c`` (``ip_vs_schedule``, ``ip_vs_sched_persist``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache

from svcnet.family import IPFamily
from svcnet.meaning.chance import Chance
from svcnet.meaning.ipvs.schedulers import manner, shares
from svcnet.meaning.sources import Endpoint
from svcnet.meaning.spans import number
from svcnet.netfilter.ipvs.listing import SavedDest, SavedServer
from svcnet.netfilter.ipvs.messages import MASQUERADE, PERSISTENT, IPVSService

Portal = tuple[int, str, int]
"""The address, protocol and port that a virtual server is for; port 0 stands for all."""


class KernelDest:
    """One that a virtual server can send packets to; ``port`` 0 leaves theirs as it is."""

    __slots__ = ("chance", "endpoint", "is_translating", "saved", "takes_new")

    def __init__(self, saved: SavedDest, share: Fraction) -> None:
        dest = saved.dest
        self.saved = saved
        self.endpoint: Endpoint = (number(dest.address), dest.port)
        self.chance = chance(*share.as_integer_ratio())
        self.is_translating = dest.forward == MASQUERADE and not saved.odd
        self.takes_new = dest.weight > 0


class KernelServer:
    """A virtual server: ``seconds`` is how long a client stays, None for not at all.

    ``choice`` is how it chooses, empty if chances say all. ``reals`` are those that it may choose,
    with their chances. ``doubt`` is what of it is not understood.
    """

    def __init__(self, saved: SavedServer) -> None:
        service = saved.service
        self.saved = saved
        self.choice = manner(service, [each.dest for each in saved.dests])
        self.seconds = service.timeout if service.flags & PERSISTENT else None
        found = shares(service.scheduler, [each.dest.weight for each in saved.dests])
        pairs = zip(saved.dests, found, strict=True)
        self.reals = [KernelDest(each, share) for each, share in pairs if share]
        self.doubt = ", ".join(saved.odd)

    @property
    def service(self) -> IPVSService:
        """What it is for, and how it schedules."""
        return self.saved.service


class KernelServers:
    """The virtual servers of a family, by what they are for."""

    def __init__(self, saved: Iterable[SavedServer], family: IPFamily) -> None:
        self._marks: dict[int, SavedServer] = {}
        self._portals: dict[Portal, SavedServer] = {}
        self._known: dict[int, KernelServer] = {}
        for each in saved:
            service = each.service
            if service.family != family:
                continue
            if service.fwmark:
                self._marks[service.fwmark] = each
            else:
                portal = (number(service.address), service.protocol.lower(), service.port)
                self._portals[portal] = each

    def find(self, mark: int, address: int, protocol: str, port: int) -> KernelServer | None:
        """Return the one that takes a packet: by its mark, its destination, or its address."""
        found = self._marks.get(mark) if mark else None
        if found is None:
            found = self._portals.get((address, protocol, port))
        if found is None:
            found = self._portals.get((address, protocol, 0))
        if found is None:
            return None
        server = self._known.get(found.line)
        if server is None:
            server = self._known[found.line] = KernelServer(found)
        return server

    def listing(self) -> Iterator[SavedServer]:
        """Yield them as they were listed."""
        yield from sorted([*self._marks.values(), *self._portals.values()], key=_line)

    def portals(self) -> Iterator[Portal]:
        """Yield what they are for, but for those of marks."""
        yield from self._portals


def _line(server: SavedServer) -> int:
    return server.line


@cache
def chance(share: int, whole: int) -> Chance:
    """Return the chance of one that gets a share of all."""
    return Chance(Fraction(share, whole), Fraction(share, whole))
