"""Questions to the kernel over netlink whose answers are compared more than they are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import EBADMSG, EPERM

from svcnet import netlink
from svcnet.executors.machine import Machine

_NETLINK_GET_STRICT_CHK = 12  # linux/netlink.h
ATTEMPTS = 50
"""How often a list is asked for that changes while it is told."""
_BATCH = 100
"""Requests a call. The answers to that many, if all are refused, fit a socket's buffer."""


class UnsettledDump(OSError):  # noqa: N818  (a state of the machine, not a mistake)
    """What a dump lists changed while it was listed."""


def ask(
    protocol: int,
    kind: int,
    body: bytes,
    *,
    dump: bool = False,
    flags: int = 0,
    machine: Machine,
) -> Iterator[bytes]:
    """Yield the bodies of the messages that answer one message to this network namespace.

    `body` is what comes behind its netlink header. With `dump` the kernel is to list all
    that fits; `flags` are others of that header. Raises OSError with the errno of a refusal,
    with EBADMSG for an answer that is no such messages, and UnsettledDump.
    """
    flags |= netlink.NLM_F_REQUEST | (netlink.NLM_F_DUMP if dump else netlink.NLM_F_ACK)
    with machine.netlink(protocol) as opened:
        # Without it a dump of addresses is one of all devices.
        opened.enable(_NETLINK_GET_STRICT_CHK)
        opened.send(netlink.message(kind, flags, 1, body))
        yield from answers(iter(opened.receive, None))


def list_whole(protocol: int, kind: int, body: bytes, *, machine: Machine) -> list[bytes]:
    """Return the bodies of messages that list all that fits, as it was at one moment.

    What changes while it is listed is asked for again. Raises as :func:`ask` does, with
    UnsettledDump where it never stops.
    """
    for _ in range(ATTEMPTS):
        with suppress(UnsettledDump):
            return list(ask(protocol, kind, body, dump=True, machine=machine))
    raise UnsettledDump("it never stops changing")


def tell(
    protocol: int,
    kind: int,
    flags: int,
    bodies: Sequence[bytes],
    *,
    machine: Machine,
) -> Iterator[tuple[int, int]]:
    """Have the kernel do what several messages of a kind say, in their order.

    Yields the place in `bodies`, and the errno, of each that it refuses; it goes on behind it.
    Raises OSError where it does not answer, with EBADMSG for an answer that is no such messages,
    and PermissionError without the right: it may say so of the first message alone
    (``nfnetlink_rcv`` in ``net/netfilter/nfnetlink.c``).
    """
    flags |= netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
    with machine.netlink(protocol) as opened:
        for start in range(0, len(bodies), _BATCH):
            batch = bodies[start : start + _BATCH]
            opened.send(
                b"".join(
                    netlink.message(kind, flags, number, body) for number, body in enumerate(batch)
                )
            )
            left = set(range(len(batch)))
            while left:
                for number, errno in _acknowledgements(opened.receive()):
                    left.discard(number)
                    if errno == EPERM:
                        raise PermissionError(errno, netlink.errno_text(errno))
                    if errno:
                        yield start + number, errno


def _acknowledgements(datagram: bytes) -> Iterator[tuple[int, int]]:
    """Yield the sequence number and the errno, or 0, of each answer."""
    with netlink_alone():
        for kind, _, sequence, content in netlink.messages(datagram):
            if kind == netlink.NLMSG_ERROR:
                yield sequence, -netlink.NLMSGERR.unpack_from(content)[0]


def answers(datagrams: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the bodies of messages up to the one that ends them; raises as :func:`ask` does."""
    with netlink_alone():
        for datagram in datagrams:
            for kind, flags, _, content in netlink.messages(datagram):
                if flags & netlink.NLM_F_DUMP_INTR:
                    raise UnsettledDump("what is listed changes")
                if kind in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                    (errno,) = netlink.NLMSGERR.unpack_from(content)
                    if errno:
                        raise OSError(-errno, netlink.errno_text(-errno))
                    return
                yield content


@contextmanager
def netlink_alone() -> Iterator[None]:
    """Raise OSError with EBADMSG for bytes in here that are no netlink."""
    try:
        yield
    except (ValueError, struct.error) as error:
        raise OSError(EBADMSG, f"an answer that is no netlink: {error}") from None


def reason(error: OSError) -> str:
    """Return why a socket failed."""
    if isinstance(error, TimeoutError | BlockingIOError):
        return "the kernel does not answer"
    return error.strerror or str(error)
