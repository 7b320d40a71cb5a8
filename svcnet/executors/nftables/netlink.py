"""Transactions of nf_tables by netlink, through one socket that stays open.

A program that is started for each change lists the table first, and the kernel waits some 15
milliseconds whenever a socket is closed that has deleted anything (``nfnetlink_rcv_batch`` leaves
what a commit frees to a worker, and the release of the socket flushes that,
``nft_rcv_nl_event`` in ``net/netfilter/nf_tables_api.c``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from errno import EBADMSG, ENOBUFS
from weakref import finalize

from attrs import frozen

from svcnet import netlink
from svcnet.errors import SvcnetError
from svcnet.executors.commits import GENERATION_QUESTION, read_generation
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import ATTEMPTS, UnsettledDump, answers, netlink_alone
from svcnet.netfilter.nft import wire
from svcnet.netfilter.nft.wire import NFTMessage
from svcnet.netlink import NETLINK_NETFILTER, attributes

_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_ERESTART = 85  # linux/errno.h: Python has no name for it on every machine

ROOM = 1 << 20
"""Bytes of a batch: sixteen messages. Some eight a batch take the least time."""
_ROOM_OF_BYTES = 4
USUAL_ROOM = 1 << 17
"""The same where the kernel lets nobody have more: less than ``net.core.wmem_default``."""


@frozen
class BatchRefusal:
    """What the kernel said of one message of a batch.

    ``number`` is the message's place in the batch, counted from 1, and 0 where the kernel refuses
    the whole; ``offset`` is where in the message's body is what it does not take, None if it did
    not say.
    """

    number: int
    errno: int
    told: str = ""
    offset: int | None = None

    def __str__(self) -> str:
        return self.told or netlink.errno_text(self.errno)


class RefusedBatch(SvcnetError):  # noqa: N818  (what the kernel said, not a fault of ours)
    """The kernel did nothing of a batch."""

    exit_code = 3

    def __init__(self, refusal: BatchRefusal) -> None:
        super().__init__(f"nf_tables: {refusal}")
        self.refusal = refusal


class OvertakenBatch(SvcnetError):  # noqa: N818
    """The kernel did nothing of a batch: there was a commit since the generation that it names."""

    exit_code = 3


class NFTSocket:
    """A socket for transactions of one machine's network namespace. Raises OSError, as its methods.

    It is for one thread at a time.
    """

    def __init__(self, machine: Machine) -> None:
        self._socket = machine.netlink(NETLINK_NETFILTER)
        self._close = finalize(self, self._socket.close)
        self.room = USUAL_ROOM
        """How many bytes a batch may have."""
        self._allowed = 0
        try:
            with suppress(OSError):
                self._allow(ROOM)
                self.room = ROOM
            for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK):
                self._socket.enable(option)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; one that nobody holds any more is closed by itself."""
        self._close()

    def commit(self, messages: Sequence[NFTMessage], generation: int | None = None) -> None:
        """Have the kernel carry out messages as one transaction, all of them or none.

        With a `generation` it does so only if nobody has committed since that. Raises
        OvertakenBatch where somebody has, RefusedBatch where the kernel does not take a message.
        """
        found = self._ask(wire.batch(messages, generation))
        refused = [each for each in found if each.errno]
        if any(each.errno == _ERESTART for each in refused):
            raise OvertakenBatch("nf_tables: somebody else has committed meanwhile")
        if refused:
            # The kernel goes on behind the first one, and what it says then may follow from that.
            raise RefusedBatch(min(refused, key=lambda each: each.number or len(messages) + 1))
        if all(each.number != len(messages) for each in found):
            raise OSError(ENOBUFS, "nf_tables did not say that it is done")

    def _allow(self, size: int) -> None:
        """Let a datagram be so large; the kernel counts what it needs for it beside."""
        if size > self._allowed:
            self._socket.allow(_ROOM_OF_BYTES * size)
            self._allowed = size

    def generation(self) -> int:
        """Return how many commits there were in the namespace."""
        kind, body = GENERATION_QUESTION
        question = netlink.message(kind, netlink.NLM_F_REQUEST, 0, body)
        with netlink_alone():
            self._socket.send(question)
            return read_generation(answer for _, _, _, answer in self._messages())

    def list_whole(self, kind: int, body: bytes) -> list[bytes]:
        """Return the bodies of messages that list all that fits, as it was at one moment.

        It is :func:`svcnet.executors.netlink.list_whole` without another socket. Raises OSError,
        UnsettledDump where what is listed never stops changing.
        """
        question = netlink.message(kind, netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP, 0, body)
        for _ in range(ATTEMPTS):
            self._socket.send(question)
            # All of it, also of a list that is of no use: the next answers are to other questions.
            told = b"".join(self._socket.pending())
            with suppress(UnsettledDump):
                return list(answers(_told_whole(told)))
        raise UnsettledDump("it never stops changing")

    def _ask(self, data: bytes) -> list[BatchRefusal]:
        """Send a datagram; return what was said of messages, which is there when the call ends."""
        if len(data) > self.room:
            self._allow(len(data))
        with netlink_alone():
            self._socket.send(data)
            return [
                _refusal(flags, number, body)
                for kind, flags, number, body in self._messages()
                if kind == netlink.NLMSG_ERROR
            ]

    def _messages(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield the messages that wait."""
        for datagram in self._socket.pending():
            yield from netlink.messages(datagram)


def _told_whole(told: bytes) -> Iterator[bytes]:
    """Yield what was told; whoever wants more than that did not find its end."""
    yield told
    raise OSError(EBADMSG, "a list without an end")


def _refusal(flags: int, number: int, body: bytes) -> BatchRefusal:
    """Return what an answer says: an errno, 0 for none, the request's header, and attributes."""
    (errno,) = netlink.NLMSGERR.unpack_from(body)
    told: dict[int, bytes] = {}
    begin = netlink.NLMSGERR.size + netlink.NLMSGHDR.size
    if flags & netlink.NLM_F_ACK_TLVS and flags & netlink.NLM_F_CAPPED:
        told = attributes(body, begin)
    text = told.get(netlink.NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode("utf-8", "replace")
    where = told.get(netlink.NLMSGERR_ATTR_OFFS)
    offset = None if where is None else _OFFSET.unpack(where)[0] - netlink.NLMSGHDR.size
    return BatchRefusal(number, -errno, text, offset)


_OFFSET = struct.Struct("=I")
