"""The part of ctnetlink that lists and deletes UDP entries: values to bytes, bytes to values.

Nothing here opens a socket. A message is ``nlmsghdr | nfgenmsg | attributes``. Numbers of
headers are the host's byte order; addresses, ports, zones and ids the network's. Names of
constants are those of Linux ``include/uapi/linux/netfilter/nfnetlink_conntrack.h``; what
the kernel does with a request is in ``net/netfilter/nf_conntrack_netlink.c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from socket import AF_INET, AF_INET6, IPPROTO_UDP, inet_pton
from struct import Struct
from struct import error as struct_error

from attrs import frozen

from svcnet.addresses import ipv4_text, ipv6_text
from svcnet.netlink import (
    ATTRIBUTE,
    NFGENMSG,
    NLA_F_NESTED,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NLMSGERR,
    RefusedRequest,
    attribute,
    attributes,
    messages,
    nest,
)
from svcnet.renderers.conntrack.flows import Family, Flow, ZoneOf

__all__ = ["ErrorMessage", "encode_deletions", "encode_listing", "parse_listing", "parse_refusals"]

# linux/netfilter/nfnetlink.h: the subsystem is the upper byte of a message's kind
_NFNL_SUBSYS_CTNETLINK = 1 << 8
_IPCTNL_MSG_CT_NEW = _NFNL_SUBSYS_CTNETLINK | 0
_IPCTNL_MSG_CT_GET = _NFNL_SUBSYS_CTNETLINK | 1
_IPCTNL_MSG_CT_DELETE = _NFNL_SUBSYS_CTNETLINK | 2

_CTA_TUPLE_ORIG = 1
_CTA_TUPLE_REPLY = 2
_CTA_ID = 12
_CTA_ZONE = 18
_CTA_FILTER = 25

_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_TUPLE_ZONE = 3

_CTA_IP_V4_SRC = 1
_CTA_IP_V4_DST = 2
_CTA_IP_V6_SRC = 3
_CTA_IP_V6_DST = 4

_CTA_PROTO_NUM = 1
_CTA_PROTO_SRC_PORT = 2
_CTA_PROTO_DST_PORT = 3

_CTA_FILTER_ORIG_FLAGS = 1
_CTA_FILTER_REPLY_FLAGS = 2
_CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3  # net/netfilter/nf_internals.h

_REQUEST = Struct("=IHHIIBBH")  # nlmsghdr, and nfgenmsg: family, version, resource id
_U32 = Struct("=I")
_BE16 = Struct("!H")
_BE32 = Struct("!I")

_FAMILIES: dict[Family, int] = {"IPv4": int(AF_INET), "IPv6": int(AF_INET6)}


@frozen
class ErrorMessage:
    """A message that the kernel did not carry out: its sequence number, and why."""

    sequence: int
    errno: int


def encode_listing(family: Family) -> bytes:
    """Return the question for every UDP entry of a family; :func:`parse_listing` reads the answer.

    Kernels before 5.8 pay no heed to the protocol and send every entry.
    """
    udp = nest(_CTA_TUPLE_PROTO, attribute(_CTA_PROTO_NUM, bytes([IPPROTO_UDP])))
    flags = _U32.pack(_CTA_FILTER_F_CTA_PROTO_NUM)
    body = nest(_CTA_TUPLE_ORIG, udp) + nest(
        _CTA_FILTER,
        attribute(_CTA_FILTER_ORIG_FLAGS, flags) + attribute(_CTA_FILTER_REPLY_FLAGS, _U32.pack(0)),
    )
    return _request(_IPCTNL_MSG_CT_GET, NLM_F_REQUEST | NLM_F_DUMP, 0, family, body)


def encode_deletions(flows: Sequence[Flow]) -> bytes:
    """Return messages, numbered from 1, that delete `flows`. Only those that fail are answered.

    An entry is named by the tuple of its answers, its zone and its id. Should it be gone
    and its client have got another one since, that has another endpoint in its answers'
    tuple, so the message does not find it.
    """
    return b"".join(_deletion(sequence, flow) for sequence, flow in enumerate(flows, 1))


def _deletion(sequence: int, flow: Flow) -> bytes:
    body = _reply_tuple(flow)
    if flow.zone and flow.zone_of == "both":
        body += attribute(_CTA_ZONE, _BE16.pack(flow.zone))
    body += attribute(_CTA_ID, _BE32.pack(flow.id))
    return _request(_IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST, sequence, flow.family, body)


def _reply_tuple(flow: Flow) -> bytes:
    if flow.family == "IPv6":
        family, source, destination = AF_INET6, _CTA_IP_V6_SRC, _CTA_IP_V6_DST
    else:
        family, source, destination = AF_INET, _CTA_IP_V4_SRC, _CTA_IP_V4_DST
    parts = nest(
        _CTA_TUPLE_IP,
        attribute(source, inet_pton(family, flow.reply_source))
        + attribute(destination, inet_pton(family, flow.reply_destination)),
    ) + nest(
        _CTA_TUPLE_PROTO,
        attribute(_CTA_PROTO_NUM, bytes([IPPROTO_UDP]))
        + attribute(_CTA_PROTO_SRC_PORT, _BE16.pack(flow.reply_source_port))
        + attribute(_CTA_PROTO_DST_PORT, _BE16.pack(flow.reply_destination_port)),
    )
    if flow.zone_of == "reply":
        parts += attribute(_CTA_TUPLE_ZONE, _BE16.pack(flow.zone))
    return nest(_CTA_TUPLE_REPLY, parts)


def _request(kind: int, flags: int, sequence: int, family: Family, body: bytes) -> bytes:
    # Port 0 is the kernel's; it fills in the sender's.
    length = _REQUEST.size + len(body)
    return _REQUEST.pack(length, kind, flags, sequence, 0, _FAMILIES[family], 0, 0) + body


def parse_listing(datagrams: Iterable[bytes]) -> Iterator[Flow]:
    """Yield the UDP entries that the kernel sends, up to the message that ends the listing.

    Raises :class:`svcnet.netlink.RefusedRequest` if it refuses to, or ends half way, and
    ValueError for bytes that are no such answer.
    """
    for datagram in datagrams:
        for kind, _, _, body in messages(datagram):
            if kind == _IPCTNL_MSG_CT_NEW:
                flow = _flow(body)
                if flow is not None:
                    yield flow
            elif kind in (NLMSG_ERROR, NLMSG_DONE):
                errno = _errno(body)
                if errno:
                    raise RefusedRequest(errno, "")
                return


def parse_refusals(datagrams: Iterable[bytes]) -> Iterator[ErrorMessage]:
    """Yield what was refused of deletions."""
    for datagram in datagrams:
        for kind, _, sequence, body in messages(datagram):
            if kind == NLMSG_ERROR and _errno(body):
                yield ErrorMessage(sequence, _errno(body))


def _errno(body: bytes) -> int:
    return int(-NLMSGERR.unpack_from(body)[0]) if len(body) >= NLMSGERR.size else 0


def _flow(body: bytes) -> Flow | None:
    """Read one entry, None for another protocol than UDP."""
    try:
        entry = attributes(body, NFGENMSG.size)
        original = entry[_CTA_TUPLE_ORIG]
        asked = _ends(original)
        if asked is None:
            return None
        reply = entry[_CTA_TUPLE_REPLY]
        answered = _ends(reply)
        if answered is None:
            raise ValueError("an entry whose two tuples have different protocols")
        zone, zone_of = _zone(entry, original, reply)
        (number,) = _BE32.unpack(entry[_CTA_ID])
        return Flow(*asked, *answered, zone, zone_of, number)
    except (KeyError, OSError, struct_error) as error:
        raise ValueError(f"an incomplete entry from conntrack: {error!r}") from error


def _ends(data: bytes) -> tuple[str, int, str, int] | None:
    """Return the source and the destination of a UDP tuple, None for another protocol.

    Kernels write the attributes of a tuple in one order, and reading them at their places
    takes a fraction of the time. Any other order is read attribute by attribute.
    """
    layout = _LAYOUTS.get(data[: ATTRIBUTE.size])
    if layout is not None and len(data) >= layout.struct.size:
        (_, source_head, source, destination_head, destination, *others) = (
            layout.struct.unpack_from(data)
        )
        proto_head, num_head, num, source_port_head, source_port, port_head, port = others
        heads = (source_head, destination_head, proto_head, num_head, source_port_head, port_head)
        if heads == layout.heads:
            told = layout.text
            ends = told(source), source_port, told(destination), port
            return ends if num == IPPROTO_UDP else None
    return _ends_in_any_order(attributes(data))


def _ends_in_any_order(parts: dict[int, bytes]) -> tuple[str, int, str, int] | None:
    protocol = attributes(parts[_CTA_TUPLE_PROTO])
    if protocol[_CTA_PROTO_NUM][0] != IPPROTO_UDP:
        return None
    addresses = attributes(parts[_CTA_TUPLE_IP])
    if _CTA_IP_V4_SRC in addresses:
        source = ipv4_text(addresses[_CTA_IP_V4_SRC])
        destination = ipv4_text(addresses[_CTA_IP_V4_DST])
    else:
        source = ipv6_text(addresses[_CTA_IP_V6_SRC])
        destination = ipv6_text(addresses[_CTA_IP_V6_DST])
    (source_port,) = _BE16.unpack(protocol[_CTA_PROTO_SRC_PORT])
    (destination_port,) = _BE16.unpack(protocol[_CTA_PROTO_DST_PORT])
    return source, source_port, destination, destination_port


@frozen
class _Layout:
    """Where a tuple of one family has its attributes, and their headers but the first's."""

    text: Callable[[bytes], str]
    struct: Struct
    heads: tuple[bytes, ...]


