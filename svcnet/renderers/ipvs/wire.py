"""IPVS's generic netlink protocol: messages to bytes, and the kernel's bytes to values.

Nothing here opens a socket. A request is one netlink message::

    nlmsghdr | genlmsghdr | IPVS_CMD_ATTR_SERVICE {...} | IPVS_CMD_ATTR_DEST {...}

Numbers are the host's byte order, ports and IPv4 addresses the network's. An attribute
is its length (with these 4 bytes), its kind and its value, padded to 4 bytes. Names of
constants are those of Linux ``include/uapi/linux/ip_vs.h``, ``netlink.h`` and
``genetlink.h``; what the kernel demands of a request is in ``ip_vs_genl_parse_service``
and ``ip_vs_genl_parse_dest`` of ``net/netfilter/ipvs/ip_vs_ctl.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from os import strerror
from socket import AF_INET, AF_INET6, htons, inet_ntop, inet_pton
from struct import Struct
from sys import byteorder
from types import MappingProxyType

from svcnet.renderers.ipvs.messages import (
    Acknowledgement,
    DelDest,
    DelService,
    Dest,
    Done,
    Family,
    Flush,
    GetConfig,
    GetDest,
    GetInfo,
    GetService,
    Info,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    ObservedService,
    Reply,
    Service,
    SetConfig,
    SetDest,
    SetService,
    Stats,
    Timeouts,
    Zero,
)

# linux/netlink.h
_NLM_F_REQUEST = 0x001
_NLM_F_ACK = 0x004
_NLM_F_DUMP = 0x300
_NLM_F_CAPPED = 0x100  # in an NLMSG_ERROR: the request is not repeated behind its header
_NLM_F_ACK_TLVS = 0x200  # in an NLMSG_ERROR: attributes follow
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1
_NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

# linux/genetlink.h
_GENL_ID_CTRL = 0x10
_CTRL_CMD_NEWFAMILY = 1
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2

# linux/ip_vs.h
_IPVS_GENL_NAME = b"IPVS\0"
_IPVS_GENL_VERSION = 1

_IPVS_CMD_NEW_SERVICE = 1
_IPVS_CMD_NEW_DEST = 5
_IPVS_CMD_SET_CONFIG = 12
_IPVS_CMD_SET_INFO = 14
_COMMANDS: MappingProxyType[type[Message], int] = MappingProxyType(
    {
        NewService: _IPVS_CMD_NEW_SERVICE,
        SetService: 2,  # IPVS_CMD_SET_SERVICE
        DelService: 3,  # IPVS_CMD_DEL_SERVICE
        GetService: 4,  # IPVS_CMD_GET_SERVICE
        NewDest: _IPVS_CMD_NEW_DEST,
        SetDest: 6,  # IPVS_CMD_SET_DEST
        DelDest: 7,  # IPVS_CMD_DEL_DEST
        GetDest: 8,  # IPVS_CMD_GET_DEST
        SetConfig: _IPVS_CMD_SET_CONFIG,
        GetConfig: 13,  # IPVS_CMD_GET_CONFIG
        GetInfo: 15,  # IPVS_CMD_GET_INFO
        Zero: 16,  # IPVS_CMD_ZERO
        Flush: 17,  # IPVS_CMD_FLUSH
    }
)

_IPVS_CMD_ATTR_SERVICE = 1
_IPVS_CMD_ATTR_DEST = 2
_IPVS_CMD_ATTR_TIMEOUT_TCP = 4
_IPVS_CMD_ATTR_TIMEOUT_TCP_FIN = 5
_IPVS_CMD_ATTR_TIMEOUT_UDP = 6

_IPVS_SVC_ATTR_AF = 1
_IPVS_SVC_ATTR_PROTOCOL = 2
_IPVS_SVC_ATTR_ADDR = 3
_IPVS_SVC_ATTR_PORT = 4
_IPVS_SVC_ATTR_FWMARK = 5
_IPVS_SVC_ATTR_SCHED_NAME = 6
_IPVS_SVC_ATTR_FLAGS = 7
_IPVS_SVC_ATTR_TIMEOUT = 8
_IPVS_SVC_ATTR_NETMASK = 9
_IPVS_SVC_ATTR_STATS = 10
_IPVS_SVC_ATTR_PE_NAME = 11
_IPVS_SVC_ATTR_STATS64 = 12

_IPVS_DEST_ATTR_ADDR = 1
_IPVS_DEST_ATTR_PORT = 2
_IPVS_DEST_ATTR_FWD_METHOD = 3
_IPVS_DEST_ATTR_WEIGHT = 4
_IPVS_DEST_ATTR_U_THRESH = 5
_IPVS_DEST_ATTR_L_THRESH = 6
_IPVS_DEST_ATTR_ACTIVE_CONNS = 7
_IPVS_DEST_ATTR_INACT_CONNS = 8
_IPVS_DEST_ATTR_PERSIST_CONNS = 9
_IPVS_DEST_ATTR_STATS = 10
_IPVS_DEST_ATTR_ADDR_FAMILY = 11
_IPVS_DEST_ATTR_STATS64 = 12

# IPVS_STATS_ATTR_CONNS (1) to IPVS_STATS_ATTR_OUTBPS (10), in the order of Stats' fields.
_IPVS_STATS_ATTRS = range(1, 11)

_IPVS_INFO_ATTR_VERSION = 1
_IPVS_INFO_ATTR_CONN_TAB_SIZE = 2

_ADDRESS_FAMILIES: MappingProxyType[Family, int] = MappingProxyType(
    {"IPv4": int(AF_INET), "IPv6": int(AF_INET6)}
)
_PROTOCOLS = MappingProxyType({"TCP": 6, "UDP": 17, "SCTP": 132})
_PROTOCOL_NAMES = MappingProxyType({number: name for name, number in _PROTOCOLS.items()})

_EVERY_FLAG = 0xFFFFFFFF


def _head(kind: int, length: int) -> bytes:
    """Return the header of an attribute whose value has `length` bytes."""
    return _ATTRIBUTE.pack(4 + length, kind)


_NLMSGHDR = Struct("=IHHII")  # length, kind, flags, sequence, port
_REQUEST = Struct("=IHHIIBBxx")  # nlmsghdr, and genlmsghdr: command, version
_NLMSGERR = Struct("=i")  # minus errno; the header of the request follows
_ATTRIBUTE = Struct("=HH")  # length, kind
_U32 = Struct("=I")

# Each header of an attribute is one constant, `4s`, and struct pads what is shorter than its
# place: an IPv4 address in the 16 bytes of a union nf_inet_addr, and a u16.
_KEY = Struct("=4s4sHxx4sHxx4s16s4sHxx")
_MARK = Struct("=4s4sHxx4sI")
_SCHEDULING = Struct("=4sII4sI4s4s")
_DEST = Struct("=4s4sHxx4s16s4sHxx4sI4sI4sI4sI")
_TIMEOUTS = Struct("=4sI4sI4sI")

_KEY_HEAD = _head(_IPVS_CMD_ATTR_SERVICE | _NLA_F_NESTED, _KEY.size - 4)
_MARK_HEAD = _head(_IPVS_CMD_ATTR_SERVICE | _NLA_F_NESTED, _MARK.size - 4)
_AF = _head(_IPVS_SVC_ATTR_AF, 2)
_PROTOCOL = _head(_IPVS_SVC_ATTR_PROTOCOL, 2)
_ADDR = _head(_IPVS_SVC_ATTR_ADDR, 16)
_PORT = _head(_IPVS_SVC_ATTR_PORT, 2)
_FWMARK = _head(_IPVS_SVC_ATTR_FWMARK, 4)
_FLAGS = _head(_IPVS_SVC_ATTR_FLAGS, 8)
_TIMEOUT = _head(_IPVS_SVC_ATTR_TIMEOUT, 4)
_NETMASK = _head(_IPVS_SVC_ATTR_NETMASK, 4)

_DEST_HEAD = _head(_IPVS_CMD_ATTR_DEST | _NLA_F_NESTED, _DEST.size - 4)
_DEST_FAMILY = _head(_IPVS_DEST_ATTR_ADDR_FAMILY, 2)
_DEST_ADDR = _head(_IPVS_DEST_ATTR_ADDR, 16)
_DEST_PORT = _head(_IPVS_DEST_ATTR_PORT, 2)
_FWD_METHOD = _head(_IPVS_DEST_ATTR_FWD_METHOD, 4)
_WEIGHT = _head(_IPVS_DEST_ATTR_WEIGHT, 4)
_U_THRESH = _head(_IPVS_DEST_ATTR_U_THRESH, 4)
_L_THRESH = _head(_IPVS_DEST_ATTR_L_THRESH, 4)


def encode(
    message: Message, family_id: int, sequence: int = 0, *, acknowledge: bool = True
) -> bytes:
    """Return `message` as one netlink message for the generic netlink family `family_id`.

    The kernel answers each request with an ``Acknowledgement``; without `acknowledge`
    only those that it refuses. What lists many things (``GetDest``, and ``GetService`` of
    all) ends with ``Done`` instead. Raises ValueError for what has no such form: text
    that is no address of the family, a number that does not fit its place.
    """
    flags = _NLM_F_REQUEST | _NLM_F_ACK if acknowledge else _NLM_F_REQUEST
    try:
        match message:
            case NewDest() | SetDest() | DelDest():
                body = _service_key(message.service) + _dest(message.dest)
            case NewService() | SetService():
                body = _whole_service(message.service)
            case DelService() | Zero(Service()) | GetService(Service()):
                assert message.service
                body = _service_key(message.service)
            case SetConfig():
                body = _timeouts(message.timeouts)
            case GetDest():
                body = _service_key(message.service)
                flags = _NLM_F_REQUEST | _NLM_F_DUMP
            case GetService():
                body = b""
                flags = _NLM_F_REQUEST | _NLM_F_DUMP
            case _:
                body = b""
        return _request(_COMMANDS[type(message)], family_id, flags, sequence, body)
    except (struct.error, OSError, OverflowError) as error:
        raise ValueError(f"cannot encode {message!r}: {error}") from error


def encode_all(
    messages: Iterable[Message], family_id: int, first: int = 1, *, acknowledge: bool = True
) -> Iterator[bytes]:
    """Encode messages with the sequence numbers from `first` on; see :func:`encode`.

    The key of a service is encoded once for all destinations that follow each other.
    """
    service: Service | None = None
    key = b""
    flags = _NLM_F_REQUEST | _NLM_F_ACK if acknowledge else _NLM_F_REQUEST
    for sequence, message in enumerate(messages, first):
        if not isinstance(message, NewDest | SetDest | DelDest):
            yield encode(message, family_id, sequence, acknowledge=acknowledge)
            continue
        try:
            if message.service is not service:
                key = _service_key(message.service)
                service = message.service
            body = key + _dest(message.dest)
            yield _request(_COMMANDS[type(message)], family_id, flags, sequence, body)
        except (struct.error, OSError, OverflowError) as error:
            raise ValueError(f"cannot encode {message!r}: {error}") from error


def encode_family_request(sequence: int = 0) -> bytes:
    """Return the question (``CTRL_CMD_GETFAMILY``) that :func:`parse_family` has the answer to."""
    name = _attribute(_CTRL_ATTR_FAMILY_NAME, _IPVS_GENL_NAME)
    return _request(_CTRL_CMD_GETFAMILY, _GENL_ID_CTRL, _NLM_F_REQUEST, sequence, name)


def _request(command: int, family_id: int, flags: int, sequence: int, body: bytes) -> bytes:
    # Port 0 is the kernel's; it fills in the sender's.
    length = _REQUEST.size + len(body)
    return _REQUEST.pack(length, family_id, flags, sequence, 0, command, _IPVS_GENL_VERSION) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return _head(kind, len(value)) + value + bytes(-len(value) % 4)


def _service_key(service: Service) -> bytes:
    """Return IPVS_CMD_ATTR_SERVICE with what the kernel finds a service by."""
    family = _ADDRESS_FAMILIES[service.family]
    if service.fwmark:
        return _MARK.pack(_MARK_HEAD, _AF, family, _FWMARK, service.fwmark)
    protocol = _PROTOCOLS.get(service.protocol) or int(service.protocol)
    address = inet_pton(family, service.address)
    port = htons(service.port)
    return _KEY.pack(_KEY_HEAD, _AF, family, _PROTOCOL, protocol, _ADDR, address, _PORT, port)


def _whole_service(service: Service) -> bytes:
    """Return IPVS_CMD_ATTR_SERVICE with all that the kernel demands of a new service."""
    text = _attribute(_IPVS_SVC_ATTR_SCHED_NAME, service.scheduler.encode() + b"\0")
    if service.pe_name:
        text += _attribute(_IPVS_SVC_ATTR_PE_NAME, service.pe_name.encode() + b"\0")
    # An IPv4 netmask is an address; an IPv6 one is a prefix length in the host's order.
    mask = service.netmask.to_bytes(4, "big" if service.family == "IPv4" else byteorder)
    # struct ip_vs_flags: the flags, and which of them to change.
    scheduling = _SCHEDULING.pack(
        _FLAGS, service.flags, _EVERY_FLAG, _TIMEOUT, service.timeout, _NETMASK, mask
    )
    return _attribute(
        _IPVS_CMD_ATTR_SERVICE | _NLA_F_NESTED,
        _service_key(service)[_ATTRIBUTE.size :] + text + scheduling,
    )


def _dest(dest: Dest) -> bytes:
    """Return IPVS_CMD_ATTR_DEST with all that the kernel demands of a new destination."""
    address = dest.address
    family = AF_INET6 if ":" in address else AF_INET
    return _DEST.pack(
        _DEST_HEAD,
        _DEST_FAMILY,
        family,
        _DEST_ADDR,
        inet_pton(family, address),
        _DEST_PORT,
        htons(dest.port),
        _FWD_METHOD,
        dest.forward,
        _WEIGHT,
        dest.weight,
        _U_THRESH,
        dest.upper_threshold,
        _L_THRESH,
        dest.lower_threshold,
    )


def _timeouts(timeouts: Timeouts) -> bytes:
    return _TIMEOUTS.pack(
        _head(_IPVS_CMD_ATTR_TIMEOUT_TCP, 4),
        timeouts.tcp,
        _head(_IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, 4),
        timeouts.tcp_fin,
        _head(_IPVS_CMD_ATTR_TIMEOUT_UDP, 4),
        timeouts.udp,
    )


class RefusedRequest(OSError):  # noqa: N818  (what the kernel said, not a fault of ours)
    """The kernel's own no, with its errno; other OSErrors are the socket's."""


def decode(datagram: bytes) -> Iterator[Reply]:
    """Yield what one received datagram says; it may hold several netlink messages.

    Attributes and messages that are unknown here are passed over. Raises ValueError for
    bytes that are no netlink messages, or that lack what IPVS always sends.
    """
    for kind, flags, sequence, body in _messages(datagram):
        try:
            if kind == _NLMSG_ERROR:
                yield _acknowledgement(body, flags, sequence)
            elif kind == _NLMSG_DONE:
                # A dump that failed half way says so here.
                yield Done(sequence, -_NLMSGERR.unpack_from(body)[0] if len(body) >= 4 else 0)
            elif kind > _GENL_ID_CTRL:
                reply = _reply(body)
                if reply is not None:
                    yield reply
        except (struct.error, KeyError, OSError) as error:
            raise ValueError(f"an incomplete message from IPVS: {error!r}") from error


def answers(datagrams: Iterable[bytes]) -> Iterator[Reply]:
    """Yield the replies to one question, up to the message that ends them.

    Raises :class:`RefusedRequest` for what the kernel refused or ended half way.
    """
    for datagram in datagrams:
        for reply in decode(datagram):
            if isinstance(reply, Acknowledgement | Done):
                _raise_for(reply)
                return
            yield reply


def configurations(datagrams: Iterable[bytes]) -> Iterator[tuple[Family, bytes]]:
    """Yield each virtual server as the kernel tells it, but for its statistics, with its family.

    The bytes are for comparison: they are the same as long as nobody changes the server.
    `datagrams` answer a GetService; raises :class:`RefusedRequest` as :func:`answers` does.
    """
    for datagram in datagrams:
        for kind, flags, sequence, body in _messages(datagram):
            if kind == _NLMSG_ERROR:
                _raise_for(_acknowledgement(body, flags, sequence))
            if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                return
            attributes = _attributes(_attributes(body, 4)[_IPVS_CMD_ATTR_SERVICE])
            is_six = _number(attributes[_IPVS_SVC_ATTR_AF]) == AF_INET6
            told = b"".join(
                _attribute(kind, value)
                for kind, value in attributes.items()
                if kind not in (_IPVS_SVC_ATTR_STATS, _IPVS_SVC_ATTR_STATS64)
            )
            yield "IPv6" if is_six else "IPv4", told


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
        for kind, flags, sequence, body in _messages(datagram):
            try:
                if kind == _NLMSG_ERROR:
                    answer = _acknowledgement(body, flags, sequence)
                elif kind == _GENL_ID_CTRL and body[:1] == bytes([_CTRL_CMD_NEWFAMILY]):
                    return _number(_attributes(body, 4)[_CTRL_ATTR_FAMILY_ID])
                else:
                    continue
            except (struct.error, KeyError) as error:
                raise ValueError(f"an incomplete answer: {error!r}") from error
            _raise_for(answer)
    raise ValueError("no family in the answer")


def _raise_for(answer: Acknowledgement | Done) -> None:
    if answer.errno:
        text = answer.text if isinstance(answer, Acknowledgement) else ""
        raise RefusedRequest(answer.errno, text or strerror(answer.errno))


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the kind, flags, sequence and body of each netlink message in a datagram."""
    offset = 0
    while offset < len(datagram):
        if len(datagram) - offset < _NLMSGHDR.size:
            raise ValueError("a netlink message ends within its header")
        length, kind, flags, sequence, _ = _NLMSGHDR.unpack_from(datagram, offset)
        if not _NLMSGHDR.size <= length <= len(datagram) - offset:
            raise ValueError(f"a netlink message of {length} bytes does not fit its datagram")
        yield kind, flags, sequence, datagram[offset + _NLMSGHDR.size : offset + length]
        offset += length + -length % 4


