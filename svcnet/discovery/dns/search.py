"""What a Pod's resolver makes of a name before a server is asked: the search path.

Source: resolv.conf(5), ``__res_context_search`` in resolv/res_query.c of the GNU C library,
and the ``dnsPolicy`` ClusterFirst of a Pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from svcnet.discovery.dns.lookup import Answer, lookup
from svcnet.discovery.dns.names import absolute, is_name
from svcnet.discovery.dns.zones import Zones

NDOTS = 5


@frozen
class Attempt:
    """One question of a search, and its answer."""

    name: str
    answer: Answer


@frozen
class Search:
    """What became of a name: the questions in their order.

    ``dots`` is how many the name has, ``first`` whether it is taken as it is before the
    search path, because of these dots.
    """

    name: str
    dots: int
    first: bool
    attempts: tuple[Attempt, ...]

    @property
    def answer(self) -> Answer:
        """The answer that the program gets.

        It is the one with records. Of failures that of the name as it is counts if it came
        first, else one to a name that exists, else the last.
        """
        answers = [attempt.answer for attempt in self.attempts]
        if answers[-1].answers:
            return answers[-1]
        if self.first:
            return answers[0]
        return next((each for each in answers if each.rcode == "NOERROR"), answers[-1])


def search(
    zones: Zones, name: str, rdtype: str = "A", *, namespace: str = "default", ndots: int = NDOTS
) -> Search:
    """Return what a Pod of `namespace` gets for `name`, question by question.

    A name with a final dot is asked as it is. One that has fewer than `ndots` dots is tried
    with the search path first and last as it is, another one the other way about. The first
    answer with records ends the search. A name outside the zones, which another server is
    asked for, counts as one that it does not have: what follows is for that case.
    """
    dots = name.count(".")
    first = dots >= ndots or name.endswith(".")
    attempts = []
    for candidate in _candidates(zones, name, namespace, first):
        attempts.append(Attempt(candidate, lookup(zones, candidate, rdtype)))
        if attempts[-1].answer.answers:
            break
    return Search(name, dots, first, tuple(attempts))


def _candidates(zones: Zones, name: str, namespace: str, first: bool) -> Iterator[str]:
    """Yield the names that are asked for; one that is too long for a question ends the path."""
    if name.endswith("."):
        yield name
        return
    if first:
        yield f"{name}."
    zone = zones.options.forward_zones[0]
    for domain in (f"{namespace}.svc.{zone}", f"svc.{zone}", zone):
        if not is_name(absolute(f"{name}.{domain}")):
            break
        yield f"{name}.{domain}"
    if not first:
        yield f"{name}."
