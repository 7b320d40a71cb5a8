"""The kernel's bytes to values."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socket import AF_INET6
from struct import Struct
from sys import byteorder
from typing import NamedTuple

from svcnet.addresses import address_text
from svcnet.netfilter.ipvs.messages import (
    Acknowledgement,
    Dest,
    DumpEnd,
    Family,
    Info,
    IPVSService,
    ObservedDest,
    ObservedService,
    Reply,
    Stats,
    Timeouts,
)
from svcnet.netfilter.ipvs.wire.uapi import (
    CTRL_ATTR_FAMILY_ID,
    CTRL_CMD_NEWFAMILY,
    GENL_ID_CTRL,
    IPVS_CMD_ATTR_DEST,
    IPVS_CMD_ATTR_SERVICE,
    IPVS_CMD_ATTR_TIMEOUT_TCP,
    IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
    IPVS_CMD_ATTR_TIMEOUT_UDP,
    IPVS_CMD_NEW_DEST,
    IPVS_CMD_NEW_SERVICE,
    IPVS_CMD_SET_CONFIG,
    IPVS_CMD_SET_INFO,
    IPVS_DEST_ATTR_ACTIVE_CONNS,
    IPVS_DEST_ATTR_ADDR,
    IPVS_DEST_ATTR_ADDR_FAMILY,
    IPVS_DEST_ATTR_FWD_METHOD,
    IPVS_DEST_ATTR_INACT_CONNS,
    IPVS_DEST_ATTR_L_THRESH,
    IPVS_DEST_ATTR_PERSIST_CONNS,
    IPVS_DEST_ATTR_PORT,
    IPVS_DEST_ATTR_STATS,
    IPVS_DEST_ATTR_STATS64,
    IPVS_DEST_ATTR_U_THRESH,
    IPVS_DEST_ATTR_WEIGHT,
    IPVS_INFO_ATTR_CONN_TAB_SIZE,
    IPVS_INFO_ATTR_VERSION,
    IPVS_STATS_ATTRS,
    IPVS_SVC_ATTR_ADDR,
    IPVS_SVC_ATTR_AF,
    IPVS_SVC_ATTR_FLAGS,
    IPVS_SVC_ATTR_FWMARK,
    IPVS_SVC_ATTR_NETMASK,
    IPVS_SVC_ATTR_PE_NAME,
    IPVS_SVC_ATTR_PORT,
    IPVS_SVC_ATTR_PROTOCOL,
    IPVS_SVC_ATTR_SCHED_NAME,
    IPVS_SVC_ATTR_STATS,
    IPVS_SVC_ATTR_STATS64,
    IPVS_SVC_ATTR_TIMEOUT,
    PROTOCOL_NAMES,
)
from svcnet.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSGERR,
    NLMSGERR_ATTR_MSG,
    NLMSGHDR,
    RefusedRequest,
    attribute,
    attributes,
    errno_text,
    messages,
)

_U32 = Struct("=I")
_NO_STATS = Stats()
_SERVICE_KEY = (
    IPVS_SVC_ATTR_AF,
    IPVS_SVC_ATTR_PROTOCOL,
    IPVS_SVC_ATTR_ADDR,
    IPVS_SVC_ATTR_PORT,
    IPVS_SVC_ATTR_FWMARK,
)
_SERVICE_COUNTERS = (IPVS_SVC_ATTR_STATS, IPVS_SVC_ATTR_STATS64)
_DEST_COUNTERS = (
    IPVS_DEST_ATTR_ACTIVE_CONNS,
    IPVS_DEST_ATTR_INACT_CONNS,
    IPVS_DEST_ATTR_PERSIST_CONNS,
    IPVS_DEST_ATTR_STATS,
    IPVS_DEST_ATTR_STATS64,
)


def decode(datagram: bytes, *, statistics: bool = True) -> Iterator[Reply]:
    """Yield what one received datagram says; it may hold several netlink messages.

    Without `statistics` these are all 0, which takes a third of the time. Attributes and
    messages that are unknown here are passed over. Raises ValueError for bytes that are no
    netlink messages, or that lack what IPVS always sends.
    """
    for kind, flags, sequence, body in messages(datagram):
        try:
            if kind == NLMSG_ERROR:
                yield _acknowledgement(body, flags, sequence)
            elif kind == NLMSG_DONE:
                # A dump that failed half way says so here.
                yield DumpEnd(sequence, -NLMSGERR.unpack_from(body)[0] if len(body) >= 4 else 0)
            elif kind > GENL_ID_CTRL:
                reply = _reply(body, statistics)
                if reply is not None:
                    yield reply
        except (struct.error, KeyError, OSError) as error:
            raise ValueError(f"an incomplete message from IPVS: {error!r}") from error


def answers(datagrams: Iterable[bytes]) -> Iterator[Reply]:
    """Yield the replies to one question without statistics, up to the message that ends them.

    Raises :class:`svcnet.netlink.RefusedRequest` for what the kernel refused or ended half way,
    and ValueError as :func:`decode` does.
    """
    for datagram in datagrams:
        for reply in decode(datagram, statistics=False):
            if isinstance(reply, Acknowledgement | DumpEnd):
                _raise_for(reply)
                return
            yield reply


class Configuration(NamedTuple):
    """A virtual server as the kernel tells it.

    ``key`` are the attributes that it is found by. ``settings`` is for comparison: it is the same
    as long as nobody changes the virtual server.
    """

    family: Family
    key: bytes
    settings: bytes


def configurations(datagrams: Iterable[bytes]) -> Iterator[Configuration]:
    """Yield each virtual server without its statistics.

    `datagrams` answer a GetService; raises as :func:`answers` does.
    """
    with _incomplete():
        for server in _attributes_of(datagrams, IPVS_CMD_ATTR_SERVICE):
            is_six = _number(server[IPVS_SVC_ATTR_AF]) == AF_INET6
            key = _join(server, _SERVICE_KEY.__contains__)
            told = _join(server, lambda kind: kind not in _SERVICE_COUNTERS)
            yield Configuration("IPv6" if is_six else "IPv4", key, told)


def settings(datagrams: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each real server as bytes that are the same as long as nobody changes it.

    Of one that takes no connections it is also told whether it has any: when not, it has
    drained. `datagrams` answer a GetDest; raises as :func:`answers` does.
    """
    with _incomplete():
        for server in _attributes_of(datagrams, IPVS_CMD_ATTR_DEST):
            yield _join(server, lambda kind: kind not in _DEST_COUNTERS)
            if not any(server[IPVS_DEST_ATTR_WEIGHT]):
                busy = server[IPVS_DEST_ATTR_ACTIVE_CONNS] + server[IPVS_DEST_ATTR_INACT_CONNS]
                yield b"busy" if any(busy) else b"idle"


