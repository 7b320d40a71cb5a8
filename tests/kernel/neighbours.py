"""A neighbour on a link of this network namespace, and what of its packets arrives."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

from tests.kernel.ipvs.netlink import run

HERE, THERE = "192.0.2.1", "192.0.2.2"
ENDS = {"here": "02:00:00:00:00:01", "there": "02:00:00:00:00:02"}
PORT = 4789
SETTING = Path("/proc/sys/net/ipv4/conf/all/route_localnet")


class Neighbour:
    """The other end of the link; it writes the frames itself, as one that means harm does."""

    def __init__(self) -> None:
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
        for end, address in ENDS.items():
            run("ip", "link", "set", end, "address", address, "up")
        run("ip", "address", "add", f"{HERE}/24", "dev", "here")
        self._frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._frames.bind(("there", 0))
        self._servers = {address: _server(address) for address in ("127.0.0.1", HERE)}

    def reaches_loopback(self) -> bool:
        """Return whether a packet of the neighbour's for 127.0.0.1 gets to a server there."""
        self._send("127.0.0.1")
        # What was sent first arrives first, so there is nothing to be waited for.
        self._send(HERE)
        assert self._servers[HERE].recv(100) == HERE.encode()
        self._servers["127.0.0.1"].setblocking(False)
        with suppress(BlockingIOError):
            return self._servers["127.0.0.1"].recv(100) == b"127.0.0.1"
        return False

    def close(self) -> None:
        for each in (self._frames, *self._servers.values()):
            each.close()

    def _send(self, address: str) -> None:
        data = address.encode()
        udp = struct.pack("!4H", 12345, PORT, 8 + len(data), 0) + data
        from_to = IPv4Address(THERE).packed + IPv4Address(address).packed
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
        head += from_to
        words = sum(struct.unpack("!10H", head))
        words = (words & 0xFFFF) + (words >> 16)
        head = head[:10] + struct.pack("!H", ~words & 0xFFFF) + head[12:]
        ends = (bytes.fromhex(address.replace(":", "")) for address in ENDS.values())
        self._frames.send(b"".join(ends) + b"\x08\x00" + head + udp)


def _server(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, PORT))
    opened.settimeout(10)
    return opened


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """Have a neighbour for a while, whose packets can arrive, and do where nothing is done."""
    for each in SETTING.parent.parent.glob("*/rp_filter"):
        each.write_text("0")
    made = Neighbour()
    try:
        assert not made.reaches_loopback()
        SETTING.write_text("1")
        assert made.reaches_loopback()
        SETTING.write_text("0")
        yield made
    finally:
        made.close()
