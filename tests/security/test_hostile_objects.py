"""Whatever an object holds is refused in one safe line, or changes no line's structure."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.errors import Diagnostic
from svcnet.models.state import ClusterObject
from tests.security.hostile import (
    OBJECTS,
    PLACES,
    TEXTS,
    Place,
    attacked,
    of_api,
    of_manifests,
    structures,
    written,
)

RULES = ("iptables", "ipvs", "userspace")
LONGEST_LINE = 2000

# Each of these is a good value, and has rules of another shape than the cluster's own.
GOOD: tuple[tuple[Place, Any], ...] = (
    ((0, ("spec", "sessionAffinity")), "None"),
    ((0, ("spec", "externalTrafficPolicy")), "Cluster"),
    ((0, ("spec", "internalTrafficPolicy")), "Local"),
    ((0, ("spec", "externalIPs")), []),
    ((0, ("spec", "loadBalancerSourceRanges")), []),
    ((0, ("spec", "loadBalancerSourceRanges")), ["0.0.0.0/0"]),
    ((0, ("spec", "loadBalancerSourceRanges")), ["2001:db8::/32"]),
    ((0, ("spec", "loadBalancerSourceRanges")), ["10.96.0.11/32"]),
    ((0, ("status", "loadBalancer", "ingress")), []),
    ((0, ("spec", "ports", 0, "protocol")), "UDP"),
    ((2, ("metadata", "labels", "kubernetes.io/service-name")), "other"),
    ((2, ("endpoints", 0, "nodeName")), "node-b"),
    ((2, ("endpoints", 0, "addresses")), ["10.244.1.6"]),
    ((4, ("metadata", "name")), "node-c"),
)


@functools.cache
def known(name: str) -> frozenset[tuple[str, ...]]:
    """Return the structures that lines of one kind of rules have in clusters without malice."""
    clusters = [list(OBJECTS), *(attacked(place, value) for place, value in GOOD)]
    found = []
    for objects in clusters:
        models, errors = of_api(objects)
        assert not errors
        found.append(structures(written(models)[name]))
    return frozenset().union(*found)


def check(models: list[ClusterObject], diagnostics: list[Diagnostic]) -> None:
    """Fail unless refusals are safe lines, and what is taken has lines of known structure."""
    for diagnostic in diagnostics:
        assert str(diagnostic).isprintable()
        assert len(str(diagnostic)) < LONGEST_LINE
    if any(diagnostic.severity == "error" for diagnostic in diagnostics):
        return
    texts = written(models)
    for name, text in texts.items():
        assert text.replace("\n", "").isprintable(), name
        assert text.isascii(), name
        assert max(map(len, text.split("\n"))) < LONGEST_LINE, name
    for name in RULES:
        assert structures(texts[name]) <= known(name)
    for name in ("ipvs json", "userspace json"):
        json.loads(texts[name])


@pytest.mark.parametrize("address", ["10.244.1.5", "10.244.1.7", "10.244.1.8"])
def test_endpoints_of_every_kind_are_in_the_rules(address: str) -> None:
    """A slice, Endpoints and a Pod without malice have rules, which attacks could get into."""
    models, errors = of_api(OBJECTS)
    assert not errors
    assert all(f"{address}:8080" in written(models)[name] for name in RULES)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place[1])))
def test_every_place(place: Place) -> None:
    """No text of the table breaks out at any place, in a file or from an API server."""
    for text in TEXTS:
        objects = attacked(place, text)
        check(*of_api(objects))
        check(*of_manifests(objects))


@given(
    place=st.sampled_from(PLACES),
    value=st.one_of(
        st.text(),
        st.text(alphabet="\n\r\t\0\x1b\"'\\ -jA#;$`10.:/%", max_size=30),
        st.builds("".join, st.lists(st.sampled_from(TEXTS[:-3]), max_size=3)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    ),
)
def test_anything_anywhere(place: Place, value: object) -> None:
    """Text at random, parts of attacks put together, and other types than text are no better."""
    check(*of_api(attacked(place, value)))


KEYS = tuple({(number, path[:depth]) for number, path in PLACES for depth in range(len(path))})


@given(
    place=st.sampled_from(sorted(KEYS, key=repr)),
    key=st.text(alphabet="\n\x1b\"' -jA.", max_size=20) | st.just("a" * 3000),
)
def test_keys(place: Place, key: str) -> None:
    """A key that nobody expects is as harmless as a value."""
    number, path = place
    objects = attacked((number, ("added",)), "")
    inner: Any = objects[number]
    for each in path:
        inner = inner[each]
    if isinstance(inner, dict):
        inner[key] = key
        inner[f"{key}x"] = 1
    else:
        inner.append({key: key})
    check(*of_api(objects))
