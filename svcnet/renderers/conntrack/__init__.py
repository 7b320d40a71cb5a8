"""Which UDP entries of the kernel's connection table a rule graph has made stale.

Datagrams of a flow pass the rules once; after that they go where the flow's entry says,
for as long as they keep coming. So when an endpoint goes, or a Service gets its first one,
entries have to go as well. :func:`plan` says which; ``svcnet.executors.conntrack`` lists
and deletes them.

This is for modes in which the kernel translates: iptables and IPVS. In userspace mode
entries lead to proxy ports, which are no endpoints.

What is deleted when is that of pkg/proxy/conntrack/cleanup.go of Kubernetes v1.36, and of v1.37
for Services that have lost their last endpoint.
"""

from svcnet.renderers.conntrack.flows import Deletion, DeletionPlan, Flow
from svcnet.renderers.conntrack.stale import plan, touches_udp

__all__ = ["Deletion", "DeletionPlan", "Flow", "plan", "touches_udp"]
