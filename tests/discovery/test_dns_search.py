"""The order in which a resolver asks, and which of its failures counts."""

from __future__ import annotations

from itertools import product
from typing import Literal
from unittest.mock import patch

import pytest

from svcnet.discovery.dns import Answer, Rcode, Record, Zones, records, search
from svcnet.models import ClusterState

ZONES = records(ClusterState())
DOMAINS = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
FAILURES: tuple[Rcode, ...] = ("NXDOMAIN", "NOERROR", "REFUSED")


def asked(name: str, ndots: int, replies: dict[str, Answer]) -> tuple[list[str], Answer]:
    """Return the questions of a search, and its answer, where servers have these replies."""

    def lookup(zones: Zones, name: str, rdtype: str) -> Answer:
        return replies[name.removesuffix(".")]

    with patch("svcnet.discovery.dns.search.lookup", lookup):
        found = search(ZONES, name, namespace="shop", ndots=ndots)
    return [attempt.name.removesuffix(".") for attempt in found.attempts], found.answer


def glibc(name: str, ndots: int, replies: dict[str, Answer]) -> tuple[list[str], Answer]:
    """Return what the GNU C library asks and tells, step by step as resolv.conf(5) has it."""
    questions, told = [], list[Answer]()
    if name.endswith("."):
        bare = name.removesuffix(".")
        return [bare], replies[bare]
    order = [f"{name}.{domain}" for domain in DOMAINS]
    as_is_first = name.count(".") >= ndots
    order.insert(0 if as_is_first else len(order), name)
    for question in order:
        questions.append(question)
        told.append(replies[question])
        if told[-1].answers:
            return questions, told[-1]
    if as_is_first:
        return questions, told[0]
    for reply in told:
        if reply.rcode == "NOERROR":
            return questions, reply
    return questions, told[-1]


@pytest.mark.parametrize("name", ["web", "web.shop", "db-0.web.shop", "web.", "web.shop."])
@pytest.mark.parametrize("ndots", [0, 1, 2, 5, 15])
def test_questions_come_in_the_order_of_glibc(name: str, ndots: int) -> None:
    """Whatever each name is answered, the questions and the outcome are those of glibc."""
    bare = name.removesuffix(".")
    names = [bare, *(f"{bare}.{domain}" for domain in DOMAINS)]
    every: tuple[Rcode | Literal["found"], ...] = (*FAILURES, "found")
    for kinds in product(every, repeat=len(names)):
        replies = {}
        for each, kind in zip(names, kinds, strict=True):
            data = (Record(each, 5, "A", "10.96.0.10"),) if kind == "found" else ()
            replies[each] = Answer("NOERROR" if kind == "found" else kind, each, answers=data)
        assert asked(name, ndots, replies) == glibc(name, ndots, replies)


def test_a_name_that_the_path_makes_too_long_is_not_asked_with_it() -> None:
    """A question has room for 253 characters; the name as it is may still have an answer."""
    name = ".".join(["a" * 60] * 4)
    replies = {name: Answer("NXDOMAIN", "")}
    assert asked(name, 5, replies)[0] == [name]
    assert asked(name, 1, replies)[0] == [name]
