"""Questions to the kernel over netlink whose answers are compared more than they are read."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from os import strerror

from svcnet import netlink

_SOL_NETLINK = 270  # linux/socket.h
_NETLINK_GET_STRICT_CHK = 12  # linux/netlink.h
_DATAGRAM = 1 << 18


class Unsettled(OSError):  # noqa: N818  (a state of the machine, not a mistake)
    """What a dump lists changed while it was listed."""


def ask(protocol: int, kind: int, body: bytes, *, dump: bool = False) -> Iterator[bytes]:
    """Yield the bodies of the messages that answer one message to this network namespace.

    `body` is what comes behind its netlink header. With `dump` the kernel is to list all
    that fits. Raises OSError with the errno of a refusal, and Unsettled.
    """
    flags = netlink.NLM_F_REQUEST | (netlink.NLM_F_DUMP if dump else netlink.NLM_F_ACK)
    header = netlink.NLMSGHDR.pack(netlink.NLMSGHDR.size + len(body), kind, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as opened:
        opened.bind((0, 0))
        # Without it a dump of addresses is one of all devices.
        opened.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        opened.send(header + body)
        while True:
            for answer, flags, _, content in netlink.messages(opened.recv(_DATAGRAM)):
                if flags & netlink.NLM_F_DUMP_INTR:
                    raise Unsettled("what is listed changes")
                if answer in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                    (errno,) = netlink.NLMSGERR.unpack_from(content)
                    if errno:
                        raise OSError(-errno, strerror(-errno))
                    return
                yield content
