"""Lines of ``ip -batch``: devices, and addresses that they hold."""

from __future__ import annotations

import re
from typing import NamedTuple

from svcnet.addresses import is_address

_LENGTH = re.compile(r"[0-9]{1,3}")


class Address(NamedTuple):
    """What a line about an address does; ``text`` is the address in the words of ``ip address``."""

    verb: str
    text: str
    device: str

    @property
    def address(self) -> str:
        """The address alone, without its length, an other end and the like."""
        return self.text.partition(" ")[0].partition("/")[0]

    @property
    def peer(self) -> str:
        """The address of the other end; the address itself where there is none."""
        return self.text.rpartition(" ")[2].partition("/")[0]

    @property
    def length(self) -> int:
        """How many bits of the address its network has."""
        return int(self.text.rpartition("/")[2])


def address(verb: str, text: str, device: str) -> str:
    """Return the line that adds an address to a device, or takes it away (``del``)."""
    return f"address {verb} {text} dev {device}\n"


def read(line: str) -> Address | None:
    """Return what a line about an address does; None for any that :func:`address` cannot write."""
    match line.split():
        case ["address", "add" | "del" as verb, *words, "dev", device] if _is_address(words):
            return Address(verb, " ".join(words), device)
        case _:
            return None


def _is_address(words: list[str]) -> bool:
    """Return whether words are an address with a length, or one with another end that has it."""
    match words:
        case [network]:
            own = other = network.partition("/")[0]
        case [own, "peer", network]:
            other = network.partition("/")[0]
        case _:
            return False
    bits = 128 if ":" in own else 32
    length = _LENGTH.fullmatch(network.partition("/")[2])
    are_addresses = is_address(own) and is_address(other) and (":" in own) == (":" in other)
    return are_addresses and length is not None and int(length[0]) <= bits


def make_dummy(device: str, group: int | None = None) -> str:
    """Return the line that makes a dummy device, in a group if that is given."""
    return f"link add {device} {'' if group is None else f'group {group} '}type dummy\n"


def name_alias(device: str, alias: str) -> str:
    """Return the line that gives a device an alias."""
    return f"link set {device} alias {alias}\n"
