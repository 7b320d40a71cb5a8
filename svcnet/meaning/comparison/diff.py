"""Compares two meanings, of graphs or of rules, over every packet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import evolve
from immutables import Map

from svcnet.graph import Fragment, FragmentName, Origin, RuleGraph
from svcnet.graph import diff as graph_diff
from svcnet.meaning.comparison.change import ChangePlace, HealthCheckChange, MeaningDiff
from svcnet.meaning.comparison.side import GraphSide, Side, side_of
from svcnet.meaning.comparison.sides import LocateField, SideComparison
from svcnet.meaning.comparison.texts import rewriting
from svcnet.meaning.outcomes import MachineRules
from svcnet.nogc import without_gc

WriteRules = Callable[[RuleGraph], str]
"""Writes the rules of a graph in a mode."""


def graphs_diff(
    old: RuleGraph,
    new: RuleGraph,
    mode: str = "iptables",
    locate: tuple[LocateField, LocateField] | None = None,
    write: WriteRules | None = None,
) -> MeaningDiff:
    """Compare what two graphs mean in a mode, at the cost of what differs between them.

    `write` is how the mode writes rules. With it, those are told that are written otherwise and
    mean the same.
    """
    parts = _narrow(old, new, mode)
    sides = GraphSide(old, mode, parts[0]), GraphSide(new, mode, parts[1])
    found = evolve(sides_diff(*sides, locate), health_checks=tuple(_health_checks(old, new)))
    if write is None:
        return found
    told = {name for each in found.frontends for name in (each.old, each.new) if name is not None}
    told.update(name for each in found.health_checks for name in (each.old, each.new) if name)
    same = tuple(name for name in written_otherwise(old, new, write) if name not in told)
    shared = write(evolve(old, fragments=Map())) != write(evolve(new, fragments=Map()))
    return evolve(found, same=same, text=shared)


def rules_diff(old: MachineRules, new: MachineRules) -> MeaningDiff:
    """Compare what rules do to every packet with what other rules do, in whichever language.

    If nothing becomes otherwise, rules that are written otherwise are told.
    """
    found = sides_diff(side_of(old, new), side_of(new, old))
    if found or found.unknown:
        return found
    return evolve(found, rewritten=rewriting(old, new))


@without_gc()
def sides_diff(
    old: Side, new: Side, locate: tuple[LocateField, LocateField] | None = None
) -> MeaningDiff:
    """Compare two sides, whatever they are."""
    return SideComparison(old, new, locate or (nowhere, nowhere)).compare()


def nowhere(origins: Sequence[Origin]) -> Sequence[ChangePlace | None]:
    """Say that nobody knows where fields are written."""
    return [None for _ in origins]


def _narrow(old: RuleGraph, new: RuleGraph, mode: str) -> tuple[RuleGraph, RuleGraph]:
    """Return of both graphs the fragments that can make packets end otherwise.

    Those are the ones that differ, and those that share an address or an endpoint with them: which
    ports of an address are closed, and which endpoints are on this node, is for all to see. In mode
    ipvs Services see more of each other.
    """
    step = graph_diff(old, new)
    if step.settings_changed or mode == "ipvs":
        return old, new
    seed = [*step.added, *step.removed, *(each for both in step.changed for each in both)]
    places = {place for fragment in seed for place in _places_of(fragment)}
    names = {fragment.name for fragment in seed}

    def part(graph: RuleGraph) -> RuleGraph:
        kept = {
            fragment.name: fragment
            for fragment in graph.fragments.values()
            if fragment.name in names or not places.isdisjoint(_places_of(fragment))
        }
        return evolve(graph, fragments=Map(kept))

    return part(old), part(new)


def _places_of(fragment: Fragment) -> Iterator[object]:
    for dispatch in fragment.dispatches:
        yield dispatch.address or (fragment.name.protocol, dispatch.port)
    for each in fragment.translates:
        yield fragment.name.protocol, each.address, each.port


def written_otherwise(old: RuleGraph, new: RuleGraph, write: WriteRules) -> Iterator[FragmentName]:
    """Yield the service ports whose rules are not written alike in both graphs."""
    step = graph_diff(old, new)
    names = step.names
    if step.settings_changed:
        names = tuple(sorted({*old.fragments, *new.fragments}))
    waiting = [names] if names else []
    while waiting:
        some = waiting.pop()
        if write(_only(old, some)) == write(_only(new, some)):
            continue
        if len(some) == 1:
            yield some[0]
            continue
        middle = len(some) // 2
        waiting += [some[middle:], some[:middle]]


def _only(graph: RuleGraph, names: Iterable[FragmentName]) -> RuleGraph:
    fragments = graph.fragments
    return evolve(
        graph, fragments=Map({name: fragments[name] for name in names if name in fragments})
    )


def _health_checks(old: RuleGraph, new: RuleGraph) -> Iterator[HealthCheckChange]:
    """Yield the health-check node ports that one Service has and the other graph's has not."""
    before, after = _health_ports(old), _health_ports(new)
    for port in sorted({*before, *after}):
        was, becomes = before.get(port), after.get(port)
        if was != becomes:
            yield HealthCheckChange(port, was, becomes)


def _health_ports(graph: RuleGraph) -> dict[int, FragmentName]:
    return {
        fragment.health_check.port: fragment.name
        for fragment in graph
        if fragment.health_check is not None
    }
