"""Numbers for names, chosen by chance, and always the same by that chance.

A name and a seed give a number, and the number a slot. Where two names meet on a slot, the one with
the smaller number has it and the other goes on to the next. So slots depend on the names that there
are and never on the order in which they came, and one that comes or goes moves only those that it
meets (Blelloch and Golovin, "Strongly history-independent hashing with applications", 2007).
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

from attrs import frozen

Name = TypeVar("Name", bound=Hashable)
Key_contra = TypeVar("Key_contra", contravariant=True)
Of_contra = TypeVar("Of_contra", contravariant=True)
Value = TypeVar("Value")


class Assignment(Protocol[Key_contra, Value]):
    """What a mapping and a persistent map that changes have in common."""

    def get(self, key: Key_contra, /) -> Value | None: ...

    def __setitem__(self, key: Key_contra, value: Value, /) -> None: ...


class Slots(Protocol[Of_contra]):
    """Slots in a circle, and which one a name would have."""

    def first(self, name: Of_contra) -> int:
        """Return the slot that a name is to have."""

    def following(self, slot: int) -> int:
        """Return the slot after another."""

    def priority(self, name: Of_contra) -> Any:
        """Return what is smaller for a name that goes before others."""


def occupy(
    name: Name, slots: Slots[Name], by_name: Assignment[Name, int], by_slot: Assignment[int, Name]
) -> None:
    """Give a name a slot in two tables, of which there must be a free one."""
    slot = slots.first(name)
    while (holder := by_slot.get(slot)) is not None:
        if slots.priority(name) < slots.priority(holder):
            by_slot[slot], by_name[name] = name, slot
            name = holder
        slot = slots.following(slot)
    by_slot[slot], by_name[name] = name, slot


def number_of(words: Iterable[str]) -> int:
    """Return the number of a name, which is made of words, from 0 to 2**64 - 1."""
    return int.from_bytes(blake2b("/".join(words).encode(), digest_size=8).digest(), "big")


@frozen
class Range:
    """So many slots from 0, but for those that are ``taken``; names are words."""

    size: int
    taken: Container[int] = ()

    def first(self, name: tuple[str, ...]) -> int:
        """Return the slot that a name is to have."""
        slot = number_of(name) % self.size
        return self.following(slot - 1) if slot in self.taken else slot

    def following(self, slot: int) -> int:
        """Return the next slot that is not taken."""
        slot = (slot + 1) % self.size
        while slot in self.taken:
            slot = (slot + 1) % self.size
        return slot

    def priority(self, name: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
        """Return what is smaller for a name that goes before others."""
        return number_of(name), name


def choose(names: Iterable[tuple[str, ...]], slots: Range) -> dict[tuple[str, ...], int]:
    """Return the slot of each name; there must be enough that are free."""
    by_name: dict[tuple[str, ...], int] = {}
    by_slot: dict[int, tuple[str, ...]] = {}
    for name in names:
        occupy(name, slots, by_name, by_slot)
    return by_name
