"""What /proc/net/ip_vs says: every virtual server with its real servers, in one read.

By netlink the real servers of each virtual server are a question of their own. The format
is that of ``ip_vs_info_seq_show`` in net/netfilter/ipvs/ip_vs_ctl.c: numbers are
hexadecimal in addresses and ports, decimal elsewhere.

The kernel hands the file out in pieces. Where another network namespace has virtual servers as
well, each piece may begin behind where the last one ended, since ``ip_vs_info_seq_next`` counts
those too and ``ip_vs_info_array`` does not. So virtual servers may be missing, with all their
real servers; those that are there are whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from socket import AF_INET6, inet_pton
from typing import NamedTuple

from svcnet.errors import ApplyError
from svcnet.renderers.ipvs import ServerKey
from svcnet.renderers.ipvs.wire import address_text

PATH = Path("/proc/thread-self/net/ip_vs")
"""The file of this thread's network namespace; /proc/net is the process's."""
HEADING_LINES = 3
MASQUERADE = "Masq"


class Place(NamedTuple):
    """An address and port."""

    address: str
    port: int


class Real(NamedTuple):
    """A real server as it stands; ``forward`` is the kernel's word for the method."""

    weight: int
    active: int
    inactive: int
    forward: str = MASQUERADE

    @property
    def connections(self) -> int:
        """How many connections it has, those that end included."""
        return self.active + self.inactive


Listing = Mapping[ServerKey, Mapping[Place, Real]]


def read() -> Listing:
    """Return the real servers of each virtual server of this network namespace."""
    try:
        return parse(PATH.read_text())
    except OSError as error:
        raise ApplyError(f"{PATH}: {error.strerror}") from None


def parse(text: str) -> Listing:
    """Return the virtual servers in the file's text; those of a firewall mark are left out."""
    found: dict[ServerKey, dict[Place, Real]] = {}
    reals: dict[Place, Real] = {}
    for line in text.splitlines():
        words = line.split()
        if words[0] == "->" and words[1] != "RemoteAddress:Port":
            _, place, forward, weight, active, inactive = words
            reals[_place(place)] = Real(int(weight), int(active), int(inactive), forward)
        elif words[0] in ("TCP", "UDP", "SCTP"):
            reals = found.setdefault(ServerKey(*_place(words[1]), words[0]), {})
        elif words[0] == "FWM":
            reals = {}
    return found


def _place(text: str) -> Place:
    address, _, port = text.rpartition(":")
    if address.startswith("["):
        packed = inet_pton(AF_INET6, address[1:-1])
    else:
        packed = bytes.fromhex(address)
    return Place(address_text(packed), int(port, 16))
