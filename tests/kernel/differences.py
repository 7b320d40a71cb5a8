"""What is known to differ between modes, by the name that scenarios and documents use.

Each sentence is also the first of its section in docs/explanation/ipvs-differences.md, or
in userspace-differences.md or nftables.md beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

HIDDEN_SOURCE = "source-is-the-nodes"

DIFFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "other-ports-refused": (
            "A port of a Service's address that no Service has is refused, where iptables "
            "mode leaves the packet alone."
        ),
        "no-node-ports-on-loopback": "Node ports do not answer on 127.0.0.1.",
        "local-policy-falls-back": (
            "A traffic policy Local without an endpoint on the node sends to the endpoints of "
            "other nodes, where iptables mode drops the packet."
        ),
        "local-policy-refuses": (
            "A Service that only has a cluster IP, with internalTrafficPolicy Local and no "
            "endpoint on the node, refuses connections, where iptables mode drops them."
        ),
        "local-policy-for-all": (
            "With externalTrafficPolicy Local, pods and the node itself get the endpoints on "
            "the node too, where iptables mode gives them all endpoints."
        ),
        "no-hairpin-for-other-nodes": (
            "A pod of another node that reaches itself through this node keeps its source "
            "address, so the connection fails."
        ),
        "source-is-the-service": (
            "A process of the node that binds to no address has the Service's address as its "
            "source, where in iptables mode it has the node's."
        ),
        "node-passes-source-ranges": (
            "Source ranges do not hold for a process of the node that binds to an address of "
            "the node."
        ),
        "affinity-per-address": (
            "Session affinity is remembered for each address and port of a Service by itself, "
            "where iptables mode remembers it for the service port."
        ),
        "affinity-outlives-its-timeout": (
            "Session affinity does not end before the client's last connection is forgotten, "
            "for TCP two minutes after its end."
        ),
        "input-rules-apply": (
            "Rules of the host's own in the chain INPUT, and its policy, apply to packets for "
            "Services."
        ),
        "connections-end-with-the-service": (
            "Connections break when their Service goes, where in iptables mode they live on."
        ),
        "refusals-leave-the-node": (
            "Iptables mode does not refuse what the node itself sends to the external or load "
            "balancer address of a Service without endpoints: the packet leaves the node."
        ),
        "node-ports-on-primary-addresses": (
            "Node ports answer on the node's primary address of each family only, unless "
            "`nodePortAddresses` says otherwise."
        ),
        "closed-ports-of-cluster-ips-refused": (
            "A port of a cluster IP that no Service has is refused, where iptables mode leaves "
            "the packet alone."
        ),
        "cluster-ips-of-no-service-dropped": (
            "Packets for a cluster IP that no Service has are dropped, where ServiceCIDR objects "
            "say that it is one."
        ),
        "source-ranges-come-first": (
            "Sources that a load balancer does not accept are dropped also while the Service has "
            "no endpoints, where iptables mode refuses whoever comes."
        ),
        "last-claim-answers": (
            "Of several Services that claim one address and port, such as an external IP, the last "
            "in order has it, where in iptables mode the first answers."
        ),
        "refusals-decide": (
            "A Service that refuses a packet decides, whoever else claims its address and port, "
            "where in iptables mode the next of them is asked."
        ),
        "health-check-ports-stay-closed": (
            "Rules of the host's own in the chain INPUT, and its policy, apply to health-check "
            "node ports, which iptables mode opens."
        ),
        HIDDEN_SOURCE: (
            "Endpoints see an address of the node as the client's, whoever the client is."
        ),
        "node-leaves-for-external-ips": (
            "What the node itself sends to an external IP that no interface of its has leaves "
            "the node, where iptables mode sends it to an endpoint."
        ),
        "input-rules-apply-to-proxy-ports": (
            "Rules of the host's own in the chain INPUT, and its policy, apply to the proxy's "
            "ports, unless the Service has a node port."
        ),
    }
)
