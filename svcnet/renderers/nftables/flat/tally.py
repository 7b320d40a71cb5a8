"""How many elements each set has, and how many lead to each bucket."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from immutables import MapMutation

from svcnet.renderers.nftables.flat.buckets import Bucket

Key = TypeVar("Key", bound=Hashable)


class LeadTally:
    """Counts that go up and down with what comes and goes; what there is none of is not in them.

    ``sizes`` are by the names of sets, and ``buckets`` say how many elements lead to each, be it by
    way of another.
    """

    __slots__ = ("buckets", "sizes")

    def __init__(self, sizes: MapMutation[str, int], buckets: MapMutation[Bucket, int]) -> None:
        self.sizes = sizes
        self.buckets = buckets

    def count(self, container: str, step: int) -> None:
        """Take note that so many more elements are in a set, or less."""
        _count(self.sizes, container, step)

    def lead(self, bucket: Bucket, step: int) -> None:
        """Take note that so many more frontends lead to a bucket and its endpoints, or less."""
        _count(self.buckets, bucket, step)
        for each in bucket.leads_to():
            _count(self.buckets, each, step)
        for each in bucket.choosers():
            _count(self.sizes, each.container, step * each.size)


def _count(counts: MapMutation[Key, int], key: Key, step: int) -> None:
    number = counts.get(key, 0) + step
    if number:
        counts[key] = number
    else:
        del counts[key]
