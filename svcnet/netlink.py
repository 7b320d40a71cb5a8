"""The framing of netlink: messages and attributes, as bytes and from bytes.

Nothing here opens a socket. A message is ``nlmsghdr``, a header of its protocol and
attributes. An attribute is its length (with these 4 bytes), its kind and its value, padded to 4
bytes. Names of constants are those of Linux ``include/uapi/linux/netlink.h``.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import strerror
from struct import Struct

NETLINK_NETFILTER = 12
"""The protocol of a socket to netfilter."""
NFNL_SUBSYS_NFTABLES = 10
"""The upper byte of the kinds of nf_tables's messages (``linux/netfilter/nfnetlink.h``)."""

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP_INTR = 0x010
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_CAPPED = 0x100
"""In an NLMSG_ERROR: the request is not repeated behind its header."""
NLM_F_ACK_TLVS = 0x200
"""In an NLMSG_ERROR: attributes follow."""

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_OFFS = 2
"""Where in the request, from its header on, is what was refused."""
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

NLMSGHDR = Struct("=IHHII")
"""Length, kind, flags, sequence, port."""
NLMSGERR = Struct("=i")
"""Minus errno; the header of the request follows."""
NFGENMSG = Struct(">BBH")
"""What messages of netfilter begin with: family, version, and for which subsystem a batch is."""
ATTRIBUTE = Struct("=HH")
"""Length and kind."""


class RefusedRequest(OSError):  # noqa: N818  (what the kernel said, not a fault of ours)
    """The kernel's own no, with its errno; other OSErrors are the socket's."""


def errno_text(errno: int) -> str:
    """Return what an errno means; a number that is none is given as it is."""
    try:
        return strerror(errno)
    except (OverflowError, ValueError):
        return f"error {errno}"


def attribute(kind: int, value: bytes) -> bytes:
    """Return the bytes of one attribute."""
    return ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind: int, value: bytes) -> bytes:
    """Return the bytes of an attribute that has attributes in it."""
    return attribute(kind | NLA_F_NESTED, value)


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return the bytes of one message, whose `body` is a multiple of 4 bytes."""
    return NLMSGHDR.pack(NLMSGHDR.size + len(body), kind, flags, sequence, 0) + body


def messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the kind, flags, sequence and body of each netlink message in a datagram.

    Raises ValueError for bytes that are no such messages.
    """
    offset = 0
    while offset < len(datagram):
        if len(datagram) - offset < NLMSGHDR.size:
            raise ValueError("a netlink message ends within its header")
        length, kind, flags, sequence, _ = NLMSGHDR.unpack_from(datagram, offset)
        if not NLMSGHDR.size <= length <= len(datagram) - offset:
            raise ValueError(f"a netlink message of length {length} does not fit its datagram")
        yield kind, flags, sequence, datagram[offset + NLMSGHDR.size : offset + length]
        offset += length + -length % 4


def each_attribute(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and value of each attribute from `offset` on; a kind may come often.

    Raises ValueError for bytes that are no attributes.
    """
    end = len(data)
    unpack = ATTRIBUTE.unpack_from
    while offset + 4 <= end:
        length, kind = unpack(data, offset)
        if not 4 <= length <= end - offset:
            raise ValueError(f"an attribute of length {length} does not fit its message")
        yield kind & NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + -length % 4


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes from `offset` on by their kind; of two of a kind the last counts.

    Raises ValueError for bytes that are no attributes.
    """
    return dict(each_attribute(data, offset))
