"""What is said to IPVS and what it answers, as values.

:mod:`svcnet.netfilter.ipvs.wire` turns them to bytes. Names and numbers are those of Linux
``include/uapi/linux/ip_vs.h``. Addresses are canonical text, because they are compared as
text. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from attrs import field, frozen

__all__ = [
    "BYPASS",
    "HASHED",
    "LOCAL",
    "MADE_BY_SVCNET",
    "MASQUERADE",
    "ONE_PACKET",
    "PERSISTENT",
    "ROUTE",
    "SCHED1",
    "SCHED2",
    "SCHED3",
    "TUNNEL",
    "Acknowledgement",
    "DelDest",
    "DelService",
    "Dest",
    "DestKey",
    "DumpEnd",
    "Family",
    "Flush",
    "GetConfig",
    "GetDest",
    "GetInfo",
    "GetService",
    "IPVSService",
    "Info",
    "Message",
    "NewDest",
    "NewService",
    "ObservedDest",
    "ObservedService",
    "Reply",
    "ServiceKey",
    "SetConfig",
    "SetDest",
    "SetService",
    "Stats",
    "Timeouts",
    "Zero",
]

Family = Literal["IPv4", "IPv6"]
"""The IP family of a virtual server."""

PERSISTENT = 0x0001
"""``IP_VS_SVC_F_PERSISTENT``: a client stays with its destination for ``timeout``."""
HASHED = 0x0002
"""``IP_VS_SVC_F_HASHED``: set by the kernel in every service that it lists."""
ONE_PACKET = 0x0004
"""``IP_VS_SVC_F_ONEPACKET``: each UDP packet is scheduled for itself."""
SCHED1 = 0x0008
"""``IP_VS_SVC_F_SCHED1``: the fallback of the schedulers ``sh`` and ``mh``."""
SCHED2 = 0x0010
"""``IP_VS_SVC_F_SCHED2``: ``sh`` and ``mh`` hash the port too."""
SCHED3 = 0x0020
"""``IP_VS_SVC_F_SCHED3``: used by no scheduler of Linux 6.1."""
MADE_BY_SVCNET = 0x8000_0000
"""No flag of the kernel's, which keeps bits that it does not know (``ip_vs_add_service``,
``ip_vs_edit_service``): the mark by which svcnet knows the services that it made. It comes
with a service and goes with it; another program that edits the service takes it off."""

MASQUERADE = 0
"""``IP_VS_CONN_F_MASQ``: the packet's destination is translated."""
LOCAL = 1
"""``IP_VS_CONN_F_LOCALNODE``: the packet is for this node."""
TUNNEL = 2
"""``IP_VS_CONN_F_TUNNEL``: the packet is wrapped (IP in IP)."""
ROUTE = 3
"""``IP_VS_CONN_F_DROUTE``: the packet goes to the destination unchanged."""
BYPASS = 4
"""``IP_VS_CONN_F_BYPASS``: the packet goes to where it was sent."""

_NAMED = PERSISTENT | HASHED | ONE_PACKET | SCHED1 | SCHED2 | SCHED3 | MADE_BY_SVCNET
_FORWARD = {LOCAL: "local", TUNNEL: "tunnel", ROUTE: "route", BYPASS: "bypass"}


class ServiceKey(NamedTuple):
    """By what the kernel finds a service: either a mark, or address, port and protocol."""

    family: Family
    protocol: str
    address: str
    port: int
    fwmark: int

    def __str__(self) -> str:
        if self.fwmark:
            return f"mark {self.fwmark} {self.family}"
        return f"{_socket(self.address, self.port)} {self.protocol}"


class DestKey(NamedTuple):
    """By what the kernel finds a destination within its service."""

    address: str
    port: int

    def __str__(self) -> str:
        return _socket(self.address, self.port)


