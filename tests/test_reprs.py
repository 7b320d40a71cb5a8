"""What a value shows of itself fits a screen, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

import attrs
import pytest

import svcnet
from svcnet import modes
from svcnet.agent import Agent, Cluster
from svcnet.compiler import node_view
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.graph import GraphDiff, RuleGraph
from svcnet.models import ClusterState, EndpointAddress, Endpoints, EndpointSubset
from svcnet.sources import LoadResult
from svcnet.testing import (
    FakeMachine,
    make_node,
    make_pod,
    make_service,
    make_slice,
)
from tests.bench import clusters

SERVICES = 1000
WHOLE = 500
"""So many characters a value has that is of a whole cluster."""

SCREEN = 24 * 80
"""So many has any."""


@cache
def loaded() -> LoadResult:
    items = list(clusters.manifests(SERVICES))
    return svcnet.load(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode())


@cache
def graph() -> RuleGraph:
    return svcnet.compile(loaded().state)


@cache
def step() -> GraphDiff:
    """Return the step from no Service to all."""
    return svcnet.graph.diff(RuleGraph(graph().settings), graph())


def in_modes() -> Iterator[Any]:
    """Yield all that a mode makes, and the mode, for each of svcnet's own."""
    for mode in modes.builtin().values():
        yield from (mode, mode.executor(), mode.full(graph()), mode.delta(step()))
        yield from (mode.settings(), *mode.forms.values())


def of_a_cluster() -> Iterator[Any]:
    yield from (loaded(), loaded().state, node_view(loaded().state), graph(), step())
    yield from in_modes()
    yield from (THIS_MACHINE, FakeMachine(), Agent(["x" * 100] * 100), Agent(Cluster()))


def full() -> ClusterState:
    """Return objects that have as much as they may."""
    addresses = [f"10.1.{number >> 8}.{number & 255}" for number in range(1000)]
    pairs = {f"example.com/{number}": "x" * 200 for number in range(1000)}
    service = make_service(
        external_ips=tuple(addresses),
        load_balancer_source_ranges=tuple(f"{address}/32" for address in addresses),
        external_name="x" * 250,
        selector=pairs,
        labels=pairs,
        annotations=pairs,
    )
    node = attrs.evolve(
        make_node("n" * 250, *addresses), labels=pairs, pod_cidrs=tuple(["10.0.0.0/8"] * 1000)
    )
    of_web = make_slice("web", *(f"{address}@{node.name}" for address in addresses))
    subset = EndpointSubset(tuple(EndpointAddress(address) for address in addresses))
    endpoints = Endpoints("shop", "db", (subset,) * 100, labels=pairs, annotations=pairs)
    pod = make_pod("web-1", *addresses, labels=pairs)
    return ClusterState.of([service, node, of_web, pod, endpoints])


def inside(values: Iterable[Any], seen: set[int] | None = None) -> Iterator[Any]:
    """Yield values, and what is in them; of many in one place the first."""
    seen = set() if seen is None else seen
    for value in values:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            yield from inside(islice(value.items(), 3), seen)
        elif isinstance(value, tuple | list | frozenset):
            yield from inside(islice(value, 8), seen)
        if type(value).__module__.partition(".")[0] != "svcnet":
            continue
        yield value
        if attrs.has(type(value)):
            yield from inside(
                [getattr(value, field.name) for field in attrs.fields(type(value))], seen
            )


def test_what_holds_a_cluster_is_shown_in_a_few_lines() -> None:
    long = {
        type(value).__name__: len(text)
        for value in of_a_cluster()
        if len(text := repr(value)) > WHOLE
    }
    assert long == {}


def test_every_value_fits_a_screen() -> None:
    """Also each that is in another, and with the most that an object may have."""
    state = full()
    one = svcnet.compile(state)
    values = [state, one, svcnet.graph.diff(RuleGraph(one.settings), one)]
    for mode in modes.builtin().values():
        values += [mode.full(one), mode.delta(svcnet.graph.diff(RuleGraph(one.settings), one))]
    found = [*inside([*of_a_cluster(), *values])]
    long = {type(value).__name__: len(text) for value in found if len(text := repr(value)) > SCREEN}
    assert long == {}
    assert len({type(value) for value in found}) > 40


@pytest.mark.parametrize("name", ["loaded", "state", "graph"])
def test_what_there_is_shows_how_much(name: str) -> None:
    """A person sees how many things a value has."""
    values = {"loaded": loaded(), "state": loaded().state, "graph": graph()}
    if name != "loaded":
        assert f"<{SERVICES}>" in repr(values[name])
    assert repr(values[name]).startswith(f"{type(values[name]).__name__}(")


def test_a_mode_says_which() -> None:
    assert repr(modes.get("ipvs")) == "<mode ipvs>"
