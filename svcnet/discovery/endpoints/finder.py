"""Which Pods selectors find, and how many, without a look at each Pod for each Service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import and_
from typing import Protocol

from svcnet.discovery.endpoints.pods import matches
from svcnet.models import ClusterState, Pod, Service

FEW = 256
"""So many Pods are looked at one by one: to read a Service took as long."""

Pair = tuple[str, str, str]
"""A namespace, and key and value of a label."""


class FoundPods(Protocol):
    """Pods, and how many."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Pod]: ...


class Finder:
    """Finds Pods by selectors; `having` returns those that have a label.

    Services by Pods is a product, so Pods are not looked at for each Service. The Pods of a label
    that many have are bits of a number, and what several labels have in common is one operation.
    """

    def __init__(self, having: Callable[[Pair], FoundPods]) -> None:
        self._having = having
        self._listed: list[Pod] = []
        self._numbers: dict[int, int] = {}
        self._bits: dict[Pair, int] = {}

    @classmethod
    def of(cls, state: ClusterState, services: Iterable[Service]) -> Finder:
        """Return a finder of the Pods of a state for `services`, which have selectors."""
        found: dict[Pair, list[Pod]] = {
            pair: [] for service in services for pair in pairs_of_selector(service)
        }
        for pod in state.pods.values():
            for pair in pairs_of(pod):
                if pair in found:
                    found[pair].append(pod)
        return cls(lambda pair: found.get(pair, ()))

    def most(self, service: Service) -> int:
        """Return a number that :meth:`count` is not above, at once."""
        return min(len(self._having(pair)) for pair in pairs_of_selector(service))

    def count(self, service: Service) -> int:
        """Return how many Pods the selector of a Service finds, which has one."""
        if len(service.selector) == 1:
            return self.most(service)
        few = self._few(service)
        return self._common(service).bit_count() if few is None else len(few)

    def pods(self, service: Service) -> FoundPods:
        """Return the Pods that the selector of a Service finds, which has one."""
        if len(service.selector) == 1:
            return self._having(next(pairs_of_selector(service)))
        few = self._few(service)
        if few is None:
            return [self._listed[number] for number in _places(self._common(service))]
        return few

    def _few(self, service: Service) -> list[Pod] | None:
        """Return what is found among few Pods; None where they are more."""
        candidates = min(map(self._having, pairs_of_selector(service)), key=len)
        if len(candidates) > FEW:
            return None
        return [pod for pod in candidates if matches(service.selector, pod)]

    def _common(self, service: Service) -> int:
        return reduce(and_, map(self._bits_of, pairs_of_selector(service)))

    def _bits_of(self, pair: Pair) -> int:
        """Return the Pods that have a label as bits."""
        found = self._bits.get(pair)
        if found is None:
            places = [self._place(pod) for pod in self._having(pair)]
            octets = bytearray(len(self._listed) // 8 + 1)
            for place in places:
                octets[place >> 3] |= 1 << (place & 7)
            found = self._bits[pair] = int.from_bytes(octets, "little")
        return found

    def _place(self, pod: Pod) -> int:
        place = self._numbers.setdefault(id(pod), len(self._listed))
        if place == len(self._listed):
            self._listed.append(pod)
        return place


def _places(bits: int) -> Iterator[int]:
    """Yield the places of the bits that are set."""
    digits = f"{bits:b}"[::-1]
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)


def pairs_of(pod: Pod) -> Iterator[Pair]:
    """Yield the labels of a Pod with its namespace."""
    for key, value in pod.labels.items():
        yield pod.namespace, key, value


def pairs_of_selector(service: Service) -> Iterator[Pair]:
    """Yield the labels that a Service's selector wants, with its namespace."""
    for key, value in service.selector.items():
        yield service.namespace, key, value
