"""A changing state whose Services have slices made of Pods where they have no endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.discovery.endpoints.pods import has_selector
from svcnet.discovery.endpoints.selections import Slices, Step, differing
from svcnet.discovery.endpoints.selectors import Selectors
from svcnet.discovery.endpoints.slices import reconcile
from svcnet.discovery.endpoints.state import nodes_of
from svcnet.models import ClusterState, EndpointSlice, NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc


@frozen
class Completed:
    """A state in which no Service lacks endpoints that the Pods in it have.

    Services without slices and Endpoints have slices that are made of Pods, as by
    :func:`svcnet.discovery.endpoints.with_slices`; all others are as they were given. A value:
    :meth:`apply` returns a new one, which shares all that did not change.
    """

    state: ClusterState
    given: Selectors = field(repr=False)
    made: Map[NamespacedName, Slices] = field(repr=False, default=Map())

    @classmethod
    @without_gc()
    def of(cls, state: ClusterState) -> Completed:
        """Return `state` with the slices that it lacks."""
        empty = cls(state, Selectors.of(state))
        return empty._with_made(state.services, (), ())[0]

    def apply(
        self, changed: Iterable[ClusterObject] = (), removed: Iterable[ClusterObject] = ()
    ) -> tuple[Completed, Step]:
        """Return what comes of a change of what is given, and what that did to made slices."""
        changed, removed = tuple(changed), tuple(removed)
        given, names = self.given.apply(changed, removed)
        return evolve(self, given=given)._with_made(names, changed, removed)

    def _with_made(
        self,
        names: Iterable[NamespacedName],
        changed: Iterable[ClusterObject],
        removed: Iterable[ClusterObject],
    ) -> tuple[Completed, Step]:
        """Return the state after a change, with the slices of the Services `names` made anew."""
        made, new, gone = self.made, list[EndpointSlice](), list[EndpointSlice]()
        for name in sorted(names):
            before = made.get(name, ())
            after = self._lacking(name, before)
            step = differing(before, after)
            new += step.changed
            gone += step.removed
            if after:
                made = made.set(name, after)
            elif before:
                made = made.delete(name)
        # A slice that comes may have the name of a made one that goes with its coming.
        state = self.state.apply((), gone).apply(changed, removed).apply(new)
        return Completed(state, self.given, made), Step(tuple(new), tuple(gone))

    def _lacking(self, name: NamespacedName, before: Slices) -> Slices:
        """Return the slices that are to be made for a Service; `before` are those there were."""
        state = self.given.state
        service = state.services.get(name)
        if service is None or not has_selector(service):
            return ()
        if name in state.slices or name in state.endpoints:
            return ()
        return reconcile(service, self.given.selected(service), nodes_of(state), before)
