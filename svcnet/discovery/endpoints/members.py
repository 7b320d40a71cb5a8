"""Pods as endpoints, made once for all Services that they are the same for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from svcnet.discovery.endpoints.packing import Identity, identity
from svcnet.discovery.endpoints.pods import hostname_in, target_of
from svcnet.discovery.endpoints.topology import Ratios, asks_for_hints, ratios_of
from svcnet.models import ClusterState, Endpoint, Node, Pod, Service

Member = tuple[Identity, Endpoint]


class Members:
    """Makes endpoints of Pods; `nodes` are None where nothing is known of Nodes.

    Many Services may select the same Pods: what they have in common is one object, so that
    Services times Pods are no more than as many references.
    """

    def __init__(self, nodes: Mapping[str, Node] | None) -> None:
        self.nodes = nodes
        self._made: dict[tuple[int, str, bool, str, str], Member] = {}
        self._pods: list[Pod] = []

    @classmethod
    def of(cls, state: ClusterState) -> Members:
        """Return the members of a state; input without any Node knows nothing of them."""
        return cls(state.nodes or None)

    @cached_property
    def ratios(self) -> Ratios:
        """The share of the CPUs that each zone has, empty where nothing is known of that."""
        return ratios_of(self.nodes.values()) if self.nodes else {}

    def member(self, service: Service, pod: Pod, address: str, hinted: str) -> Member:
        """Return what a Pod is to a Service with hints by `hinted`, and what tells it apart."""
        ready = service.publish_not_ready_addresses or (pod.ready and not pod.deleting)
        key = (id(pod), address, ready, hinted, hostname_in(pod, service))
        found = self._made.get(key)
        if found is None:
            self._pods.append(pod)  # whose id stays its own as long as it is here
            endpoint = self._endpoint(*key[1:], pod)
            found = self._made[key] = identity(endpoint), endpoint
        return found

    def _endpoint(
        self, address: str, ready: bool, hinted: str, hostname: str, pod: Pod
    ) -> Endpoint:
        node = self.nodes.get(pod.node_name) if self.nodes else None
        zone = node.zone if node else ""
        same_node = hinted == "PreferSameNode" and ready and pod.node_name
        return Endpoint(
            addresses=(address,),
            node_name=pod.node_name,
            ready=ready,
            serving=pod.ready,
            terminating=pod.deleting,
            zone=zone,
            zone_hints=(zone,) if hinted and ready and zone else (),
            hostname=hostname,
            node_hints=(pod.node_name,) if same_node else (),
            target_ref=target_of(pod),
        )


def hints_by(service: Service) -> str:
    """Return the traffic distribution, empty if the topology annotation is set instead."""
    return "" if asks_for_hints(service) else service.traffic_distribution
