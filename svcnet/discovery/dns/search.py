"""What a Pod's resolver makes of a name before a server is asked: the search path.

Source: resolv.conf(5), ``res_nsearch`` of the GNU C library, and the ``dnsPolicy``
ClusterFirst of a Pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from svcnet.discovery.dns.answer import Answer
from svcnet.discovery.dns.lookup import lookup
from svcnet.discovery.dns.zones import Zones

NDOTS = 5


@frozen
class Attempt:
    """One question of a search, and its answer."""

    name: str
    answer: Answer


@frozen
class Search:
    """What became of a name: the questions in their order, the last one decided.

    ``dots`` is how many the name has, ``first`` whether it is taken as it is before the
    search path, because of these dots.
    """

    name: str
    dots: int
    first: bool
    attempts: tuple[Attempt, ...]

    @property
    def answer(self) -> Answer:
        """The answer that the program gets."""
        return self.attempts[-1].answer


def search(
    zones: Zones, name: str, rdtype: str = "A", *, namespace: str = "default", ndots: int = NDOTS
) -> Search:
    """Return what a Pod of `namespace` gets for `name`, question by question.

    A name with a final dot is asked as it is. One that has fewer than `ndots` dots is tried
    with the search path first, another one last. The first answer with records ends the
    search, and so does a name outside the zones, which another server is asked for.
    """
    dots = name.count(".")
    first = dots >= ndots or name.endswith(".")
    attempts = []
    for candidate in _candidates(zones, name, namespace, first):
        attempts.append(Attempt(candidate, lookup(zones, candidate, rdtype)))
        if attempts[-1].answer.answers or attempts[-1].answer.rcode == "REFUSED":
            break
    return Search(name, dots, first, tuple(attempts))


def _candidates(zones: Zones, name: str, namespace: str, first: bool) -> Iterator[str]:
    if name.endswith("."):
        yield name
        return
    if first:
        yield f"{name}."
    zone = zones.options.forward_zones[0]
    for domain in (f"{namespace}.svc.{zone}", f"svc.{zone}", zone):
        yield f"{name}.{domain}"
    if not first:
        yield f"{name}."
