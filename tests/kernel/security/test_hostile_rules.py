"""The tools themselves read what is written of hostile objects as svcnet means it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import svcnet
from svcnet.renderers import userspace
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.security.hostile import OBJECTS, PLACES, TEXTS, attacked, compiled, of_api, structures
from tests.security.test_hostile_objects import GOOD

pytestmark = pytest.mark.kernel

VARIANTS = ("nft", "legacy")
NAME = "-".join(["a" * 61, "b"])
LONG: tuple[tuple[tuple[int, tuple[Any, ...]], str], ...] = (
    ((0, ("metadata", "namespace")), NAME),
    ((0, ("metadata", "name")), "a" * 63),
    ((0, ("spec", "ports", 0, "name")), NAME),
    ((2, ("metadata", "name")), ".".join([NAME] * 3)),
)
"""The longest names that are legal."""


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with own_namespace():
        yield


def rules(objects: Iterable[dict[str, Any]], mode: str) -> str | None:
    """Return the rules of objects, None if any is refused."""
    models, errors = of_api(objects)
    if errors:
        return None
    graph = compiled(models)[1]
    if mode == "userspace":
        return userspace.text(userspace.full(graph), jumps=True)
    return svcnet.render(graph).text_with_jumps


@functools.cache
def attacks(mode: str) -> tuple[str, ...]:
    """Return the different rules of clusters with each text at each place, where it is taken."""
    tried = [*((place, text) for place in PLACES for text in TEXTS), *LONG]
    found = (rules(attacked(place, text), mode) for place, text in tried)
    return tuple(dict.fromkeys(filter(None, found)))


def loaded(text: str, variant: str) -> frozenset[tuple[str, ...]]:
    """Load rules and return the structure of those that are there then."""
    run(f"iptables-{variant}-restore", "--noflush", stdin=text)
    return structures(run(f"iptables-{variant}-save"))


def known(mode: str, variant: str) -> frozenset[tuple[str, ...]]:
    """Return the structures of rules of clusters without malice, once loaded."""
    clusters = [list(OBJECTS), *(attacked(place, value) for place, value in GOOD)]
    texts = filter(None, [rules(objects, mode) for objects in clusters])
    return frozenset().union(*(loaded(text, variant) for text in texts))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["iptables", "userspace"])
def test_rules_are_read(mode: str, variant: str) -> None:
    """Every text that is taken makes rules that load, and no rule is of a shape unheard of."""
    shapes = known(mode, variant)
    found = attacks(mode)
    assert len(found) > 10
    for text in found:
        assert loaded(text, variant) <= shapes


@pytest.mark.parametrize("variant", VARIANTS)
def test_breaking_out_would_be_seen(variant: str) -> None:
    """A name that ends the comment it stands in makes a rule of another shape."""
    shapes = known("iptables", variant)
    text = rules(OBJECTS, "iptables")
    assert text is not None
    broken = text.replace("shop/web:http external", 'shop/web" -j ACCEPT\n#', 1)
    assert loaded(broken, variant) - shapes
