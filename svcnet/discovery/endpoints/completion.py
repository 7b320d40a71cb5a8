"""A changing state whose Services have slices made of Pods where they have no endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.discovery.endpoints.finder import Finder
from svcnet.discovery.endpoints.members import Members
from svcnet.discovery.endpoints.pods import has_selector
from svcnet.discovery.endpoints.selecting import size
from svcnet.discovery.endpoints.selections import SliceChanges, Slices, differing
from svcnet.discovery.endpoints.selectors import Selectors
from svcnet.discovery.endpoints.slices import reconcile_members
from svcnet.models import Budget, ClusterState, EndpointSlice, NamespacedName, Service
from svcnet.models.budget import Allotment
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc


@frozen
class Completion:
    """A state in which no Service lacks endpoints that the Pods in it have.

    Services without slices and Endpoints have slices that are made of Pods, as by
    :func:`svcnet.discovery.endpoints.with_slices`; all others are as they were given. A value:
    :meth:`apply` returns a new one, which shares all that did not change. Services whose
    selectors find too many Pods have no slices: ``left_out`` says which, and why.
    """

    state: ClusterState
    given: Selectors = field(repr=False)
    made: Map[NamespacedName, Slices] = field(repr=False, default=Map())
    sizes: Map[NamespacedName, int] = field(repr=False, default=Map())
    allotment: Allotment = field(repr=False, factory=lambda: Allotment(Budget()))

    @classmethod
    @without_gc()
    def of(cls, state: ClusterState, budget: Budget | None = None) -> Completion:
        """Return `state` with the slices that it lacks."""
        empty = cls(state, Selectors.of(state), allotment=Allotment(budget or Budget()))
        return empty._with_made(frozenset(state.services), (), ())[0]

    @property
    def left_out(self) -> Map[tuple[str, str], str]:
        """The Services for which no slices are made although they lack them, and why."""
        return self.allotment.left_out

    def apply(
        self, changed: Iterable[ClusterObject] = (), removed: Iterable[ClusterObject] = ()
    ) -> tuple[Completion, SliceChanges]:
        """Return what comes of a change of what is given, and what that did to made slices."""
        changed, removed = tuple(changed), tuple(removed)
        given, names = self.given.apply(changed, removed)
        return evolve(self, given=given)._with_made(names, changed, removed)

    def _with_made(
        self,
        names: frozenset[NamespacedName],
        changed: Iterable[ClusterObject],
        removed: Iterable[ClusterObject],
    ) -> tuple[Completion, SliceChanges]:
        """Return the state after a change, with the slices of the Services `names` made anew."""
        finder, members = self.given.finder(), Members.of(self.given.state)
        sizes, allotment, moved = self._allot(names, finder)
        made, new, gone = self.made, list[EndpointSlice](), list[EndpointSlice]()
        for name in sorted(names | moved):
            before, after = made.get(name, ()), Slices()
            if name in sizes and name not in allotment.left_out:
                service = self.given.state.services[name]
                after = reconcile_members(service, finder.pods(service), members, before)
            step = differing(before, after)
            new += step.changed
            gone += step.removed
            if after:
                made = made.set(name, after)
            elif before:
                made = made.delete(name)
        # A slice that comes may have the name of a made one that goes with its coming.
        state = self.state.apply((), gone).apply(changed, removed).apply(new)
        after_change = Completion(state, self.given, made, sizes, allotment)
        return after_change, SliceChanges(tuple(new), tuple(gone))

    def _allot(
        self, names: Iterable[NamespacedName], finder: Finder
    ) -> tuple[Map[NamespacedName, int], Allotment, frozenset[NamespacedName]]:
        """Return the sizes after a change of `names`, who is left out, and who else moves."""
        were = {name: self.sizes[name] for name in names if name in self.sizes}
        now = {
            name: size(service, finder.count(service))
            for name in names
            if (service := self._lacking(name)) is not None
        }
        sizes = self.sizes
        for name in were.keys() - now.keys():
            sizes = sizes.delete(name)
        sizes = sizes.update(now)
        return sizes, *self.allotment.after(were, now, lambda: sizes)

    def _lacking(self, name: NamespacedName) -> Service | None:
        """Return a Service for which slices are to be made, None if it is none."""
        state = self.given.state
        service = state.services.get(name)
        has_own = name in state.slices or name in state.endpoints
        return None if service is None or has_own or not has_selector(service) else service
