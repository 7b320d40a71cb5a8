"""Virtual servers: what the kernel says of them, what changes them, and that it is told.

What makes an apply fast is to hand the kernel a batch of encoded messages at once, and to be
told only of those that it refuses.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from errno import ENOENT, ESRCH
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.commands import complaint
from svcnet.executors.machine import Machine
from svcnet.executors.netlink import reason
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.family import IPFamily
from svcnet.netfilter.ipvs import wire
from svcnet.netfilter.ipvs.messages import (
    HASHED,
    MADE_BY_SVCNET,
    MASQUERADE,
    DelDest,
    Dest,
    DestKey,
    GetConfig,
    GetDest,
    GetService,
    IPVSService,
    Message,
    NewDest,
    NewService,
    ObservedDest,
    ObservedService,
    SetDest,
    SetService,
    Timeouts,
)
from svcnet.netfilter.ipvs.wire.decoding import Configuration
from svcnet.netlink import RefusedRequest, errno_text
from svcnet.renderers.ipvs import RealServer, VirtualServer
from svcnet.renderers.ipvs.program import dest_of, service_of

BATCH = 100
"""Messages a call. The answers to that many, if all are refused, fit a socket's buffer."""

_NETLINK_GENERIC = 16  # linux/netlink.h
_NETLINK_EXT_ACK = 11  # linux/netlink.h: say in words why a message is refused
_NETWORK = Path("/proc/thread-self/net")