@frozen
class IPVSService:
    """A virtual service: packets that IPVS takes, and how it chooses their destination.

    It is either for ``address``, ``port`` and ``protocol``, or for the packets with the
    firewall mark ``fwmark``. ``protocol`` is ``TCP``, ``UDP`` or ``SCTP``; the kernel
    may list others, which are a number in digits. ``flags`` are the constants above, and
    the kernel keeps bits that it does not know. ``netmask`` tells which clients persist
    together: the mask as a number for IPv4, a prefix length from 1 to 128 for IPv6; by
    default each client alone. ``pe_name`` is the persistence engine, empty for none.

    Raises ValueError for an address and a mark at once, and for neither.
    """

    address: str = ""
    port: int = 0
    protocol: str = "TCP"
    scheduler: str = "rr"
    flags: int = 0
    timeout: int = 0
    fwmark: int = 0
    family: Family = field()
    netmask: int = field()
    pe_name: str = ""

    @family.default
    def _family(self) -> Family:
        return "IPv6" if ":" in self.address else "IPv4"

    @netmask.default
    def _netmask(self) -> int:
        return 128 if self.family == "IPv6" else 0xFFFFFFFF

    def __attrs_post_init__(self) -> None:
        if bool(self.address) == bool(self.fwmark):
            raise ValueError("an IPVS service has either an address or a firewall mark")

    @property
    def key(self) -> ServiceKey:
        """What identifies this service; the protocol of a mark is empty, as it has none."""
        protocol = "" if self.fwmark else self.protocol
        return ServiceKey(self.family, protocol, self.address, self.port, self.fwmark)

    def __str__(self) -> str:
        return " ".join([str(self.key), *self._words()])

    def _words(self) -> Iterator[str]:
        """Describe how the service schedules, in ipvsadm's order."""
        yield f"scheduler {self.scheduler}"
        hashing = self.scheduler in ("sh", "mh")
        if self.flags & SCHED1:
            yield f"{self.scheduler}-fallback" if hashing else "flag-1"
        if self.flags & SCHED2:
            yield f"{self.scheduler}-port" if hashing else "flag-2"
        if self.flags & SCHED3:
            yield "flag-3"
        if self.flags & PERSISTENT:
            yield f"persistent {self.timeout}"
        if self.netmask != (128 if self.family == "IPv6" else 0xFFFFFFFF):
            yield f"mask {self.netmask if self.family == 'IPv6' else _write_mask(self.netmask)}"
        if self.pe_name:
            yield f"pe {self.pe_name}"
        if self.flags & ONE_PACKET:
            yield "ops"
        if others := self.flags & ~_NAMED:
            yield f"flags 0x{others:08x}"


@frozen
class Dest:
    """A destination of a service (ipvsadm: real server).

    ``weight`` 0 takes no new connections. ``forward`` is one of the constants above. At
    ``upper_threshold`` connections the destination gets no more, until they are fewer
    than ``lower_threshold``; 0 is no limit. Its family is that of its address, which
    differs from the service's only with ``TUNNEL``.
    """

    address: str
    port: int
    weight: int = 1
    forward: int = MASQUERADE
    upper_threshold: int = 0
    lower_threshold: int = 0

    @property
    def family(self) -> Family:
        """The family of the address."""
        return "IPv6" if ":" in self.address else "IPv4"

    @property
    def key(self) -> DestKey:
        """What identifies this destination within its service."""
        return DestKey(self.address, self.port)

    def __str__(self) -> str:
        words = [str(self.key), f"weight {self.weight}"]
        if self.forward != MASQUERADE:
            words.append(_FORWARD.get(self.forward, f"forward {self.forward}"))
        if self.upper_threshold or self.lower_threshold:
            words.append(f"threshold {self.lower_threshold}-{self.upper_threshold}")
        return " ".join(words)


@frozen
class Stats:
    """Counters since the last zero, and rates a second as the kernel estimates them.

    ``cps``, ``in_pps``, ``out_pps``, ``in_bps`` and ``out_bps`` are connections, packets
    and bytes (not bits) a second.
    """

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    cps: int = 0
    in_pps: int = 0
    out_pps: int = 0
    in_bps: int = 0
    out_bps: int = 0


@frozen
class Timeouts:
    """How long idle connections live, in seconds; in a change, 0 leaves a value as it is."""

    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0

    def __str__(self) -> str:
        return f"tcp {self.tcp} tcpfin {self.tcp_fin} udp {self.udp}"


@frozen
class ObservedService:
    """A service as the kernel lists it; its flags have ``HASHED``."""

    service: IPVSService
    stats: Stats


@frozen
class ObservedDest:
    """A destination as the kernel lists it, with its connections at the moment."""

    dest: Dest
    active_connections: int
    inactive_connections: int
    persistent_connections: int
    stats: Stats


