"""Messages to bytes.

What the kernel demands of a request is in ``ip_vs_genl_parse_service`` and
``ip_vs_genl_parse_dest`` of ``net/netfilter/ipvs/ip_vs_ctl.c``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_INET6, htons, inet_pton
from struct import Struct
from sys import byteorder
from types import MappingProxyType

from svcnet.netfilter.ipvs.messages import (
    DelDest,
    DelService,
    Dest,
    Flush,
    GetConfig,
    GetDest,
    GetInfo,
    GetService,
    IPVSService,
    Message,
    NewDest,
    NewService,
    SetConfig,
    SetDest,
    SetService,
    Timeouts,
    Zero,
)
from svcnet.netfilter.ipvs.wire.uapi import (
    ADDRESS_FAMILIES,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    IPVS_CMD_ATTR_DEST,
    IPVS_CMD_ATTR_SERVICE,
    IPVS_CMD_ATTR_TIMEOUT_TCP,
    IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
    IPVS_CMD_ATTR_TIMEOUT_UDP,
    IPVS_CMD_NEW_DEST,
    IPVS_CMD_NEW_SERVICE,
    IPVS_CMD_SET_CONFIG,
    IPVS_DEST_ATTR_ADDR,
    IPVS_DEST_ATTR_ADDR_FAMILY,
    IPVS_DEST_ATTR_FWD_METHOD,
    IPVS_DEST_ATTR_L_THRESH,
    IPVS_DEST_ATTR_PORT,
    IPVS_DEST_ATTR_U_THRESH,
    IPVS_DEST_ATTR_WEIGHT,
    IPVS_GENL_NAME,
    IPVS_GENL_VERSION,
    IPVS_SVC_ATTR_ADDR,
    IPVS_SVC_ATTR_AF,
    IPVS_SVC_ATTR_FLAGS,
    IPVS_SVC_ATTR_FWMARK,
    IPVS_SVC_ATTR_NETMASK,
    IPVS_SVC_ATTR_PE_NAME,
    IPVS_SVC_ATTR_PORT,
    IPVS_SVC_ATTR_PROTOCOL,
    IPVS_SVC_ATTR_SCHED_NAME,
    IPVS_SVC_ATTR_TIMEOUT,
    PROTOCOLS,
)
from svcnet.netlink import (
    ATTRIBUTE,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    attribute,
    nest,
)

_COMMANDS: MappingProxyType[type[Message], int] = MappingProxyType(
    {
        NewService: IPVS_CMD_NEW_SERVICE,
        SetService: 2,  # IPVS_CMD_SET_SERVICE
        DelService: 3,  # IPVS_CMD_DEL_SERVICE
        GetService: 4,  # IPVS_CMD_GET_SERVICE
        NewDest: IPVS_CMD_NEW_DEST,
        SetDest: 6,  # IPVS_CMD_SET_DEST
        DelDest: 7,  # IPVS_CMD_DEL_DEST
        GetDest: 8,  # IPVS_CMD_GET_DEST
        SetConfig: IPVS_CMD_SET_CONFIG,
        GetConfig: 13,  # IPVS_CMD_GET_CONFIG
        GetInfo: 15,  # IPVS_CMD_GET_INFO
        Zero: 16,  # IPVS_CMD_ZERO
        Flush: 17,  # IPVS_CMD_FLUSH
    }
)

_EVERY_FLAG = 0xFFFFFFFF


def _head(kind: int, length: int) -> bytes:
    """Return the header of an attribute whose value has `length` bytes."""
    return ATTRIBUTE.pack(4 + length, kind)


_REQUEST = Struct("=IHHIIBBxx")  # nlmsghdr, and genlmsghdr: command, version

# Each header of an attribute is one constant, `4s`, and struct pads what is shorter than its
# place: an IPv4 address in the 16 bytes of a union nf_inet_addr, and a u16.
_KEY = Struct("=4s4sHxx4sHxx4s16s4sHxx")
_MARK = Struct("=4s4sHxx4sI")
_SCHEDULING = Struct("=4sII4sI4s4s")
_DEST = Struct("=4s4sHxx4s16s4sHxx4sI4sI4sI4sI")
_TIMEOUTS = Struct("=4sI4sI4sI")

_KEY_HEAD = _head(IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED, _KEY.size - 4)
_MARK_HEAD = _head(IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED, _MARK.size - 4)
_AF = _head(IPVS_SVC_ATTR_AF, 2)
_PROTOCOL = _head(IPVS_SVC_ATTR_PROTOCOL, 2)
_ADDR = _head(IPVS_SVC_ATTR_ADDR, 16)
_PORT = _head(IPVS_SVC_ATTR_PORT, 2)
_FWMARK = _head(IPVS_SVC_ATTR_FWMARK, 4)
_FLAGS = _head(IPVS_SVC_ATTR_FLAGS, 8)
_TIMEOUT = _head(IPVS_SVC_ATTR_TIMEOUT, 4)
_NETMASK = _head(IPVS_SVC_ATTR_NETMASK, 4)

_DEST_HEAD = _head(IPVS_CMD_ATTR_DEST | NLA_F_NESTED, _DEST.size - 4)
_DEST_FAMILY = _head(IPVS_DEST_ATTR_ADDR_FAMILY, 2)
_DEST_ADDR = _head(IPVS_DEST_ATTR_ADDR, 16)
_DEST_PORT = _head(IPVS_DEST_ATTR_PORT, 2)
_FWD_METHOD = _head(IPVS_DEST_ATTR_FWD_METHOD, 4)
_WEIGHT = _head(IPVS_DEST_ATTR_WEIGHT, 4)
_U_THRESH = _head(IPVS_DEST_ATTR_U_THRESH, 4)
_L_THRESH = _head(IPVS_DEST_ATTR_L_THRESH, 4)


def encode(
    message: Message, family_id: int, sequence: int = 0, *, acknowledge: bool = True
) -> bytes:
    """Return `message` as one netlink message for the generic netlink family `family_id`.

    The kernel answers each request with an ``Acknowledgement``; without `acknowledge`
    only those that it refuses. What lists many things (``GetDest``, and ``GetService`` of
    all) ends with ``DumpEnd`` instead. Raises ValueError for what has no such form: text
    that is no address of the family, a number that does not fit its place.
    """
    flags = NLM_F_REQUEST | NLM_F_ACK if acknowledge else NLM_F_REQUEST
    try:
        match message:
            case NewDest() | SetDest() | DelDest():
                body = _service_key(message.service) + _dest(message.dest)
            case NewService() | SetService():
                body = _whole_service(message.service)
            case DelService() | Zero(IPVSService()) | GetService(IPVSService()):
                assert message.service
                body = _service_key(message.service)
            case SetConfig():
                body = _timeouts(message.timeouts)
            case GetDest():
                body = _service_key(message.service)
                flags = NLM_F_REQUEST | NLM_F_DUMP
            case GetService():
                body = b""
                flags = NLM_F_REQUEST | NLM_F_DUMP
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
    service: IPVSService | None = None
    key = b""
    flags = NLM_F_REQUEST | NLM_F_ACK if acknowledge else NLM_F_REQUEST
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


def encode_listing(key: bytes, family_id: int) -> bytes:
    """Return a GetDest for a virtual server that the kernel told of, by its key's attributes."""
    body = nest(IPVS_CMD_ATTR_SERVICE, key)
    return _request(_COMMANDS[GetDest], family_id, NLM_F_REQUEST | NLM_F_DUMP, 0, body)


