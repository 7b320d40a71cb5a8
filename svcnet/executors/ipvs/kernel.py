"""Talking to IPVS: one socket, many messages a call.

The socket is Python's own, because what makes an apply fast is to hand the kernel a batch
of encoded messages at once and to be told only of those that it refuses.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from errno import ENOENT, ESRCH
from os import strerror
from types import TracebackType

from svcnet.errors import ApplyError
from svcnet.executors.commands import hint
from svcnet.netlink import RefusedRequest
from svcnet.renderers.ipvs import wire
from svcnet.renderers.ipvs.messages import (
    Family,
    GetConfig,
    GetDest,
    GetService,
    Message,
    ObservedDest,
    ObservedService,
    Service,
    Timeouts,
)

BATCH = 100
"""Messages a call. The answers to that many, if all are refused, fit a socket's buffer."""

_NETLINK_GENERIC = 16  # linux/netlink.h
_SOL_NETLINK = 270  # linux/socket.h
_NETLINK_EXT_ACK = 11  # linux/netlink.h: say in words why a message is refused
_DATAGRAM = 1 << 18


class NoIPVS(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """The kernel has no IPVS."""


class Refused(ApplyError):  # noqa: N818
    """The kernel refused a message; what was sent after it in its batch is done all the same."""

    def __init__(self, message: Message, errno: int, text: str = "") -> None:
        super().__init__(f"IPVS refused to {message}: {text or strerror(errno)}")
        self.message = message
        self.errno = errno


class IPVS:
    """The virtual servers of this network namespace. A context manager.

    Raises :class:`NoIPVS` where the kernel has none, ApplyError without CAP_NET_ADMIN.
    ``sent`` counts the messages since the socket was opened.
    """

    def __init__(self) -> None:
        self.sent = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        try:
            self._socket.send(wire.encode_family_request())
            self._family = wire.parse_family([self._socket.recv(_DATAGRAM)])
        except OSError as error:
            self._socket.close()
            if error.errno == ENOENT:
                raise NoIPVS("this kernel has no IPVS: it lacks the module ip_vs") from None
            raise _cannot(error) from None

    def __enter__(self) -> IPVS:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def services(self) -> list[Service]:
        """Return every virtual server, ours and others'."""
        replies = self._ask(GetService())
        return [reply.service for reply in replies if isinstance(reply, ObservedService)]

    def configurations(self) -> list[tuple[Family, bytes]]:
        """Return every virtual server as bytes that change when it does, with its family."""
        self.sent += 1
        try:
            self._socket.send(wire.encode(GetService(), self._family))
            return list(wire.configurations(self._datagrams()))
        except OSError as error:
            raise _cannot(error) from None

    def service(self, service: Service) -> Service | None:
        """Return the virtual server with the same key, None if it is not there."""
        try:
            replies = self._ask(GetService(service))
        except Refused as error:
            if error.errno == ESRCH:
                return None
            raise
        return next(reply.service for reply in replies if isinstance(reply, ObservedService))

    def dests(self, service: Service) -> list[ObservedDest]:
        """Return the real servers of a virtual server, none if it is not there."""
        return [reply for reply in self._ask(GetDest(service)) if isinstance(reply, ObservedDest)]

    def timeouts(self) -> Timeouts:
        """Return how long idle connections live."""
        return next(reply for reply in self._ask(GetConfig()) if isinstance(reply, Timeouts))

    def send(self, messages: Sequence[Message]) -> None:
        """Carry out changes in their order. Raises :class:`Refused` for the first that fails.

        Nothing of the next batch is sent then; see :meth:`attempt` for what is.
        """
        for start in range(0, len(messages), BATCH):
            for refusal in self.attempt(messages[start : start + BATCH]):
                raise refusal

    def attempt(self, batch: Sequence[Message]) -> list[Refused]:
        """Carry out at most `BATCH` changes in one call, and return those that failed.

        The kernel goes on after one that it refuses.
        """
        encoded = wire.encode_all(batch, self._family, acknowledge=False)
        self.sent += len(batch)
        try:
            self._socket.send(b"".join(encoded))
            return [
                Refused(batch[refusal.sequence - 1], refusal.errno, refusal.text)
                for refusal in wire.parse_acknowledgements(self._pending())
            ]
        except OSError as error:
            raise _cannot(error) from None

    def _ask(self, message: Message) -> list[object]:
        """Return the replies to a question."""
        self.sent += 1
        try:
            self._socket.send(wire.encode(message, self._family))
            return list(wire.answers(self._datagrams()))
        except RefusedRequest as error:
            raise Refused(message, error.errno or 0) from None
        except OSError as error:
            raise _cannot(error) from None

    def _datagrams(self) -> Iterator[bytes]:
        """Yield what the kernel answers, and wait for it."""
        while True:
            yield self._socket.recv(_DATAGRAM)

    def _pending(self) -> Iterator[bytes]:
        """Yield what the kernel has answered already."""
        while True:
            try:
                yield self._socket.recv(_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return


def _cannot(error: OSError) -> ApplyError:
    return ApplyError(f"IPVS: {error.strerror}{hint(str(error.strerror))}")
