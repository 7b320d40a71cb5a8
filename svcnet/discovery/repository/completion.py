"""Whether objects were in a cluster, and what one would add to them if they were not."""

from __future__ import annotations

from attrs import define

from svcnet.discovery.endpoints import has_selector, with_slices
from svcnet.discovery.repository.additions import Additions, sort_workloads
from svcnet.discovery.repository.assumptions import Assumptions
from svcnet.models import ClusterState
from svcnet.nogc import without_gc


@define
class RepositoryCompletion:
    """Adds to a state what is asked for, and keeps what that was: what a loading calls.

    With `from_pods` Services get slices of Pods also where nothing is assumed.
    """

    asked: Assumptions
    from_pods: bool = False
    _found: Additions | None = None

    def __call__(self, state: ClusterState) -> ClusterState:
        """Return a state with the additions."""
        self._found = assume(state, self.asked, from_pods=self.from_pods)
        return self._found.state

    @property
    def additions(self) -> Additions:
        """What was added to the state that was read."""
        assert self._found is not None
        return self._found


def was_in_cluster(state: ClusterState) -> bool:
    """Return whether objects are surely of a cluster: Pods have addresses, selectors endpoints.

    Endpoints of Services without a selector are written by people.
    """
    return any(pod.pod_ips for pod in state.pods.values()) or any(
        has_selector(service) and (name in state.slices or name in state.endpoints)
        for name, service in state.services.items()
    )


@without_gc()
def assume(state: ClusterState, asked: Assumptions, *, from_pods: bool = False) -> Additions:
    """Return a state with what a cluster would add to it, as far as that is asked for.

    `from_pods` makes slices of Pods also where nothing else is assumed. Raises UsageError where
    a range is too small.
    """
    if asked.when == "never" or (asked.when == "auto" and was_in_cluster(state)):
        made = with_slices(state) if from_pods else state
        return Additions(made, idle=sort_workloads(state.workloads.values()))
    from svcnet.discovery.repository.making import make_up

    return make_up(state, asked, from_pods=from_pods)