@frozen
class Info:
    """What IPVS says of itself: its version, as in (1, 2, 1), and its hash table's size."""

    version: tuple[int, int, int]
    connection_table_size: int


@frozen
class Acknowledgement:
    """The kernel's answer to the request ``sequence``: ``errno`` 0, or why it refused.

    ``text`` is the kernel's explanation (``NLMSGERR_ATTR_MSG``), empty for most errors.
    """

    sequence: int
    errno: int
    text: str = ""


@frozen
class DumpEnd:
    """The end of what the request ``sequence`` listed; with ``errno``, it is not complete."""

    sequence: int
    errno: int = 0


@frozen
class NewService:
    """``IPVS_CMD_NEW_SERVICE``: EEXIST if the service exists, ENOENT for the scheduler."""

    service: IPVSService

    def __str__(self) -> str:
        return f"add {self.service}"


@frozen
class SetService:
    """``IPVS_CMD_SET_SERVICE``: everything but the key is replaced; ESRCH if not there."""

    service: IPVSService

    def __str__(self) -> str:
        return f"edit {self.service}"


@frozen
class DelService:
    """``IPVS_CMD_DEL_SERVICE``: only the key counts; ESRCH if not there."""

    service: IPVSService

    def __str__(self) -> str:
        return f"delete {self.service.key}"


@frozen
class GetService:
    """``IPVS_CMD_GET_SERVICE``: one service by its key (ESRCH if not there), or all."""

    service: IPVSService | None = None

    def __str__(self) -> str:
        return f"list {self.service.key if self.service else 'services'}"


@frozen
class NewDest:
    """``IPVS_CMD_NEW_DEST``: EEXIST if it exists, ESRCH if the service does not."""

    service: IPVSService
    dest: Dest

    def __str__(self) -> str:
        return f"add {self.service.key} -> {self.dest}"


@frozen
class SetDest:
    """``IPVS_CMD_SET_DEST``: everything but the key is replaced; ENOENT if not there."""

    service: IPVSService
    dest: Dest

    def __str__(self) -> str:
        return f"edit {self.service.key} -> {self.dest}"


@frozen
class DelDest:
    """``IPVS_CMD_DEL_DEST``: only the two keys count; ENOENT if not there."""

    service: IPVSService
    dest: Dest

    def __str__(self) -> str:
        return f"delete {self.service.key} -> {self.dest.key}"


@frozen
class GetDest:
    """``IPVS_CMD_GET_DEST``: all destinations of a service; none if it does not exist."""

    service: IPVSService

    def __str__(self) -> str:
        return f"list {self.service.key} destinations"


@frozen
class SetConfig:
    """``IPVS_CMD_SET_CONFIG``: the timeouts of connections."""

    timeouts: Timeouts

    def __str__(self) -> str:
        return f"set timeouts {self.timeouts}"


@frozen
class GetConfig:
    """``IPVS_CMD_GET_CONFIG``: answered with :class:`Timeouts`."""

    def __str__(self) -> str:
        return "list timeouts"


@frozen
class GetInfo:
    """``IPVS_CMD_GET_INFO``: answered with :class:`Info`."""

    def __str__(self) -> str:
        return "list version"


@frozen
class Flush:
    """``IPVS_CMD_FLUSH``: deletes every service of the network namespace."""

    def __str__(self) -> str:
        return "delete all services"


@frozen
class Zero:
    """``IPVS_CMD_ZERO``: sets the counters of one service, or of everything, to zero."""

    service: IPVSService | None = None

    def __str__(self) -> str:
        return f"zero {self.service.key if self.service else 'all'}"


Message: TypeAlias = (
    NewService
    | SetService
    | DelService
    | GetService
    | NewDest
    | SetDest
    | DelDest
    | GetDest
    | SetConfig
    | GetConfig
    | GetInfo
    | Flush
    | Zero
)
"""Whatever svcnet asks of the kernel."""
Reply: TypeAlias = ObservedService | ObservedDest | Timeouts | Info | Acknowledgement | DumpEnd
"""Whatever the kernel answers."""


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _write_mask(mask: int) -> str:
    return ".".join(map(str, mask.to_bytes(4, "big")))
