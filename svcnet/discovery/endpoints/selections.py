"""Slices that follow a changing cluster: a change costs what it touches, not the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen
from immutables import Map

from svcnet.discovery.endpoints.members import Members
from svcnet.discovery.endpoints.pods import has_selector
from svcnet.discovery.endpoints.selectors import Selectors
from svcnet.discovery.endpoints.slices import is_own, reconcile_members
from svcnet.models import ClusterState, EndpointSlice, NamespacedName
from svcnet.models.state import ClusterObject
from svcnet.nogc import without_gc

Slices = tuple[EndpointSlice, ...]


@frozen
class SliceChanges:
    """What a change of Pods, Services and Nodes came to: slices that are new or other, or gone."""

    changed: Slices = ()
    removed: Slices = ()


@frozen
class Selections:
    """A state whose slices are those that the EndpointSlice controller keeps.

    A value: :meth:`apply` returns a new one, which shares all that did not change. Unlike
    :class:`svcnet.discovery.endpoints.Completion` it has no bound of what selectors may find.
    """

    selectors: Selectors = field(repr=False)

    @property
    def state(self) -> ClusterState:
        """What there is, with the slices."""
        return self.selectors.state

    @classmethod
    @without_gc()
    def of(cls, state: ClusterState) -> Selections:
        """Return the selections of `state`, with slices for every Service with a selector."""
        return cls(Selectors.of(state))._reconcile(state.services)[0]

    def apply(
        self, changed: Iterable[ClusterObject] = (), removed: Iterable[ClusterObject] = ()
    ) -> tuple[Selections, SliceChanges]:
        """Return the selections after a change, and what that did to slices.

        Services that are not touched keep their slices as the same objects.
        """
        selectors, names = self.selectors.apply(changed, removed)
        return Selections(selectors)._reconcile(names)

    def _reconcile(self, names: Iterable[NamespacedName]) -> tuple[Selections, SliceChanges]:
        """Return the selections with the slices of the Services `names` made anew."""
        changed: list[EndpointSlice] = []
        removed: list[EndpointSlice] = []
        finder, members = self.selectors.finder(), Members.of(self.state)
        for name in sorted(names):
            service = self.state.services.get(name)
            group = self.state.slices.get(name, Map[str, EndpointSlice]())
            own = [item for item in group.values() if is_own(item)]
            if service is not None and not has_selector(service):
                # The controller does not look at it, whatever is there from before.
                continue
            made: Slices = ()
            if service is not None:
                made = reconcile_members(service, finder.pods(service), members, own)
            step = differing(own, made)
            changed += step.changed
            removed += step.removed
        state = self.state.apply(changed, removed)
        selectors = evolve(self.selectors, state=state)
        return Selections(selectors), SliceChanges(tuple(changed), tuple(removed))


def differing(before: Iterable[EndpointSlice], after: Iterable[EndpointSlice]) -> SliceChanges:
    """Return what of the slices of one Service differs; one that is kept is the same object."""
    old = {item.name: item for item in before}
    changed = tuple([item for item in after if old.pop(item.name, None) is not item])
    return SliceChanges(changed, tuple(old.values()))
