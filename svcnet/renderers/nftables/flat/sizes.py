"""How much room sets and maps have.

The kernel makes no room in one that has a size, and tells one without a size only in parts that
may not fit together.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from svcnet.netfilter.nft import NFTObject, NFTSet
from svcnet.renderers.nftables.frame import FixedParts

LEAST = 1024


def size_of(count: int) -> int:
    """Return the size of a set for so many elements, with half as much room again or more.

    It is three times a power of two. The kernel makes a third more places than that and rounds them
    up to a power of two (``nft_hash_buckets`` in ``net/netfilter/nft_set_hash.c``), so for a larger
    size twice as many, and goes through all of them whenever an element leads to another chain.
    """
    return max(LEAST, 3 << (max(count - 1, 0) // 2).bit_length())


def resize(parts: FixedParts, counts: Mapping[str, int]) -> FixedParts:
    """Return the fixed part with the sets that Services fill in the size for so many elements."""
    return evolve(parts, first=_resize(parts.first, counts), rest=_resize(parts.rest, counts))


def have_sizes(counts: Mapping[str, int], before: Mapping[str, int]) -> bool:
    """Return whether sets with so many elements have the sizes that they had `before`."""
    return all(
        size_of(counts.get(name, 0)) == size_of(before.get(name, 0)) for name in {*before, *counts}
    )


def _resize(made: tuple[NFTObject, ...], counts: Mapping[str, int]) -> tuple[NFTObject, ...]:
    return tuple(
        [
            each._replace(size=size_of(counts.get(each.name, 0))) if type(each) is NFTSet else each
            for each in made
        ]
    )
