"""Lines of ``ip -batch``: devices, and addresses that they hold."""

from __future__ import annotations

from typing import NamedTuple


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
    """Return what a line about an address does; None for one about something else."""
    match line.split():
        case ["address", "add" | "del" as verb, *text, "dev", device]:
            return Address(verb, " ".join(text), device)
        case _:
            return None


def make_dummy(device: str, group: int | None = None) -> str:
    """Return the line that makes a dummy device, in a group if that is given."""
    return f"link add {device} {'' if group is None else f'group {group} '}type dummy\n"


def name_alias(device: str, alias: str) -> str:
    """Return the line that gives a device an alias."""
    return f"link set {device} alias {alias}\n"
