"""Node (core/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from svcnet.brief import Brief
from svcnet.labels import CONTROL_PLANE_LABELS, ZONE_LABEL

TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@frozen(repr=False)
class Taint(Brief):
    """What keeps Pods off a Node that do not tolerate it."""

    key: str
    effect: TaintEffect
    value: str = ""


@frozen(repr=False)
class Node(Brief):
    """A Node: its addresses in order of preference, pod CIDRs and labels.

    ``addresses`` are the InternalIPs and then the ExternalIPs of ``status.addresses``,
    the order in which kube-proxy picks the node IP of a family. ``being_deleted`` says that
    load balancers are to send nothing here any more: the Node has a ``deletionTimestamp``, or
    the taint ``ToBeDeletedByClusterAutoscaler``. ``cpu`` are the thousandths of CPUs that Pods can
    have, 0 where that is not told. ``taints`` keep Pods away.
    """

    name: str
    addresses: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)
    being_deleted: bool = False
    ready: bool = False
    cpu: int = 0
    taints: tuple[Taint, ...] = ()

    @property
    def serves_pods(self) -> bool:
        """Whether the node counts where traffic is shared out between zones."""
        return self.ready and CONTROL_PLANE_LABELS.isdisjoint(self.labels)

    @property
    def zone(self) -> str:
        """The node's topology zone, or the empty string."""
        return self.labels.get(ZONE_LABEL, "")