def _layout(
    text: Callable[[bytes], str], size: int, source: int, destination: int
) -> tuple[bytes, _Layout]:
    """Return the header that a tuple of the family begins with, and its layout."""
    address = f"4s{size}s"
    struct = Struct(f"!4s{address}{address}4s4sB3x4sH2x4sH2x")
    head = ATTRIBUTE.pack
    heads = (
        head(4 + size, source),
        head(4 + size, destination),
        head(28, _CTA_TUPLE_PROTO | NLA_F_NESTED),
        head(5, _CTA_PROTO_NUM),
        head(6, _CTA_PROTO_SRC_PORT),
        head(6, _CTA_PROTO_DST_PORT),
    )
    return head(12 + 2 * size, _CTA_TUPLE_IP | NLA_F_NESTED), _Layout(text, struct, heads)


_LAYOUTS = dict(
    (
        _layout(ipv4_text, 4, _CTA_IP_V4_SRC, _CTA_IP_V4_DST),
        _layout(ipv6_text, 16, _CTA_IP_V6_SRC, _CTA_IP_V6_DST),
    )
)


def _zone(entry: dict[int, bytes], original: bytes, reply: bytes) -> tuple[int, ZoneOf]:
    """Return the zone, which is an attribute of the entry or of one of its tuples."""
    if _CTA_ZONE in entry:
        return _BE16.unpack(entry[_CTA_ZONE])[0], "both"
    if len(original) != len(reply):
        directions: tuple[tuple[bytes, ZoneOf], ...] = ((original, "original"), (reply, "reply"))
        for data, zone_of in directions:
            zone = attributes(data).get(_CTA_TUPLE_ZONE)
            if zone is not None:
                return _BE16.unpack(zone)[0], zone_of
    return 0, "both"