class NoIPVS(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """The kernel has no IPVS."""

    check = checks.MISSING_MODULE


class MessageRefusal(ApplyError):  # noqa: N818
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
    """The virtual servers of a machine's network namespace. A context manager.

    Raises :class:`NoIPVS` where the kernel has none, ApplyError without CAP_NET_ADMIN.
    ``sent`` counts the messages since the socket was opened.
    """

    def __init__(self, machine: Machine = THIS_MACHINE) -> None:
        self.machine = machine
        self.sent = 0
        with _translate_errors(machine):
            self._socket = machine.netlink(_NETLINK_GENERIC)
        try:
            with _translate_errors(machine):
                self._family = self._ask_family()
        except RefusedRequest as error:
            self._socket.close()
            if error.errno == ENOENT:
                raise NoIPVS("this kernel has no IPVS: it lacks the module ip_vs") from None
            raise _cannot(machine, error) from None
        except ApplyError:
            self._socket.close()
            raise

    def _ask_family(self) -> int:
        self._socket.enable(_NETLINK_EXT_ACK)
        self._socket.send(wire.encode_family_request())
        return wire.parse_family([self._socket.receive()])

    def __enter__(self) -> IPVS:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def services(self) -> list[IPVSService]:
        """Return every virtual server, ours and others'."""
        replies = self._ask(GetService())
        return [reply.service for reply in replies if isinstance(reply, ObservedService)]

    def configurations(self) -> list[Configuration]:
        """Return every virtual server as bytes that change when it does."""
        self.sent += 1
        with _translate_errors(self.machine):
            self._socket.send(wire.encode(GetService(), self._family))
            return list(wire.configurations(self._datagrams()))

    def settings(self, server: Configuration) -> list[bytes]:
        """Return the real servers of a virtual server as bytes that change when one does."""
        self.sent += 1
        with _translate_errors(self.machine):
            self._socket.send(wire.encode_listing(server.key, self._family))
            return list(wire.settings(self._datagrams()))

    def service(self, service: IPVSService) -> IPVSService | None:
        """Return the virtual server with the same key, None if it is not there."""
        try:
            replies = self._ask(GetService(service))
        except MessageRefusal as error:
            if error.errno == ESRCH:
                return None
            raise
        return next((each.service for each in replies if isinstance(each, ObservedService)), None)

    def dests(self, service: IPVSService) -> list[ObservedDest]:
        """Return the real servers of a virtual server, none if it is not there."""
        return [reply for reply in self._ask(GetDest(service)) if isinstance(reply, ObservedDest)]

    def timeouts(self) -> Timeouts:
        """Return how long idle connections live."""
        for reply in self._ask(GetConfig()):
            if isinstance(reply, Timeouts):
                return reply
        raise ApplyError("IPVS: the kernel does not tell its timeouts")

    def send(self, messages: Sequence[Message]) -> None:
        """Carry out changes in their order. Raises :class:`MessageRefusal` for the first to fail.

        Nothing of the next batch is sent then; see :meth:`attempt` for what is.
        """
        for start in range(0, len(messages), BATCH):
            for refusal in self.attempt(messages[start : start + BATCH]):
                raise refusal

    def attempt(self, batch: Sequence[Message]) -> list[MessageRefusal]:
        """Carry out at most `BATCH` changes in one call, and return those that failed.

        The kernel goes on after one that it refuses.
        """
        encoded = wire.encode_all(batch, self._family, acknowledge=False)
        self.sent += len(batch)
        with _translate_errors(self.machine):
            self._socket.send(b"".join(encoded))
            return [
                MessageRefusal(batch[refusal.sequence - 1], refusal.errno, refusal.text)
                for refusal in wire.parse_acknowledgements(self._socket.pending())
                if refusal.errno and 0 < refusal.sequence <= len(batch)
            ]

    def _ask(self, message: Message) -> list[object]:
        """Return the replies to a question."""
        self.sent += 1
        try:
            with _translate_errors(self.machine):
                self._socket.send(wire.encode(message, self._family))
                return list(wire.answers(self._datagrams()))
        except RefusedRequest as error:
            raise MessageRefusal(message, error.errno or 0) from None

    def _datagrams(self) -> Iterator[bytes]:
        """Yield what the kernel answers, and wait for it."""
        return iter(self._socket.receive, None)


def has_servers(machine: Machine, family: IPFamily) -> bool:
    """Return whether svcnet has made a virtual server of a family there. Raises ApplyError.

    A kernel that has not loaded IPVS yet is not asked, as it would then.
    """
    try:
        if "ip_vs" not in machine.names(_NETWORK):
            return False
    except OSError as error:
        raise _cannot(machine, error) from None
    try:
        with IPVS(machine) as ipvs:
            servers = ipvs.services()
    except NoIPVS:
        return False
    return any(each.family == family and each.flags & MADE_BY_SVCNET for each in servers)


@contextmanager
def _translate_errors(machine: Machine) -> Iterator[None]:
    """Raise ApplyError for what the socket, or bytes that are no answer, raise.

    What the kernel itself refuses is for the caller.
    """
    try:
        yield
    except RefusedRequest:
        raise
    except OSError as error:
        raise _cannot(machine, error) from None
    except ValueError as error:
        raise ApplyError(f"IPVS: {error}") from None


def _cannot(machine: Machine, error: OSError) -> ApplyError:
    return complaint("IPVS", reason(error), machine=machine)


class Real(NamedTuple):
    """A real server as it stands, with its connections at the moment, those that end included.

    It is ``plain`` as svcnet adds one: its packets are translated, and it has no thresholds.
    """

    weight: int
    connections: int = 0
    is_plain: bool = True


def real_of(observed: ObservedDest) -> Real:
    """Return a real server as the kernel tells it."""
    dest = observed.dest
    is_plain = dest.forward == MASQUERADE and not (dest.upper_threshold or dest.lower_threshold)
    connections = observed.active_connections + observed.inactive_connections
    return Real(dest.weight, connections, is_plain)


class ServerChanges:
    """The messages that put virtual servers right, and the entries of those that drain.

    `drain` is how many seconds the connections of a removed TCP endpoint have to end, and
    `draining` are the entries of those whose time has begun.
    """

    def __init__(self, drain: int, draining: Container[str] = ()) -> None:
        self.messages: list[Message] = []
        self.drained: list[SetDest] = []
        self.ended: list[DelDest] = []
        self.draining: list[str] = []
        self.drain = drain
        self._were_draining = draining

    def change(
        self, wanted: VirtualServer, there: IPVSService | None, reals: Mapping[DestKey, Real]
    ) -> None:
        """Add what takes a virtual server from what is `there` to what is `wanted`."""
        service = service_of(wanted)
        if there is None:
            self.messages.append(NewService(service))
        elif _differs(service, there):
            self.messages.append(SetService(service))
        self.messages += [
            message
            for real in wanted.real_servers
            for message in _real_server(service, real, reals.get(DestKey(real.address, real.port)))
        ]
        kept = {(real.address, real.port) for real in wanted.real_servers}
        for place, real in reals.items():
            if place not in kept:
                self._remove(service, place, real)

    def _remove(self, service: IPVSService, place: DestKey, real: Real) -> None:
        """Take a real server away: one of TCP takes no more connections first.

        Datagrams have no end to wait for (https://issue.k8s.io/76664). Scheduler dh goes on
        sending its clients to a server that takes none. One of the other family, which somebody
        put there by hand, only a tunnel leads to: the kernel takes no weight for it otherwise.
        """
        entry = f"{place.address},tcp:{place.port},{service.address}"
        dest = Dest(place.address, place.port, 0)
        is_of_family = (":" in place.address) == (":" in service.address)
        may_drain = service.protocol == "TCP" and service.scheduler != "dh" and is_of_family
        drains = may_drain and self.drain
        if drains and real.weight:
            self.draining.append(entry)
            self.drained.append(SetDest(service, dest))
            self.messages.append(self.drained[-1])
        elif not (drains and real.connections and entry in self._were_draining):
            gone = DelDest(service, dest)
            self.messages.append(gone)
            if drains:
                self.ended.append(gone)


def _real_server(service: IPVSService, wanted: RealServer, there: Real | None) -> Iterator[Message]:
    if there is None:
        yield NewDest(service, dest_of(wanted))
    elif there.weight != wanted.weight or not there.is_plain:
        yield SetDest(service, dest_of(wanted))


def _differs(wanted: IPVSService, there: IPVSService) -> bool:
    """Return whether a virtual server is other than wanted, in more than the kernel's own flag."""
    return (
        there.scheduler != wanted.scheduler
        or there.flags & ~HASHED != wanted.flags
        or there.timeout != wanted.timeout
        or there.netmask != wanted.netmask
        or there.pe_name != wanted.pe_name
    )