def encode_family_request(sequence: int = 0) -> bytes:
    """Return the question (``CTRL_CMD_GETFAMILY``) that :func:`parse_family` has the answer to."""
    name = attribute(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME)
    return _request(CTRL_CMD_GETFAMILY, GENL_ID_CTRL, NLM_F_REQUEST, sequence, name)


def _request(command: int, family_id: int, flags: int, sequence: int, body: bytes) -> bytes:
    # Port 0 is the kernel's; it fills in the sender's.
    length = _REQUEST.size + len(body)
    return _REQUEST.pack(length, family_id, flags, sequence, 0, command, IPVS_GENL_VERSION) + body


def _service_key(service: IPVSService) -> bytes:
    """Return IPVS_CMD_ATTR_SERVICE with what the kernel finds a service by."""
    family = ADDRESS_FAMILIES[service.family]
    if service.fwmark:
        return _MARK.pack(_MARK_HEAD, _AF, family, _FWMARK, service.fwmark)
    protocol = PROTOCOLS.get(service.protocol) or int(service.protocol)
    address = inet_pton(family, service.address)
    port = htons(service.port)
    return _KEY.pack(_KEY_HEAD, _AF, family, _PROTOCOL, protocol, _ADDR, address, _PORT, port)


def _whole_service(service: IPVSService) -> bytes:
    """Return IPVS_CMD_ATTR_SERVICE with all that the kernel demands of a new service."""
    text = attribute(IPVS_SVC_ATTR_SCHED_NAME, service.scheduler.encode() + b"\0")
    if service.pe_name:
        text += attribute(IPVS_SVC_ATTR_PE_NAME, service.pe_name.encode() + b"\0")
    # An IPv4 netmask is an address; an IPv6 one is a prefix length in the host's order.
    mask = service.netmask.to_bytes(4, "big" if service.family == "IPv4" else byteorder)
    # struct ip_vs_flags: the flags, and which of them to change.
    scheduling = _SCHEDULING.pack(
        _FLAGS, service.flags, _EVERY_FLAG, _TIMEOUT, service.timeout, _NETMASK, mask
    )
    return nest(
        IPVS_CMD_ATTR_SERVICE,
        _service_key(service)[ATTRIBUTE.size :] + text + scheduling,
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
        _head(IPVS_CMD_ATTR_TIMEOUT_TCP, 4),
        timeouts.tcp,
        _head(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, 4),
        timeouts.tcp_fin,
        _head(IPVS_CMD_ATTR_TIMEOUT_UDP, 4),
        timeouts.udp,
    )
