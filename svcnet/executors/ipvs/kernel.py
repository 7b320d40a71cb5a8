"""Talking to IPVS: one socket, many messages a call.

The socket is Python's own, because what makes an apply fast is to hand the kernel a batch
of encoded messages at once and to be told only of those that it refuses.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import ENOENT, ESRCH
from pathlib import Path
from struct import Struct
from types import TracebackType

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.commands import complaint
from svcnet.executors.netlink import reason
from svcnet.netfilter.ipvs import wire
from svcnet.netfilter.ipvs.messages import (
    MADE_BY_SVCNET,
    GetConfig,
    GetDest,
    GetService,
    Message,
    NewService,
    ObservedDest,
    ObservedService,
    Service,
    SetService,
    Timeouts,
)
from svcnet.netfilter.ipvs.wire.decoding import Configuration
from svcnet.netlink import RefusedRequest, errno_text

BATCH = 100
"""Messages a call. The answers to that many, if all are refused, fit a socket's buffer."""

_NETLINK_GENERIC = 16  # linux/netlink.h
_SOL_NETLINK = 270  # linux/socket.h
_NETLINK_EXT_ACK = 11  # linux/netlink.h: say in words why a message is refused
_DATAGRAM = 1 << 18
_PATIENCE = Struct("@ll").pack(10, 0)
"""Seconds and microseconds of a struct timeval: the kernel answers at once, or not at all."""


class NoIPVS(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """The kernel has no IPVS."""

    check = checks.MISSING_MODULE


class Refused(ApplyError):  # noqa: N818
    """The kernel refused a message; what was sent after it in its batch is done all the same."""

    check = checks.REFUSED_RULE

    def __init__(self, message: Message, errno: int, text: str = "") -> None:
        self.message = message
        self.errno = errno
        self.why = text or self._meaning()
        super().__init__(f"IPVS refused to {message}: {self.why}")

    def _meaning(self) -> str:
        if self.errno == ENOENT and isinstance(self.message, NewService | SetService):
            return f"this kernel lacks the module ip_vs_{self.message.service.scheduler}"
        return errno_text(self.errno)


class IPVS:
    """The virtual servers of this network namespace. A context manager.

    Raises :class:`NoIPVS` where the kernel has none, ApplyError without CAP_NET_ADMIN.
    ``sent`` counts the messages since the socket was opened.
    """

    def __init__(self) -> None:
        self.sent = 0
        with _told():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        try:
            with _told():
                self._family = self._ask_family()
        except RefusedRequest as error:
            self._socket.close()
            if error.errno == ENOENT:
                raise NoIPVS("this kernel has no IPVS: it lacks the module ip_vs") from None
            raise _cannot(error) from None
        except ApplyError:
            self._socket.close()
            raise

    def _ask_family(self) -> int:
        # Python's own timeout would have a look at what is pending wait as well.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.send(wire.encode_family_request())
        return wire.parse_family([self._socket.recv(_DATAGRAM)])

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

    def configurations(self) -> list[Configuration]:
        """Return every virtual server as bytes that change when it does."""
        self.sent += 1
        with _told():
            self._socket.send(wire.encode(GetService(), self._family))
            return list(wire.configurations(self._datagrams()))

    def settings(self, server: Configuration) -> list[bytes]:
        """Return the real servers of a virtual server as bytes that change when one does."""
        self.sent += 1
        with _told():
            self._socket.send(wire.encode_listing(server.key, self._family))
            return list(wire.settings(self._datagrams()))

    def service(self, service: Service) -> Service | None:
        """Return the virtual server with the same key, None if it is not there."""
        try:
            replies = self._ask(GetService(service))
        except Refused as error:
            if error.errno == ESRCH:
                return None
            raise
        return next((each.service for each in replies if isinstance(each, ObservedService)), None)

    def dests(self, service: Service) -> list[ObservedDest]:
        """Return the real servers of a virtual server, none if it is not there."""
        return [reply for reply in self._ask(GetDest(service)) if isinstance(reply, ObservedDest)]

    def timeouts(self) -> Timeouts:
        """Return how long idle connections live."""
        for reply in self._ask(GetConfig()):
            if isinstance(reply, Timeouts):
                return reply
        raise ApplyError("IPVS: the kernel does not tell its timeouts")

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
        with _told():
            self._socket.send(b"".join(encoded))
            return [
                Refused(batch[refusal.sequence - 1], refusal.errno, refusal.text)
                for refusal in wire.parse_acknowledgements(self._pending())
                if refusal.errno and 0 < refusal.sequence <= len(batch)
            ]

    def _ask(self, message: Message) -> list[object]:
        """Return the replies to a question."""
        self.sent += 1
        try:
            with _told():
                self._socket.send(wire.encode(message, self._family))
                return list(wire.answers(self._datagrams()))
        except RefusedRequest as error:
            raise Refused(message, error.errno or 0) from None

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


def has_servers(family: str) -> bool:
    """Return whether svcnet has made a virtual server of a family here. Raises ApplyError.

    A kernel that has not loaded IPVS yet is not asked, as it would then.
    """
    if not Path("/proc/thread-self/net/ip_vs").exists():
        return False
    try:
        with IPVS() as ipvs:
            servers = ipvs.services()
    except NoIPVS:
        return False
    return any(each.family == family and each.flags & MADE_BY_SVCNET for each in servers)


@contextmanager
def _told() -> Iterator[None]:
    """Raise ApplyError for what the socket, or bytes that are no answer, raise.

    What the kernel itself refuses is for the caller.
    """
    try:
        yield
    except RefusedRequest:
        raise
    except OSError as error:
        raise _cannot(error) from None
    except ValueError as error:
        raise ApplyError(f"IPVS: {error}") from None


def _cannot(error: OSError) -> ApplyError:
    return complaint("IPVS", reason(error))
