"""Node (core/v1)."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

ZONE_LABEL = "topology.kubernetes.io/zone"


@frozen
class Node:
    """A Node: its addresses in order of preference, pod CIDRs and labels.

    ``addresses`` are the InternalIPs and then the ExternalIPs of ``status.addresses``,
    the order in which kube-proxy picks the node IP of a family.
    """

    name: str
    addresses: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(factory=dict)

    @property
    def zone(self) -> str:
        """The node's topology zone, or the empty string."""
        return self.labels.get(ZONE_LABEL, "")
