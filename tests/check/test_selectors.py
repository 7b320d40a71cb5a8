"""What is said of a selector that finds no Pod, and where nothing is: nobody knows all Pods."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.check import check
from svcnet.check.similarity import distance
from tests.fuzz import examples

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web, tier: front}, ports: [{port: 80}]}
"""
DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web, tier: front}}
  template:
    metadata: {labels: {app: web, tier: front}}
    spec: {containers: [{name: web, image: web}]}
"""
OPERATOR = "---\napiVersion: shop.example/v1\nkind: Shop\nmetadata: {name: web, namespace: shop}\n"
ALMOST = "finds no Pod; Deployment web almost matches: it has "


def messages(*documents: str) -> list[str]:
    """Return what is said of selectors."""
    found = check("".join(documents).encode()).findings
    return [each.message for each in found if each.check.name == "no-pod"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("{app: web, tier: front}", []),
        ("{app: wbe, tier: front}", [f"{ALMOST}app=wbe, not app=web"]),
        ("{app: web, tier: frnot}", [f"{ALMOST}tier=frnot, not tier=front"]),
        ("{app: web, teir: front}", [f"{ALMOST}teir=front, not tier=front"]),
        ("{app: web}", [f"{ALMOST}no such label as tier=front"]),
        ("{app: web, tier: back}", [f"{ALMOST}tier=back, not tier=front"]),
        ("{app: mail, tier: back}", ["finds no Pod"]),
    ],
)
def test_the_workload_that_almost_matches_is_named(labels: str, said: list[str]) -> None:
    """By a slip of letters, or by one label of several; what is quite another is not named."""
    assert messages(SERVICE, DEPLOYMENT.replace("{app: web, tier: front}", labels)) == said


def test_of_pods_that_nobody_knows_nothing_is_said() -> None:
    """Without Pods in the namespace they are elsewhere; an operator may make any."""
    assert messages(SERVICE) == []
    elsewhere = DEPLOYMENT.replace("shop", "other").replace("front", "x")
    assert messages(SERVICE, elsewhere) == []
    assert (
        messages(SERVICE, DEPLOYMENT.replace("web", "mail").replace("front", "x"), OPERATOR) == []
    )
    assert messages(SERVICE, DEPLOYMENT.replace("replicas: 1", "replicas: 0")) == []


def test_a_slip_is_told_beside_operators_and_other_namespaces() -> None:
    wrong = DEPLOYMENT.replace("front", "frnot")
    assert messages(SERVICE, wrong, OPERATOR) == [f"{ALMOST}tier=frnot, not tier=front"]
    assert messages(SERVICE, DEPLOYMENT.replace("namespace: shop", "namespace: shpo")) == [
        "finds no Pod; Deployment web has these labels, in namespace shpo"
    ]


WORDS = st.text("ab-", max_size=5)


@settings(max_examples=examples(80), deadline=None)
@given(WORDS, WORDS, st.integers(0, 5))
def test_the_distance_is_the_least_number_of_slips(one: str, other: str, most: int) -> None:
    """As a search over all single slips finds it; beyond a bound it is only beyond that."""
    found = distance(one, other, most)
    wanted = slips(one, other)
    assert found == wanted if wanted <= most else found > most
    assert distance(other, one, most) == found or found > most


def slips(one: str, other: str) -> int:
    """Return the distance by its definition, letter by letter."""
    if not one or not other:
        return len(one) + len(other)
    ways = [
        slips(one[1:], other) + 1,
        slips(one, other[1:]) + 1,
        slips(one[1:], other[1:]) + (one[0] != other[0]),
    ]
    if len(one) > 1 and len(other) > 1 and (one[0], one[1]) == (other[1], other[0]):
        ways.append(slips(one[2:], other[2:]) + 1)
    return min(ways)
