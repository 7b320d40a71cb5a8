"""The header of the PROXY protocol, version 2, which tells a backend who its client is.

Source: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, section 2.2.
"""

from __future__ import annotations

import socket
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_AND_COMMAND = 0x21
_STREAM: dict[int, int] = {socket.AF_INET: 0x11, socket.AF_INET6: 0x21}

# linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h
SO_ORIGINAL_DST = 80


def header(client: socket.SocketType, peer: tuple[str, int]) -> bytes:
    """Return the header for a connection from `peer` that was accepted as `client`.

    The destination it tells is the one that the client asked for, before redirection.
    """
    family = client.family
    there, port = _destination(client)
    addresses = socket.inet_pton(family, peer[0]) + socket.inet_pton(family, there)
    ports = struct.pack("!HH", peer[1], port)
    length = len(addresses) + len(ports)
    return (
        SIGNATURE
        + struct.pack("!BBH", _VERSION_AND_COMMAND, _STREAM[family], length)
        + addresses
        + ports
    )


def _destination(client: socket.SocketType) -> tuple[str, int]:
    try:
        if client.family == socket.AF_INET6:
            raw = client.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
            return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]
        raw = client.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), struct.unpack("!H", raw[2:4])[0]
    except OSError:  # it was not redirected
        address, port = client.getsockname()[:2]
        return address, port
