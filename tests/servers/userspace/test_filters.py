"""Socket filters do what they say: run here by a small machine of classic BPF."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork

from svcnet.family import IPFamily
from svcnet.servers.userspace.filters import NOTHING_NEW, Instruction, by_source, only_from

NETWORK = 0xFFF00000
ADDRESS_AT = {4: 12, 6: 8}


def run(program: Sequence[Instruction], network: bytes, transport: bytes = b"") -> int:
    """Return what a program returns for a packet with these two headers."""
    accumulator = index = position = 0
    while True:
        code, yes, no, constant = program[position]
        position += 1
        match code:
            case 0x20:
                at = constant - NETWORK
                accumulator = int.from_bytes(network[at : at + 4], "big")
            case 0x30:
                accumulator = transport[constant]
            case 0x54:
                accumulator &= constant
            case 0x94:
                accumulator %= constant
            case 0xAC:
                accumulator ^= index
            case 0x07:
                index = accumulator
            case 0x15:
                position += yes if accumulator == constant else no
            case 0x45:
                position += yes if accumulator & constant else no
            case 0x06:
                return constant
            case 0x16:
                return accumulator
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


def header(source: IPAddress) -> bytes:
    """Return an IP header that has nothing but its source."""
    packed: bytes = source.packed
    return bytes(ADDRESS_AT[source.version]) + packed


versions = st.sampled_from([4, 6])


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[str], IPAddress]:
    """Networks, and an address that is often near one of them."""
    version = draw(versions)
    width = 32 if version == 4 else 128
    values = st.integers(0, 2**width - 1)
    networks = [
        IPNetwork((draw(values), draw(st.integers(0, width))), version=version).cidr
        for _ in range(draw(st.integers(1, 5)))
    ]
    if draw(st.booleans()):
        return [str(network) for network in networks], IPAddress(draw(values), version)
    near = draw(st.sampled_from(networks))
    value = draw(st.sampled_from([near.first, near.last, near.first - 1, near.last + 1]))
    return [str(network) for network in networks], IPAddress(value % 2**width, version)


@given(questions())
@example((["0.0.0.0/0"], IPAddress("203.0.113.1")))
@example((["::1/128"], IPAddress("::2")))
def test_only_sources_of_the_ranges_pass(question: tuple[list[str], IPAddress]) -> None:
    """A packet passes exactly when its source lies in one of the ranges."""
    cidrs, source = question
    wanted = any(source in IPNetwork(cidr) for cidr in cidrs)
    assert bool(run(only_from(cidrs), header(source))) == wanted


def test_only_the_beginning_of_a_connection_is_held_back() -> None:
    """Of TCP packets those with SYN are dropped, and all others pass."""
    for flags in range(64):
        transport = bytes(13) + bytes([flags])
        assert bool(run(NOTHING_NEW, b"", transport)) == (not flags & 0x02)


def test_sources_are_spread_over_sockets() -> None:
    """Neighbouring addresses go to all sockets alike, and one always to the same."""
    cases: dict[IPFamily, str] = {"IPv4": "10.244.0.0", "IPv6": "fd00:10:244::"}
    for family, first in cases.items():
        program = by_source(family, 4)
        base = IPAddress(first)
        chosen = Counter(run(program, header(base + n)) for n in range(400))
        assert chosen == {0: 100, 1: 100, 2: 100, 3: 100}


def test_the_kernel_takes_the_programs() -> None:
    """Programs of any of these kinds are valid for the kernel, on a datagram socket."""
    from svcnet.servers.userspace.filters import attach

    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        for program in (NOTHING_NEW, only_from(["10.0.0.0/8", "192.0.2.1/32"]), only_from([])):
            attach(sock, program)