def _attributes_of(datagrams: Iterable[bytes], kind_of_thing: int) -> Iterator[dict[int, bytes]]:
    """Yield the attributes of each thing that a dump lists."""
    for datagram in datagrams:
        for kind, flags, sequence, body in messages(datagram):
            if kind == NLMSG_ERROR:
                _raise_for(_acknowledgement(body, flags, sequence))
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                return
            yield attributes(attributes(body, 4)[kind_of_thing])


@contextmanager
def _incomplete() -> Iterator[None]:
    """Have what a message lacks come as a ValueError."""
    try:
        yield
    except (struct.error, KeyError) as error:
        raise ValueError(f"an incomplete message from IPVS: {error!r}") from error


def _join(told: dict[int, bytes], counts: Callable[[int], bool]) -> bytes:
    return b"".join([attribute(kind, value) for kind, value in told.items() if counts(kind)])


def parse_acknowledgements(datagrams: Iterable[bytes]) -> Iterator[Acknowledgement]:
    """Yield the answers to changes, those with an errno and those without."""
    for datagram in datagrams:
        for reply in decode(datagram):
            if isinstance(reply, Acknowledgement):
                yield reply


def parse_family(datagrams: Iterable[bytes]) -> int:
    """Return IPVS's id from the answer to :func:`encode_family_request`.

    Raises RefusedRequest (ENOENT) where the kernel has no IPVS, ValueError if there is no
    answer.
    """
    for datagram in datagrams:
        for kind, flags, sequence, body in messages(datagram):
            try:
                if kind == NLMSG_ERROR:
                    answer = _acknowledgement(body, flags, sequence)
                elif kind == GENL_ID_CTRL and body[:1] == bytes([CTRL_CMD_NEWFAMILY]):
                    return _number(attributes(body, 4)[CTRL_ATTR_FAMILY_ID])
                else:
                    continue
            except (struct.error, KeyError) as error:
                raise ValueError(f"an incomplete answer: {error!r}") from error
            _raise_for(answer)
    raise ValueError("no family in the answer")


def _raise_for(answer: Acknowledgement | DumpEnd) -> None:
    if answer.errno:
        text = answer.text if isinstance(answer, Acknowledgement) else ""
        raise RefusedRequest(answer.errno, text or errno_text(answer.errno))


def _number(value: bytes) -> int:
    """Read a number of any width; counters have 32 bits in some kernels and 64 in others."""
    return int.from_bytes(value, byteorder)


def _acknowledgement(body: bytes, flags: int, sequence: int) -> Acknowledgement:
    """Read struct nlmsgerr: the error, and the request that it is about."""
    (error,) = NLMSGERR.unpack_from(body)
    text = b""
    if flags & NLM_F_ACK_TLVS:
        length = NLMSGHDR.size
        if not flags & NLM_F_CAPPED:
            length = NLMSGHDR.unpack_from(body, NLMSGERR.size)[0]
        start = NLMSGERR.size + length + -length % 4
        text = attributes(body, start).get(NLMSGERR_ATTR_MSG, b"")
    return Acknowledgement(sequence, -error, _text(text))


