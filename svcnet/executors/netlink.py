"""Questions to the kernel over netlink whose answers are compared more than they are read.

Names of constants are those of Linux ``include/uapi/linux/netlink.h``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from os import strerror
from struct import Struct

_NLM_F_REQUEST = 0x001
_NLM_F_ACK = 0x004
_NLM_F_DUMP_INTR = 0x010
_NLM_F_DUMP = 0x300
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLA_TYPE_MASK = 0x3FFF
_SOL_NETLINK = 270
_NETLINK_GET_STRICT_CHK = 12
_DATAGRAM = 1 << 18

_NLMSGHDR = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_ERRNO = Struct("=i")


class Unsettled(OSError):  # noqa: N818  (a state of the machine, not a mistake)
    """What a dump lists changed while it was listed."""


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False) -> Iterator[bytes]:
    """Yield the bodies of the messages that answer one message to this network namespace.

    `body` is what comes behind its netlink header. With `dump` the kernel is to list all
    that fits. Raises OSError with the errno of a refusal, and Unsettled.
    """
    flags = _NLM_F_REQUEST | (_NLM_F_DUMP if dump else _NLM_F_ACK)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as opened:
        opened.bind((0, 0))
        # Without it a dump of addresses is one of all devices.
        opened.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        opened.send(_NLMSGHDR.pack(_NLMSGHDR.size + len(body), kind, flags, 1, 0) + body)
        while True:
            for answer, flags, content in messages(opened.recv(_DATAGRAM)):
                if flags & _NLM_F_DUMP_INTR:
                    raise Unsettled("what is listed changes")
                if answer in (_NLMSG_ERROR, _NLMSG_DONE):
                    (errno,) = _ERRNO.unpack_from(content)
                    if errno:
                        raise OSError(-errno, strerror(-errno))
                    return
                yield content


def messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the kind, flags and body of each netlink message in a datagram."""
    offset = 0
    while offset < len(datagram):
        length, kind, flags, _, _ = _NLMSGHDR.unpack_from(datagram, offset)
        yield kind, flags, datagram[offset + _NLMSGHDR.size : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and value of each attribute from `offset` on; a kind may come often."""
    end, unpack = len(data), _ATTRIBUTE.unpack_from
    while offset + _ATTRIBUTE.size <= end:
        length, kind = unpack(data, offset)
        yield kind & _NLA_TYPE_MASK, data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return the bytes of one attribute."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)
