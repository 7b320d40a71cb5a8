"""Proxy ports: sockets that serve, refuse or drop, and keep their port all the while.

A socket that is bound holds its port whether it serves or not. To refuse, a stream socket
stops listening and the kernel answers with a reset; a datagram socket is connected to an
address from which nothing comes, and the kernel answers everybody else with an ICMP error.
To drop, a filter takes everything.

Connections that are left keep nobody from a port (SO_REUSEADDR), and nor would a stream socket
that has the same and does not listen. So it has that only while it listens.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from errno import EADDRINUSE, EINVAL, ENOMEM, EPERM

from svcnet.family import IPFamily
from svcnet.renderers.userspace.table import Listener
from svcnet.servers.sockets import ask_for_destinations, unbound
from svcnet.servers.userspace import filters

BACKLOG = 4096
KEEPALIVE_SECONDS = 60
ADDRESSES = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}
ANY = {"IPv4": "0.0.0.0", "IPv6": "::"}  # noqa: S104  (portals lead here from any interface)
LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}

_NOBODY = {socket.AF_INET: ("127.0.0.1", 9), socket.AF_INET6: ("::1", 9)}
_NO_FILTER = frozenset({EPERM, ENOMEM, EINVAL})
_RECEIVE_BUFFER = 1 << 20


def bind(
    family: IPFamily, protocol: str, address: str, port: int, count: int
) -> list[socket.socket]:
    """Return `count` sockets bound to one port, none if the port is taken.

    More than one share the port's traffic (SO_REUSEPORT). They serve nothing yet.
    """
    found: list[socket.socket] = []
    try:
        if count > 1:
            # Those of another proxy of the same user would share theirs with them.
            _bind(family, protocol, address, port, shared=False).close()
        while len(found) < count:
            found.append(_bind(family, protocol, address, port, shared=count > 1))
    except OSError as error:
        for sock in found:
            sock.close()
        if error.errno != EADDRINUSE:
            raise
        return []
    return found


def _bind(
    family: IPFamily, protocol: str, address: str, port: int, *, shared: bool
) -> socket.socket:
    sock = unbound(ADDRESSES[family], KINDS[protocol])
    try:
        if protocol == "TCP":
            # What is accepted inherits these. A client that is gone without a word is
            # noticed in minutes, not in Linux's two hours.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            ask_for_destinations(sock)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address, port))
        if protocol == "TCP":
            # Only this tells that nobody else listens there.
            sock.listen()
            refuse(sock)
    except OSError:
        sock.close()
        raise
    return sock


def renew(sock: socket.socket, address: tuple[str, int]) -> socket.socket:
    """Return a datagram socket like `sock`, bound to the same `address` but not connected.

    The port is held all the while. Linux can dissolve an association, but in IPv6 the
    socket then still hears its former peer only (__udp_disconnect in net/ipv4/udp.c).
    """
    fresh = unbound(socket.AddressFamily(sock.family), socket.SOCK_DGRAM)
    shared = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    ask_for_destinations(fresh)
    for one in (sock, fresh):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    fresh.bind(address)
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return fresh


def guard(sock: socket.socket, listener: Listener) -> bool:
    """Have the kernel drop what a listener does not take; return whether it does.

    It does not when the program would be too large, and since 2025 for TCP not without
    privilege (CAP_NET_ADMIN).
    """
    try:
        if listener.answer == "drop":
            filters.attach(sock, filters.DROP)
        elif listener.sources:
            filters.attach(sock, filters.only_from(listener.sources))
        else:
            with suppress(FileNotFoundError):  # there was none
                filters.detach(sock)
    except OSError as error:
        if error.errno not in _NO_FILTER:
            raise
        return not (listener.sources or listener.answer == "drop")
    return True


def listen(sock: socket.socket) -> None:
    """Let connections come to a bound stream socket's port, also where some are left of before."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.listen(BACKLOG)


def refuse(sock: socket.socket) -> None:
    """Let the kernel refuse whatever comes to a bound socket's port."""
    if sock.type == socket.SOCK_STREAM:
        with suppress(OSError):  # it did not listen
            sock.shutdown(socket.SHUT_RD)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    else:
        sock.connect(_NOBODY[sock.family])
