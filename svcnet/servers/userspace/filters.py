"""Socket filters: programs that the kernel runs on what arrives at a socket.

They drop what a Service's rules would drop, without an answer and before a connection
exists. Programs are classic BPF (linux/filter.h).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

from netaddr import IPNetwork, cidr_merge

from svcnet.family import IPFamily

# asm-generic/socket.h
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
SO_ATTACH_REUSEPORT_CBPF = 51
SO_DETACH_REUSEPORT_BPF = 68

Instruction = tuple[int, int, int, int]

_LOAD, _LOAD_BYTE, _AND, _MODULO = 0x20, 0x30, 0x54, 0x94
_EQUALS, _HAS_BIT = 0x15, 0x45
_XOR_X, _TO_X = 0xAC, 0x07
_RETURN, _RETURN_A = 0x06, 0x16
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
_SOURCE = {4: 12, 6: 8}
_ALL = 0xFFFFFFFF

DROP: tuple[Instruction, ...] = ((_RETURN, 0, 0, 0),)
"""The program that drops everything."""

NOTHING_NEW: tuple[Instruction, ...] = (
    (_LOAD_BYTE, 0, 0, 13),  # the flags of TCP's header, at which a packet begins here
    (_HAS_BIT, 0, 1, 0x02),  # SYN
    *DROP,
    (_RETURN, 0, 0, _ALL),
)
"""The program that drops what would begin a connection, and lets one that has begun go on."""


def only_from(cidrs: Iterable[str]) -> tuple[Instruction, ...]:
    """Return a program that drops what does not come from one of `cidrs`, all of one family."""
    merged = cidr_merge([IPNetwork(cidr) for cidr in cidrs])
    return (*(step for network in merged for step in _accept(network)), *DROP)


def _accept(network: IPNetwork) -> Iterator[Instruction]:
    """Yield what accepts a packet from `network`, and goes on to what follows otherwise."""
    words = [
        (offset, mask, value)
        for offset, mask, value in zip(
            range(0, 16, 4),
            _words(network, network.netmask),
            _words(network, network.network),
            strict=False,
        )
        if mask
    ]
    for number, (offset, mask, value) in enumerate(words):
        rest = 3 * (len(words) - number - 1) + 1
        yield (_LOAD, 0, 0, _NETWORK_HEADER + _SOURCE[network.version] + offset)
        yield (_AND, 0, 0, mask)
        yield (_EQUALS, 0, rest, value)
    yield (_RETURN, 0, 0, _ALL)


def _words(network: IPNetwork, address: object) -> tuple[int, ...]:
    count = 1 if network.version == 4 else 4
    packed = int(address).to_bytes(4 * count, "big")  # type: ignore[call-overload]
    return struct.unpack(f"!{count}I", packed)


def by_source(family: IPFamily, sockets: int) -> tuple[Instruction, ...]:
    """Return a program that picks one of `sockets` by the source's address alone."""
    first = _NETWORK_HEADER + _SOURCE[6 if family == "IPv6" else 4]
    steps: list[Instruction] = [(_LOAD, 0, 0, first)]
    for offset in range(4, 16 if family == "IPv6" else 4, 4):
        steps += [(_TO_X, 0, 0, 0), (_LOAD, 0, 0, first + offset), (_XOR_X, 0, 0, 0)]
    return (*steps, (_MODULO, 0, 0, sockets), (_RETURN_A, 0, 0, 0))


def attach(
    sock: socket.socket, program: Sequence[Instruction], option: int = SO_ATTACH_FILTER
) -> None:
    """Have the kernel run `program` for what arrives at `sock`, in place of any other."""
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    memory = ctypes.create_string_buffer(code)
    sock.setsockopt(
        socket.SOL_SOCKET, option, struct.pack("HL", len(program), ctypes.addressof(memory))
    )


def detach(sock: socket.socket, option: int = SO_DETACH_FILTER) -> None:
    """Take a program off a socket; raises FileNotFoundError when it has none."""
    sock.setsockopt(socket.SOL_SOCKET, option, 0)