def _attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from `offset` on by their kind, each as the bytes of its value."""
    found = {}
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if not 4 <= length <= end - offset:
            raise ValueError(f"an attribute of {length} bytes does not fit its message")
        found[kind & _NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += length + -length % 4
    return found


def _number(value: bytes) -> int:
    """Read a number of any width; counters have 32 bits in some kernels and 64 in others."""
    return int.from_bytes(value, byteorder)


def _acknowledgement(body: bytes, flags: int, sequence: int) -> Acknowledgement:
    """Read struct nlmsgerr: the error, and the request that it is about."""
    (error,) = _NLMSGERR.unpack_from(body)
    text = b""
    if flags & _NLM_F_ACK_TLVS:
        length = _NLMSGHDR.size
        if not flags & _NLM_F_CAPPED:
            length = _NLMSGHDR.unpack_from(body, _NLMSGERR.size)[0]
        start = _NLMSGERR.size + length + -length % 4
        text = _attributes(body, start).get(_NLMSGERR_ATTR_MSG, b"")
    return Acknowledgement(sequence, -error, _text(text))


def _reply(body: bytes) -> Reply | None:
    """Read genlmsghdr and the attributes behind it; None for a command that answers nothing."""
    if len(body) < 4:
        raise ValueError("a generic netlink message ends within its header")
    command = body[0]
    attributes = _attributes(body, 4)
    if command == _IPVS_CMD_NEW_SERVICE:
        return _observed_service(_attributes(attributes[_IPVS_CMD_ATTR_SERVICE]))
    if command == _IPVS_CMD_NEW_DEST:
        return _observed_dest(_attributes(attributes[_IPVS_CMD_ATTR_DEST]))
    if command == _IPVS_CMD_SET_CONFIG:
        return Timeouts(
            _number(attributes[_IPVS_CMD_ATTR_TIMEOUT_TCP]),
            _number(attributes[_IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]),
            _number(attributes[_IPVS_CMD_ATTR_TIMEOUT_UDP]),
        )
    if command == _IPVS_CMD_SET_INFO:
        version = _number(attributes[_IPVS_INFO_ATTR_VERSION])
        return Info(
            (version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF),
            _number(attributes[_IPVS_INFO_ATTR_CONN_TAB_SIZE]),
        )
    return None


def _observed_service(attributes: dict[int, bytes]) -> ObservedService:
    family: Family = "IPv6" if _number(attributes[_IPVS_SVC_ATTR_AF]) == AF_INET6 else "IPv4"
    fwmark = _number(attributes.get(_IPVS_SVC_ATTR_FWMARK, b""))
    address, port, protocol = "", 0, "TCP"
    if not fwmark:
        address = _address(attributes[_IPVS_SVC_ATTR_ADDR], family)
        port = int.from_bytes(attributes[_IPVS_SVC_ATTR_PORT], "big")
        number = _number(attributes[_IPVS_SVC_ATTR_PROTOCOL])
        protocol = _PROTOCOL_NAMES.get(number) or str(number)
    mask = attributes[_IPVS_SVC_ATTR_NETMASK]
    service = Service(
        address,
        port,
        protocol,
        _text(attributes[_IPVS_SVC_ATTR_SCHED_NAME]),
        _U32.unpack_from(attributes[_IPVS_SVC_ATTR_FLAGS])[0],
        _number(attributes[_IPVS_SVC_ATTR_TIMEOUT]),
        fwmark,
        family,
        int.from_bytes(mask, "big" if family == "IPv4" else byteorder),
        _text(attributes.get(_IPVS_SVC_ATTR_PE_NAME, b"")),
    )
    statistics = attributes.get(_IPVS_SVC_ATTR_STATS64) or attributes.get(_IPVS_SVC_ATTR_STATS)
    return ObservedService(service, _stats(statistics or b""))


def _observed_dest(attributes: dict[int, bytes]) -> ObservedDest:
    # Kernels before 3.18 have no IPVS_DEST_ATTR_ADDR_FAMILY: the family is the service's.
    family = _number(attributes[_IPVS_DEST_ATTR_ADDR_FAMILY])
    dest = Dest(
        _address(attributes[_IPVS_DEST_ATTR_ADDR], "IPv6" if family == AF_INET6 else "IPv4"),
        int.from_bytes(attributes[_IPVS_DEST_ATTR_PORT], "big"),
        _number(attributes[_IPVS_DEST_ATTR_WEIGHT]),
        _number(attributes[_IPVS_DEST_ATTR_FWD_METHOD]),
        _number(attributes[_IPVS_DEST_ATTR_U_THRESH]),
        _number(attributes[_IPVS_DEST_ATTR_L_THRESH]),
    )
    statistics = attributes.get(_IPVS_DEST_ATTR_STATS64) or attributes.get(_IPVS_DEST_ATTR_STATS)
    return ObservedDest(
        dest,
        # Absent in a request, which :func:`decode` reads too.
        _number(attributes.get(_IPVS_DEST_ATTR_ACTIVE_CONNS, b"")),
        _number(attributes.get(_IPVS_DEST_ATTR_INACT_CONNS, b"")),
        _number(attributes.get(_IPVS_DEST_ATTR_PERSIST_CONNS, b"")),
        _stats(statistics or b""),
    )


def _stats(value: bytes) -> Stats:
    counters = _attributes(value)
    return Stats(*(_number(counters.get(kind, b"")) for kind in _IPVS_STATS_ATTRS))


def _address(value: bytes, family: Family) -> str:
    """Read union nf_inet_addr: 16 bytes, of which an IPv4 address takes the first 4."""
    return address_text(value[:4] if family == "IPv4" else value)


def address_text(packed: bytes) -> str:
    """Return the canonical text (RFC 5952) of an address of 4 or 16 bytes."""
    if len(packed) == 4:
        return inet_ntop(AF_INET, packed)
    text = inet_ntop(AF_INET6, packed)
    if "." in text and packed[:12] == bytes(12):
        # The C library writes ::1.2.3.4 where RFC 5952 writes ::102:304.
        return f"::{packed[12] << 8 | packed[13]:x}:{packed[14] << 8 | packed[15]:x}"
    return text


def canonical_address(text: str) -> str:
    """Return the canonical text (RFC 5952) of an address; that of IPv4 has only one."""
    return address_text(inet_pton(AF_INET6, text)) if ":" in text else text


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")
