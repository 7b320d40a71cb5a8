"""What lines for ``nft -f`` are about: chains, sets and single elements."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import NamedTuple

_KINDS = MappingProxyType({"chain": "chain", "rule": "chain", "set": "set", "map": "set"})


class NFTPlace(NamedTuple):
    """A chain with its rules, a set or map with its elements, or with a ``key`` one of these.

    The ``kind`` is ``chain``, ``set``, ``table`` without a name, or the word for anything else.
    """

    kind: str
    name: str
    key: str = ""


def places(text: str, table: str) -> frozenset[NFTPlace]:
    """Return what the lines of a text are about, of which each names `table`."""
    found = set()
    for line in text.splitlines():
        _, kind, rest = line.split(" ", 2)
        name, _, more = rest.removeprefix(f"{table} ").partition(" ")
        if kind == "element":
            found.add(NFTPlace("set", name, key_of_element(more)))
        else:
            found.add(NFTPlace(_KINDS.get(kind, kind), "" if kind == "table" else name))
    return frozenset(found)


def are_apart(some: Iterable[NFTPlace], others: Iterable[NFTPlace]) -> bool:
    """Return whether nothing is of both; sets go with their elements, and tables with all."""
    some, others = frozenset(some), frozenset(others)
    if not some or not others:
        return True
    if any(place.kind not in ("chain", "set") for place in some | others):
        return False
    wholes = {place for place in some | others if not place.key}
    for one, other in ((some, others), (others, some)):
        if any(place in other or place._replace(key="") in wholes & other for place in one):
            return False
    return True


def key_of_element(words: str) -> str:
    """Return the key in what a line says of an element, behind the set's name."""
    key = words.removeprefix("{ ").partition(" comment ")[0].partition(" : ")[0]
    return key.rstrip("\n").removesuffix(" }")