def _reply(body: bytes, statistics: bool) -> Reply | None:
    """Read genlmsghdr and the attributes behind it; None for a command that answers nothing."""
    if len(body) < 4:
        raise ValueError("a generic netlink message ends within its header")
    command = body[0]
    told = attributes(body, 4)
    if command == IPVS_CMD_NEW_SERVICE:
        return _observed_service(attributes(told[IPVS_CMD_ATTR_SERVICE]), statistics)
    if command == IPVS_CMD_NEW_DEST:
        return _observed_dest(attributes(told[IPVS_CMD_ATTR_DEST]), statistics)
    if command == IPVS_CMD_SET_CONFIG:
        return Timeouts(
            _number(told[IPVS_CMD_ATTR_TIMEOUT_TCP]),
            _number(told[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]),
            _number(told[IPVS_CMD_ATTR_TIMEOUT_UDP]),
        )
    if command == IPVS_CMD_SET_INFO:
        version = _number(told[IPVS_INFO_ATTR_VERSION])
        return Info(
            (version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF),
            _number(told[IPVS_INFO_ATTR_CONN_TAB_SIZE]),
        )
    return None


def _observed_service(told: dict[int, bytes], statistics: bool) -> ObservedService:
    family: Family = "IPv6" if _number(told[IPVS_SVC_ATTR_AF]) == AF_INET6 else "IPv4"
    fwmark = _number(told.get(IPVS_SVC_ATTR_FWMARK, b""))
    address, port, protocol = "", 0, "TCP"
    if not fwmark:
        address = _address(told[IPVS_SVC_ATTR_ADDR], family)
        port = int.from_bytes(told[IPVS_SVC_ATTR_PORT], "big")
        number = _number(told[IPVS_SVC_ATTR_PROTOCOL])
        protocol = PROTOCOL_NAMES.get(number) or str(number)
    mask = told[IPVS_SVC_ATTR_NETMASK]
    service = IPVSService(
        address=address,
        port=port,
        protocol=protocol,
        scheduler=_text(told[IPVS_SVC_ATTR_SCHED_NAME]),
        flags=_U32.unpack_from(told[IPVS_SVC_ATTR_FLAGS])[0],
        timeout=_number(told[IPVS_SVC_ATTR_TIMEOUT]),
        fwmark=fwmark,
        family=family,
        netmask=int.from_bytes(mask, "big" if family == "IPv4" else byteorder),
        pe_name=_text(told.get(IPVS_SVC_ATTR_PE_NAME, b"")),
    )
    counters = told.get(IPVS_SVC_ATTR_STATS64) or told.get(IPVS_SVC_ATTR_STATS)
    return ObservedService(service, _stats(counters or b"") if statistics else _NO_STATS)


def _observed_dest(told: dict[int, bytes], statistics: bool) -> ObservedDest:
    # Kernels before 3.18 have no IPVS_DEST_ATTR_ADDR_FAMILY: the family is the service's.
    family = _number(told[IPVS_DEST_ATTR_ADDR_FAMILY])
    dest = Dest(
        _address(told[IPVS_DEST_ATTR_ADDR], "IPv6" if family == AF_INET6 else "IPv4"),
        int.from_bytes(told[IPVS_DEST_ATTR_PORT], "big"),
        _number(told[IPVS_DEST_ATTR_WEIGHT]),
        _number(told[IPVS_DEST_ATTR_FWD_METHOD]),
        _number(told[IPVS_DEST_ATTR_U_THRESH]),
        _number(told[IPVS_DEST_ATTR_L_THRESH]),
    )
    counters = told.get(IPVS_DEST_ATTR_STATS64) or told.get(IPVS_DEST_ATTR_STATS)
    return ObservedDest(
        dest,
        # Absent in a request, which :func:`decode` reads too.
        _number(told.get(IPVS_DEST_ATTR_ACTIVE_CONNS, b"")),
        _number(told.get(IPVS_DEST_ATTR_INACT_CONNS, b"")),
        _number(told.get(IPVS_DEST_ATTR_PERSIST_CONNS, b"")),
        _stats(counters or b"") if statistics else _NO_STATS,
    )


def _stats(value: bytes) -> Stats:
    counters = attributes(value)
    return Stats(*(_number(counters.get(kind, b"")) for kind in IPVS_STATS_ATTRS))


def _address(value: bytes, family: Family) -> str:
    """Read union nf_inet_addr: 16 bytes, of which an IPv4 address takes the first 4."""
    return address_text(value[:4] if family == "IPv4" else value)


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")
