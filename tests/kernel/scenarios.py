"""What is tried with packets: clusters, who sends what where, and what must come of it.

Every mode of svcnet must pass this table. Where a mode is known to differ, the table says
so: a :class:`Difference` at the step, whose name `DIFFERENCES` explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import evolve, field, frozen

from svcnet.family import IP_FAMILIES
from svcnet.models import (
    DetectLocalConfiguration,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    IPFamily,
    IPTablesConfiguration,
    KubeProxyConfiguration,
    LoadBalancerIngress,
    NFTablesConfiguration,
    Service,
    ServiceCIDR,
    ServicePort,
)
from svcnet.models.state import ClusterObject
from svcnet.testing import make_service, make_slice
from tests.kernel.netns import (
    CLUSTER_IP,
    ENDPOINTS,
    EXTERNAL,
    LOAD_BALANCER,
    LOOPBACK,
    NODE,
    NODE_INNER,
    OTHER_CLUSTER_IP,
    Both,
)

REFUSED = "refused"
DROPPED = "dropped"
UNTOUCHED = "untouched"
CLOSED = "closed"
BROKEN = "broken"
REMEMBERED = "remembered"
EVERY_PORT = range(1, 65536)
DEFAULTS = KubeProxyConfiguration()


@frozen
class Reach:
    """One end that a try may have: an endpoint's port, with the source kept or the node's."""

    endpoint: str
    port: int
    masquerade: bool


Expected: TypeAlias = str | frozenset[Reach]
Mode: TypeAlias = Literal["iptables", "ipvs", "nftables", "userspace"]


def kept(*endpoints: str, port: int = 8080) -> frozenset[Reach]:
    """The endpoints, which see the address that the packet was sent from."""
    return frozenset(Reach(endpoint, port, False) for endpoint in endpoints)


def masked(*endpoints: str, port: int = 8080) -> frozenset[Reach]:
    """The endpoints, which see an address of the node."""
    return frozenset(Reach(endpoint, port, True) for endpoint in endpoints)


@frozen
class Difference:
    """What comes of a step in a mode where that is not what the others do.

    ``name`` is one of `DIFFERENCES`. With ``forgets``, session affinity does not know
    here whom it sent where before. With ``in_graph`` the mode's settings make the difference, so
    that the rule graph has it too.
    """

    mode: Mode
    name: str
    expected: Expected
    forgets: bool = False
    in_graph: bool = False


def in_ipvs(name: str, expected: Expected, *, forgets: bool = False) -> Difference:
    return Difference("ipvs", name, expected, forgets)


def in_nftables(name: str, expected: Expected, *, in_graph: bool = False) -> Difference:
    return Difference("nftables", name, expected, in_graph=in_graph)


def in_iptables(name: str, expected: Expected) -> Difference:
    return Difference("iptables", name, expected)


def in_userspace(name: str, expected: Expected) -> Difference:
    return Difference("userspace", name, expected)


def each(differs: Difference | tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Return the differences of a step, of which most have one or none."""
    return differs if isinstance(differs, tuple) else (differs,)


@frozen
class Probe:
    """`count` tries from each address of `source`; 0 means as many as the statistics need.

    ``in_turn`` sends them one after the other, for session affinity.
    """

    source: str
    destination: Both
    port: int
    expected: Expected
    protocol: str = "TCP"
    count: int = 0
    in_turn: bool = False
    differs: tuple[Difference, ...] = field(default=(), converter=each)


@frozen
class Change:
    """Objects come or are replaced, and the rules follow by the delta alone."""

    objects: tuple[ClusterObject, ...]


@frozen
class Expire:
    """Session affinity is waited out; the next answers must not all be those before."""

    seconds: float
    differs: tuple[Difference, ...] = field(default=(), converter=each)


@frozen
class Open:
    """A TCP connection is opened and held until the scenario's end."""

    source: str
    destination: Both
    port: int
    expected: Expected
    protocol: str = "TCP"
    differs: tuple[Difference, ...] = field(default=(), converter=each)


@frozen
class Exchange:
    """Every connection held so far, all by `source`, still carries bytes."""

    source: str
    differs: tuple[Difference, ...] = field(default=(), converter=each)


Step: TypeAlias = Probe | Change | Expire | Open | Exchange


@frozen
class Scenario:
    """A cluster and what is done in it.

    ``closed`` are TCP ports of the node that rules of its own close for new connections, and
    ``zone`` is that of the node.
    """

    name: str
    objects: tuple[ClusterObject, ...]
    steps: tuple[Step, ...]
    config: KubeProxyConfiguration = DEFAULTS
    families: tuple[IPFamily, ...] = IP_FAMILIES
    closed: Sequence[int] = ()
    zone: str = ""

    @property
    def protocols(self) -> set[str]:
        return {step.protocol for step in self.steps if isinstance(step, Probe)}


CLUSTER_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")
ALL = ("pod1", "pod2", "pod3")

WITH_CIDR = KubeProxyConfiguration(cluster_cidrs=CLUSTER_CIDRS)


def service(name: str = "web", address: Both = CLUSTER_IP, **fields: Any) -> Service:
    """Return a Service of both families."""
    return make_service(
        name,
        cluster_ips=(address.v4, address.v6),
        ip_families=IP_FAMILIES,
        **fields,
    )


WEB = (EndpointPort(8080, "http"),)


def slices(
    *endpoints: str,
    of: str = "web",
    ports: tuple[EndpointPort, ...] = WEB,
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[EndpointSlice, EndpointSlice]:
    """Return a Service's slice of each family; `conditions` are those of an endpoint by name."""
    made = []
    for family in IP_FAMILIES:
        found = [
            Endpoint(
                (ENDPOINTS[name].of(family),),
                node_name="node-b" if name == "pod3" else "node-a",
                **(conditions or {}).get(name, {}),
            )
            for name in endpoints
        ]
        item = make_slice(of, *found, name=f"{of}-{family.lower()}", ports=ports)
        made.append(evolve(item, address_type=family))
    return made[0], made[1]


PORTS = (
    ServicePort(80, "http", target_port=8080),
    ServicePort(443, "https", target_port=8443),
    ServicePort(53, "dns", "UDP", 5353),
    ServicePort(53, "dns-tcp", "TCP", 8443),
)
MANY = (
    EndpointPort(8080, "http"),
    EndpointPort(8443, "https"),
    EndpointPort(5353, "dns", "UDP"),
    EndpointPort(8443, "dns-tcp"),
)
DNS = EndpointPort(5353, "dns", "UDP")
GOING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}
NOT_READY = {"ready": False, "serving": False}
PREFIX = KubeProxyConfiguration(
    detect_local_mode="InterfaceNamePrefix", detect_local=DetectLocalConfiguration("", "veth")
)


def node_port(**fields: Any) -> Service:
    """Return a Service of type NodePort; its TCP port is 30080 and its UDP port 30053."""
    ports = (
        ServicePort(80, "http", target_port=8080, node_port=30080),
        ServicePort(53, "dns", "UDP", 5353, 30053),
    )
    return service(type="NodePort", ports=ports, **fields)


def sctp(**fields: Any) -> Service:
    """Return a Service of type NodePort with an SCTP port, 30090 on nodes."""
    ports = (ServicePort(90, "signals", "SCTP", 9090, 30090),)
    return service(type="NodePort", ports=ports, **fields)


def load_balancer(**fields: Any) -> Service:
    """Return a Service of type LoadBalancer with an address in each family."""
    return service(
        type="LoadBalancer",
        ports=(ServicePort(80, "http", target_port=8080, node_port=30080),),
        load_balancer_ingress=(
            LoadBalancerIngress(LOAD_BALANCER.v4),
            LoadBalancerIngress(LOAD_BALANCER.v6),
        ),
        **fields,
    )


def hints(node: str = "", zone: str = "") -> dict[str, Any]:
    """Return what an endpoint's slice says of whom it is for."""
    return {
        "node_hints": (node,) if node else (),
        "zone_hints": (zone,) if zone else (),
    }


HERE, ELSEWHERE = "node-a", "node-b"
SAME_NODE = {
    "pod1": hints(HERE, "z1"),
    "pod2": hints(HERE, "z1"),
    "pod3": hints(ELSEWHERE, "z2"),
}
SAME_ZONE = {"pod1": hints(zone="z1"), "pod2": hints(zone="z2"), "pod3": hints(zone="z1")}
FOR_OTHERS = {name: hints(ELSEWHERE, "z2") for name in ALL}
NODE_PORTS = (*WEB, DNS)
SIGNALS = (EndpointPort(9090, "signals", "SCTP"),)
EVERYWHERE = slices(*ALL, ports=NODE_PORTS)

ONLY_POD1 = in_ipvs("local-policy-for-all", kept("pod1"))
INPUT_RULES = in_ipvs("input-rules-apply", DROPPED)
PROXY_PORT_CLOSED = in_userspace("input-rules-apply-to-proxy-ports", DROPPED)
FALLS_BACK = in_ipvs("local-policy-falls-back", kept("pod3"))
FALLS_BACK_DNS = in_ipvs("local-policy-falls-back", kept("pod3", port=5353))
ON_PRIMARY = in_nftables("node-ports-on-primary-addresses", UNTOUCHED, in_graph=True)
NO_SERVICE = in_nftables("cluster-ips-of-no-service-dropped", DROPPED)
CLUSTER_IPS = ("10.96.0.0/16", "fd00:10:96::/112")
HEALTH_PORT = (ServicePort(81, "http", target_port=8080, node_port=30053),)
OF_ANOTHER = (OTHER_CLUSTER_IP.v4, OTHER_CLUSTER_IP.v6)
LEAVES_NODE = in_userspace("node-leaves-for-external-ips", kept("outside", port=80))

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "cluster-ip",
        (service(), *slices(*ALL)),
        (
            Probe("pod1", CLUSTER_IP, 80, masked("pod1") | kept("pod2", "pod3")),
            Probe("node", CLUSTER_IP, 80, kept(*ALL)),
            Probe(
                "pod3",
                CLUSTER_IP,
                80,
                kept("pod1", "pod2") | masked("pod3"),
                differs=(
                    in_ipvs("no-hairpin-for-other-nodes", kept(*ALL)),
                    in_nftables("no-hairpin-for-other-nodes", kept(*ALL)),
                ),
            ),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
            Probe(
                "node-unbound",
                CLUSTER_IP,
                80,
                kept(*ALL),
                differs=in_ipvs("source-is-the-service", masked(*ALL)),
            ),
            Probe(
                "pod1",
                CLUSTER_IP,
                81,
                UNTOUCHED,
                differs=(
                    in_ipvs("other-ports-refused", REFUSED),
                    in_nftables("closed-ports-of-cluster-ips-refused", REFUSED),
                ),
            ),
        ),
    ),
    Scenario(
        "several-ports",
        (service(ports=PORTS), *slices("pod2", "pod3", ports=MANY)),
        (
            Probe("pod1", CLUSTER_IP, 80, kept("pod2", "pod3")),
            Probe("pod1", CLUSTER_IP, 443, kept("pod2", "pod3", port=8443)),
            Probe("pod1", CLUSTER_IP, 53, kept("pod2", "pod3", port=5353), "UDP"),
            Probe("pod1", CLUSTER_IP, 53, kept("pod2", "pod3", port=8443)),
            Probe("node", CLUSTER_IP, 53, kept("pod2", "pod3", port=5353), "UDP"),
        ),
    ),
    Scenario(
        "several-services",
        (
            *(service(), *slices("pod1")),
            *(service("other", OTHER_CLUSTER_IP), *slices("pod2", of="other")),
        ),
        (
            Probe("pod2", CLUSTER_IP, 80, kept("pod1")),
            Probe("pod1", OTHER_CLUSTER_IP, 80, kept("pod2")),
        ),
    ),
    Scenario(
        "sctp",
        (sctp(), *slices(*ALL, ports=SIGNALS)),
        (
            Probe("client", CLUSTER_IP, 90, kept(*ALL, port=9090), "SCTP"),
            Probe("pod1", NODE, 30090, masked(*ALL, port=9090), "SCTP"),
            Probe("client", NODE, 30090, masked(*ALL, port=9090), "SCTP"),
        ),
    ),
    Scenario(
        "sctp-external-policy-local",
        (sctp(external_traffic_policy="Local"), *slices("pod1", "pod3", ports=SIGNALS)),
        (
            Probe("client", CLUSTER_IP, 90, kept("pod1", "pod3", port=9090), "SCTP"),
            Probe("client", NODE, 30090, kept("pod1", port=9090), "SCTP"),
        ),
    ),
    Scenario(
        "hairpin",
        (node_port(), *slices("pod1", ports=NODE_PORTS)),
        (
            Probe("pod1", CLUSTER_IP, 80, masked("pod1")),
            Probe("pod1", CLUSTER_IP, 53, masked("pod1", port=5353), "UDP"),
            Probe("pod1", NODE, 30080, masked("pod1")),
        ),
    ),
    Scenario(
        "node-port",
        (node_port(), *EVERYWHERE),
        (
            Probe("client", NODE, 30080, masked(*ALL)),
            Probe("client", NODE_INNER, 30080, masked(*ALL), differs=ON_PRIMARY),
            Probe("client", NODE, 30053, masked(*ALL, port=5353), "UDP"),
            Probe("pod1", NODE, 30080, masked(*ALL)),
            Probe("node", NODE, 30080, masked(*ALL)),
            Probe("pod3", NODE, 30080, masked(*ALL)),
            Probe("client", NODE, 30081, UNTOUCHED),
        ),
    ),
    Scenario(
        "node-port-on-loopback",
        (node_port(), *EVERYWHERE),
        (
            Probe(
                "node-loopback",
                LOOPBACK,
                30080,
                masked(*ALL),
                differs=(
                    in_ipvs("no-node-ports-on-loopback", REFUSED),
                    in_nftables("no-node-ports-on-loopback", UNTOUCHED, in_graph=True),
                ),
            ),
            Probe(
                "node-loopback",
                LOOPBACK,
                30053,
                masked(*ALL, port=5353),
                "UDP",
                differs=(
                    in_ipvs("no-node-ports-on-loopback", REFUSED),
                    in_nftables("no-node-ports-on-loopback", UNTOUCHED, in_graph=True),
                ),
            ),
        ),
        families=("IPv4",),
    ),
    Scenario(
        "node-port-not-on-loopback",
        (node_port(), *EVERYWHERE),
        (
            Probe("node-loopback", LOOPBACK, 30080, UNTOUCHED),
            Probe("client", NODE, 30080, masked(*ALL)),
        ),
        KubeProxyConfiguration(iptables=IPTablesConfiguration(localhost_node_ports=False)),
    ),
    Scenario(
        "node-port-addresses",
        (node_port(), *EVERYWHERE),
        (
            Probe("client", NODE, 30080, masked(*ALL)),
            Probe("client", NODE_INNER, 30080, UNTOUCHED),
            Probe("node-loopback", LOOPBACK, 30080, UNTOUCHED),
        ),
        KubeProxyConfiguration(node_port_addresses=("192.0.2.0/24", "2001:db8::/112")),
    ),
    Scenario(
        "external-policy-local",
        (
            load_balancer(external_traffic_policy="Local", health_check_node_port=32000),
            *slices("pod1", "pod3"),
        ),
        (
            Probe("client", NODE, 30080, kept("pod1")),
            Probe("client", LOAD_BALANCER, 80, kept("pod1")),
            Probe("pod2", NODE, 30080, kept("pod1", "pod3"), differs=ONLY_POD1),
            Probe("pod2", LOAD_BALANCER, 80, kept("pod1", "pod3"), differs=ONLY_POD1),
            Probe(
                "pod3",
                NODE,
                30080,
                kept("pod1") | masked("pod3"),
                differs=(
                    ONLY_POD1,
                    in_nftables("no-hairpin-for-other-nodes", kept("pod1", "pod3")),
                ),
            ),
            Probe("node", NODE, 30080, masked("pod1", "pod3"), differs=ONLY_POD1),
            Probe("node", LOAD_BALANCER, 80, masked("pod1", "pod3"), differs=ONLY_POD1),
            Probe("client", CLUSTER_IP, 80, masked("pod1", "pod3")),
        ),
        WITH_CIDR,
    ),
    Scenario(
        "external-policy-local-on-loopback",
        (
            node_port(external_traffic_policy="Local"),
            *slices("pod1", "pod3", ports=NODE_PORTS),
        ),
        (
            Probe(
                "node-loopback",
                LOOPBACK,
                30080,
                masked("pod1", "pod3"),
                differs=(
                    in_ipvs("no-node-ports-on-loopback", REFUSED),
                    in_nftables("no-node-ports-on-loopback", UNTOUCHED, in_graph=True),
                ),
            ),
        ),
        families=("IPv4",),
    ),
    Scenario(
        "endpoint-on-the-node",
        (node_port(), *slices("node", "pod1", ports=NODE_PORTS)),
        (
            Probe("pod2", CLUSTER_IP, 80, kept("node", "pod1")),
            Probe("client", CLUSTER_IP, 80, kept("node", "pod1")),
            Probe("client", NODE, 30080, masked("node", "pod1")),
            Probe("node", CLUSTER_IP, 80, masked("node") | kept("pod1")),
        ),
    ),
    Scenario(
        "external-policy-local-without-local-endpoints",
        (load_balancer(external_traffic_policy="Local"), *slices("pod3")),
        (
            Probe("client", NODE, 30080, DROPPED, differs=FALLS_BACK),
            Probe("client", LOAD_BALANCER, 80, DROPPED, differs=FALLS_BACK),
            Probe("node", NODE, 30080, masked("pod3"), differs=FALLS_BACK),
            Probe("node", LOAD_BALANCER, 80, masked("pod3"), differs=FALLS_BACK),
            Probe("pod2", NODE, 30080, kept("pod3")),
        ),
        WITH_CIDR,
    ),
    Scenario(
        "internal-policy-local",
        (service(internal_traffic_policy="Local"), *slices("pod1", "pod3")),
        (
            Probe("pod2", CLUSTER_IP, 80, kept("pod1")),
            Probe("node", CLUSTER_IP, 80, kept("pod1")),
        ),
    ),
    Scenario(
        "internal-policy-local-without-local-endpoints",
        (node_port(internal_traffic_policy="Local"), *slices("pod3", ports=NODE_PORTS)),
        (
            Probe("pod1", CLUSTER_IP, 80, DROPPED, differs=FALLS_BACK),
            Probe("pod1", CLUSTER_IP, 53, DROPPED, "UDP", differs=FALLS_BACK_DNS),
            Probe("node", CLUSTER_IP, 80, DROPPED, differs=FALLS_BACK),
            Probe("node", CLUSTER_IP, 53, DROPPED, "UDP", differs=FALLS_BACK_DNS),
            Probe("client", NODE, 30080, masked("pod3")),
        ),
    ),
    Scenario(
        "internal-policy-local-without-local-endpoints-or-node-port",
        (service(internal_traffic_policy="Local"), *slices("pod3")),
        (
            Probe(
                "pod1",
                CLUSTER_IP,
                80,
                DROPPED,
                differs=in_ipvs("local-policy-refuses", REFUSED),
            ),
        ),
    ),
    Scenario(
        "load-balancer",
        (load_balancer(), *slices(*ALL)),
        (
            Probe("client", LOAD_BALANCER, 80, masked(*ALL)),
            Probe("pod1", LOAD_BALANCER, 80, masked(*ALL)),
            Probe("node", LOAD_BALANCER, 80, masked(*ALL)),
        ),
    ),
    Scenario(
        "load-balancer-source-ranges",
        (
            load_balancer(
                load_balancer_source_ranges=("198.51.100.9/32", "2001:db8:100::9/128"),
            ),
            *slices(*ALL),
        ),
        (
            Probe("client", LOAD_BALANCER, 80, masked(*ALL)),
            Probe("client2", LOAD_BALANCER, 80, DROPPED),
            Probe("pod1", LOAD_BALANCER, 80, DROPPED),
            Probe("node-unbound", LOAD_BALANCER, 80, DROPPED),
            Probe(
                "node",
                LOAD_BALANCER,
                80,
                DROPPED,
                differs=in_ipvs("node-passes-source-ranges", masked(*ALL)),
            ),
            Probe("client2", NODE, 30080, masked(*ALL)),
        ),
    ),
    Scenario(
        "load-balancer-source-ranges-with-the-node",
        (
            load_balancer(
                load_balancer_source_ranges=("192.0.2.10/32", "2001:db8::10/128"),
            ),
            *slices(*ALL),
        ),
        (
            Probe("client", LOAD_BALANCER, 80, DROPPED),
            Probe("node", LOAD_BALANCER, 80, masked(*ALL)),
            Probe(
                "node-unbound",
                LOAD_BALANCER,
                80,
                DROPPED,
                differs=in_ipvs("source-is-the-service", masked(*ALL)),
            ),
        ),
    ),
    Scenario(
        "load-balancer-that-is-a-proxy",
        (
            evolve(
                load_balancer(),
                load_balancer_ingress=(
                    LoadBalancerIngress(LOAD_BALANCER.v4, "Proxy"),
                    LoadBalancerIngress(LOAD_BALANCER.v6, "Proxy"),
                ),
            ),
            *slices(*ALL),
        ),
        (Probe("client", LOAD_BALANCER, 80, UNTOUCHED),),
    ),
    Scenario(
        "external-ip",
        (service(external_ips=(EXTERNAL.v4, EXTERNAL.v6)), *slices(*ALL)),
        (
            Probe("client", EXTERNAL, 80, masked(*ALL)),
            Probe("pod1", EXTERNAL, 80, masked(*ALL)),
            Probe("node", EXTERNAL, 80, masked(*ALL), differs=LEAVES_NODE),
        ),
    ),
    Scenario(
        "external-ip-of-the-node",
        (service(external_ips=(NODE.v4, NODE.v6)), *slices(*ALL)),
        (
            Probe("client", NODE, 80, masked(*ALL)),
            Probe("node", NODE, 80, masked(*ALL)),
            Probe("client", NODE_INNER, 80, UNTOUCHED),
        ),
    ),
    Scenario(
        "external-ip-policy-local",
        (
            node_port(external_ips=(EXTERNAL.v4, EXTERNAL.v6), external_traffic_policy="Local"),
            *slices("pod1", "pod3", ports=NODE_PORTS),
        ),
        (
            Probe("client", EXTERNAL, 80, kept("pod1")),
            Probe("client", EXTERNAL, 53, kept("pod1", port=5353), "UDP"),
            Probe(
                "node",
                EXTERNAL,
                80,
                masked("pod1", "pod3"),
                differs=(ONLY_POD1, LEAVES_NODE),
            ),
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod3")),
        ),
    ),
    Scenario(
        "session-affinity",
        (
            node_port(session_affinity="ClientIP"),
            *EVERYWHERE,
        ),
        (
            Probe("client", NODE, 30080, masked(*ALL), count=10, in_turn=True),
            Probe(
                "client",
                CLUSTER_IP,
                80,
                kept(*ALL),
                count=3,
                in_turn=True,
                differs=in_ipvs("affinity-per-address", kept(*ALL), forgets=True),
            ),
            Probe(
                "pod3",
                CLUSTER_IP,
                80,
                kept("pod1", "pod2") | masked("pod3"),
                count=10,
                in_turn=True,
                differs=(
                    in_ipvs("no-hairpin-for-other-nodes", kept(*ALL)),
                    in_nftables("no-hairpin-for-other-nodes", kept(*ALL)),
                ),
            ),
            Probe("crowd", CLUSTER_IP, 80, kept(*ALL), count=3, in_turn=True),
            Probe(
                "crowd",
                NODE,
                30080,
                masked(*ALL),
                count=1,
                in_turn=True,
                differs=in_ipvs("affinity-per-address", masked(*ALL), forgets=True),
            ),
        ),
    ),
    Scenario(
        "session-affinity-of-datagrams",
        (node_port(session_affinity="ClientIP"), *EVERYWHERE),
        (Probe("client", NODE, 30053, masked(*ALL, port=5353), "UDP", count=10, in_turn=True),),
    ),
    Scenario(
        "session-affinity-comes-and-goes",
        (service(), *slices(*ALL)),
        (
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
            Change((service(session_affinity="ClientIP"),)),
            Probe("client", CLUSTER_IP, 80, kept(*ALL), count=10, in_turn=True),
            Change((service(),)),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
        ),
    ),
    Scenario(
        "session-affinity-expires",
        (service(session_affinity="ClientIP", session_affinity_timeout=2), *slices(*ALL)),
        (
            Probe("crowd", CLUSTER_IP, 80, kept(*ALL), count=1, in_turn=True),
            Expire(2.1, in_ipvs("affinity-outlives-its-timeout", REMEMBERED)),
            # Turns go on from one crowd to the next: without this they would fall alike.
            Probe("client", CLUSTER_IP, 80, kept(*ALL), count=1, in_turn=True),
            Probe("crowd", CLUSTER_IP, 80, kept(*ALL), count=1, in_turn=True),
        ),
    ),
    Scenario(
        "no-endpoints",
        (
            evolve(
                load_balancer(external_ips=(EXTERNAL.v4, EXTERNAL.v6)),
                ports=(
                    ServicePort(80, "http", target_port=8080, node_port=30080),
                    ServicePort(53, "dns", "UDP", 5353, 30053),
                ),
            ),
        ),
        (
            Probe("pod1", CLUSTER_IP, 80, REFUSED),
            Probe("pod1", CLUSTER_IP, 53, REFUSED, "UDP"),
            Probe("node", CLUSTER_IP, 80, REFUSED),
            Probe("node", CLUSTER_IP, 53, REFUSED, "UDP"),
            Probe("client", CLUSTER_IP, 80, REFUSED),
            Probe("client", NODE, 30080, REFUSED),
            Probe("client", NODE, 30053, REFUSED, "UDP"),
            Probe("node", NODE, 30053, REFUSED, "UDP"),
            Probe("client", LOAD_BALANCER, 80, REFUSED),
            Probe("client", EXTERNAL, 53, REFUSED, "UDP"),
            Probe("pod1", EXTERNAL, 80, REFUSED),
            Probe(
                "node",
                EXTERNAL,
                80,
                REFUSED,
                differs=(
                    in_iptables("refusals-leave-the-node", kept("outside", port=80)),
                    LEAVES_NODE,
                ),
            ),
        ),
    ),
    Scenario(
        "endpoint-turns-not-ready",
        (service(ports=PORTS), *slices(*ALL, ports=MANY)),
        (
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
            Open("client", CLUSTER_IP, 80, kept(*ALL)),
            Open("client", CLUSTER_IP, 80, kept(*ALL)),
            Open("client", CLUSTER_IP, 80, kept(*ALL)),
            Change(slices(*ALL, ports=MANY, conditions={"pod2": NOT_READY})),
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod3")),
            Probe("client", CLUSTER_IP, 53, kept("pod1", "pod3", port=5353), "UDP"),
            Exchange("client"),
            Change(slices(*ALL, ports=MANY, conditions=dict.fromkeys(ALL, NOT_READY))),
            Probe("client", CLUSTER_IP, 80, REFUSED),
            Probe("client", CLUSTER_IP, 53, REFUSED, "UDP"),
            Change(slices(*ALL, ports=MANY)),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
            Exchange("client"),
        ),
    ),
    Scenario(
        "established-connections-survive-other-changes",
        (node_port(), *EVERYWHERE),
        (
            Open("client", NODE, 30080, masked(*ALL)),
            Open("client", CLUSTER_IP, 80, kept(*ALL)),
            Exchange("client"),
            Change((service("other", OTHER_CLUSTER_IP), *slices("pod2", of="other"))),
            Exchange("client"),
            Probe("client", OTHER_CLUSTER_IP, 80, kept("pod2")),
            Change(slices("pod1", of="other")),
            Exchange("client"),
            Probe("client", OTHER_CLUSTER_IP, 80, kept("pod1")),
            Probe("client", NODE, 30080, masked(*ALL)),
        ),
    ),
    Scenario(
        "service-goes-while-connected",
        (service(), *slices("pod1")),
        (
            Open("client", CLUSTER_IP, 80, kept("pod1")),
            Exchange("client"),
            Change((evolve(service(), type="ExternalName", cluster_ips=()),)),
            Exchange("client", in_ipvs("connections-end-with-the-service", BROKEN)),
        ),
    ),
    Scenario(
        "masquerade-all",
        (node_port(), *EVERYWHERE),
        (
            Probe("pod1", CLUSTER_IP, 80, masked(*ALL)),
            Probe("client", CLUSTER_IP, 53, masked(*ALL, port=5353), "UDP"),
            Probe("node", CLUSTER_IP, 80, masked(*ALL)),
        ),
        KubeProxyConfiguration(
            iptables=IPTablesConfiguration(masquerade_all=True),
            nftables=NFTablesConfiguration(masquerade_all=True),
        ),
    ),
    Scenario(
        "cluster-cidr",
        (node_port(), *EVERYWHERE),
        (
            Probe("pod1", CLUSTER_IP, 80, masked("pod1") | kept("pod2", "pod3")),
            Probe(
                "pod3",
                CLUSTER_IP,
                80,
                kept("pod1", "pod2") | masked("pod3"),
                differs=(
                    in_ipvs("no-hairpin-for-other-nodes", kept(*ALL)),
                    in_nftables("no-hairpin-for-other-nodes", kept(*ALL)),
                ),
            ),
            Probe("client", CLUSTER_IP, 80, masked(*ALL)),
            Probe("client", CLUSTER_IP, 53, masked(*ALL, port=5353), "UDP"),
            Probe("node", CLUSTER_IP, 80, masked(*ALL)),
        ),
        WITH_CIDR,
    ),
    Scenario(
        "pods-known-by-interface",
        (service(), *slices("pod2")),
        (
            Probe("pod1", CLUSTER_IP, 80, kept("pod2")),
            Probe("pod3", CLUSTER_IP, 80, masked("pod2")),
            Probe("client", CLUSTER_IP, 80, masked("pod2")),
            Probe("node", CLUSTER_IP, 80, masked("pod2")),
        ),
        PREFIX,
    ),
    Scenario(
        "serving-and-terminating",
        (service(), *slices(*ALL, conditions={"pod1": GOING, "pod2": GONE, "pod3": GOING})),
        (
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod3")),
            Change(slices(*ALL, conditions={"pod1": GOING, "pod3": GOING})),
            Probe("client", CLUSTER_IP, 80, kept("pod2")),
            Change(slices(*ALL, conditions=dict.fromkeys(ALL, GONE))),
            Probe("client", CLUSTER_IP, 80, REFUSED),
        ),
    ),
    Scenario(
        "serving-and-terminating-on-this-node",
        (
            load_balancer(external_traffic_policy="Local"),
            *slices("pod1", "pod3", conditions={"pod1": GOING}),
        ),
        (
            Probe("client", NODE, 30080, kept("pod1")),
            Probe("client", CLUSTER_IP, 80, kept("pod3")),
        ),
    ),
    Scenario(
        "same-node",
        (node_port(), *slices(*ALL, ports=NODE_PORTS, conditions=SAME_NODE)),
        (
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod2")),
            Probe("pod3", CLUSTER_IP, 80, kept("pod1", "pod2")),
            Probe("node", CLUSTER_IP, 53, kept("pod1", "pod2", port=5353), "UDP"),
            Probe("client", NODE, 30080, masked("pod1", "pod2")),
            # Nobody is ready here any more: the hints for this zone count, or none.
            Change(slices("pod3", ports=NODE_PORTS, conditions=SAME_NODE)),
            Probe("client", CLUSTER_IP, 80, kept("pod3")),
        ),
    ),
    Scenario(
        "same-node-else-same-zone",
        (
            service(),
            *slices(
                *ALL,
                conditions={
                    "pod1": hints(ELSEWHERE, "z2"),
                    "pod2": hints(ELSEWHERE, "z1"),
                    "pod3": hints(ELSEWHERE, "z1"),
                },
            ),
        ),
        (Probe("client", CLUSTER_IP, 80, kept("pod2", "pod3")),),
        zone="z1",
    ),
    Scenario(
        "same-zone",
        (load_balancer(), *slices(*ALL, conditions=SAME_ZONE)),
        (
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod3")),
            Probe("client", LOAD_BALANCER, 80, masked("pod1", "pod3")),
            # An endpoint without a hint that is not ready does not matter, and ready it does.
            Change(slices(*ALL, conditions={**SAME_ZONE, "pod2": NOT_READY})),
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod3")),
            Change(slices(*ALL, conditions={**SAME_ZONE, "pod2": {}})),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
        ),
        zone="z1",
    ),
    Scenario(
        "hints-for-others-only",
        (service(), *slices(*ALL, conditions=FOR_OTHERS)),
        (Probe("client", CLUSTER_IP, 80, kept(*ALL)),),
        zone="z1",
    ),
    Scenario(
        "hints-on-a-node-without-a-zone",
        (service(), *slices(*ALL, conditions=SAME_ZONE)),
        (Probe("client", CLUSTER_IP, 80, kept(*ALL)),),
    ),
    Scenario(
        "hints-and-local-policy",
        (
            load_balancer(external_traffic_policy="Local"),
            *slices("pod1", "pod2", "pod3", conditions={**SAME_NODE, "pod2": hints(ELSEWHERE)}),
        ),
        (
            Probe("client", LOAD_BALANCER, 80, kept("pod1", "pod2")),
            Probe("client", CLUSTER_IP, 80, kept("pod1")),
        ),
    ),
    Scenario(
        "one-address-twice",
        (
            service(),
            *slices("pod1", "pod2", conditions={"pod1": GONE}),
            *(evolve(item, name=f"a-{item.name}") for item in slices("pod1")),
        ),
        (
            Probe("client", CLUSTER_IP, 80, kept("pod1", "pod2")),
            Change(tuple(evolve(item, name=f"a-{item.name}") for item in slices("pod3"))),
            Probe("client", CLUSTER_IP, 80, kept("pod2", "pod3")),
        ),
    ),
    Scenario(
        "one-external-ip-of-two-services",
        (
            *(
                service("first", external_ips=(EXTERNAL.v4, EXTERNAL.v6)),
                *slices("pod1", of="first"),
            ),
            *(
                service("last", OTHER_CLUSTER_IP, external_ips=(EXTERNAL.v4, EXTERNAL.v6)),
                *slices("pod2", of="last"),
            ),
        ),
        (
            Probe("client", CLUSTER_IP, 80, kept("pod1")),
            Probe("client", OTHER_CLUSTER_IP, 80, kept("pod2")),
            Probe(
                "client",
                EXTERNAL,
                80,
                masked("pod1"),
                differs=(
                    in_ipvs("last-claim-answers", masked("pod2")),
                    in_nftables("last-claim-answers", masked("pod2")),
                ),
            ),
        ),
    ),
    Scenario(
        "source-ranges-of-one-of-two-services",
        (
            load_balancer(load_balancer_source_ranges=("198.51.100.9/32", "2001:db8:100::9/128")),
            *slices("pod1"),
            service("x-last", OTHER_CLUSTER_IP, external_ips=(LOAD_BALANCER.v4, LOAD_BALANCER.v6)),
            *slices("pod2", of="x-last"),
        ),
        (
            Probe(
                "client",
                LOAD_BALANCER,
                80,
                masked("pod1"),
                differs=(
                    in_ipvs("last-claim-answers", masked("pod2")),
                    in_nftables("last-claim-answers", masked("pod2")),
                ),
            ),
            Probe(
                "client2",
                LOAD_BALANCER,
                80,
                masked("pod2"),
                differs=(
                    in_ipvs("refusals-decide", DROPPED),
                    in_nftables("refusals-decide", DROPPED),
                    in_userspace("refusals-decide", DROPPED),
                ),
            ),
        ),
    ),
    Scenario(
        "local-policy-of-one-of-two-services",
        (
            service(external_ips=OF_ANOTHER, external_traffic_policy="Local"),
            *slices("pod3"),
            service("x-last", OTHER_CLUSTER_IP),
            *slices("pod2", of="x-last"),
        ),
        (
            Probe(
                "client",
                OTHER_CLUSTER_IP,
                80,
                masked("pod2"),
                differs=in_userspace("refusals-decide", DROPPED),
            ),
            Probe(
                "pod1",
                OTHER_CLUSTER_IP,
                80,
                kept("pod3"),
                differs=(
                    in_ipvs("last-claim-answers", kept("pod2")),
                    in_nftables("last-claim-answers", kept("pod2")),
                ),
            ),
            Change(slices(of="x-last")),
            Probe(
                "client",
                OTHER_CLUSTER_IP,
                80,
                REFUSED,
                differs=in_userspace("refusals-decide", DROPPED),
            ),
        ),
        WITH_CIDR,
        families=("IPv4",),
    ),
    Scenario(
        "load-balancer-source-ranges-with-everybody",
        (
            load_balancer(load_balancer_source_ranges=("198.51.100.9/32", "0.0.0.0/0", "::/0")),
            *slices(*ALL),
        ),
        (
            Probe("client", LOAD_BALANCER, 80, masked(*ALL)),
            Probe("client2", LOAD_BALANCER, 80, masked(*ALL)),
            Probe("pod1", LOAD_BALANCER, 80, masked(*ALL)),
        ),
    ),
    Scenario(
        "load-balancer-source-ranges-of-the-other-family",
        (load_balancer(load_balancer_source_ranges=("2001:db8:100::9/128",)), *slices(*ALL)),
        (Probe("client2", LOAD_BALANCER, 80, masked(*ALL)),),
        families=("IPv4",),
    ),
    Scenario(
        "load-balancer-source-ranges-without-endpoints",
        (load_balancer(load_balancer_source_ranges=("198.51.100.9/32", "2001:db8:100::9/128")),),
        (
            Probe("client", LOAD_BALANCER, 80, REFUSED),
            Probe(
                "client2",
                LOAD_BALANCER,
                80,
                REFUSED,
                differs=(
                    in_ipvs("source-ranges-come-first", DROPPED),
                    in_nftables("source-ranges-come-first", DROPPED),
                ),
            ),
        ),
        families=("IPv4",),
    ),
    Scenario(
        "service-cidrs",
        (ServiceCIDR("kubernetes", CLUSTER_IPS), service(), *slices(*ALL)),
        (
            Probe("pod1", OTHER_CLUSTER_IP, 80, UNTOUCHED, differs=NO_SERVICE),
            Probe("node", OTHER_CLUSTER_IP, 80, UNTOUCHED, differs=NO_SERVICE),
            Probe(
                "client",
                CLUSTER_IP,
                81,
                UNTOUCHED,
                differs=(
                    in_ipvs("other-ports-refused", REFUSED),
                    in_nftables("closed-ports-of-cluster-ips-refused", REFUSED),
                ),
            ),
            Change((service("other", OTHER_CLUSTER_IP), *slices("pod1", of="other"))),
            Probe("pod2", OTHER_CLUSTER_IP, 80, kept("pod1")),
        ),
    ),
    Scenario(
        "external-ips-that-are-not-allowed",
        (service(external_ips=(EXTERNAL.v4, EXTERNAL.v6)), *slices(*ALL)),
        (
            Probe("client", EXTERNAL, 80, UNTOUCHED),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
        ),
        KubeProxyConfiguration(feature_gates={"AllowServiceExternalIPs": False}),
    ),
    Scenario(
        "node-port-addresses-primary",
        (node_port(), *EVERYWHERE),
        (
            Probe("client", NODE, 30080, masked(*ALL)),
            Probe("client", NODE_INNER, 30080, UNTOUCHED),
            Probe("node-loopback", LOOPBACK, 30080, UNTOUCHED),
        ),
        KubeProxyConfiguration(node_port_addresses=("primary",)),
    ),
    Scenario(
        "health-check-node-port",
        (
            load_balancer(external_traffic_policy="Local", health_check_node_port=32000),
            *slices("pod1"),
        ),
        (
            Probe(
                "client",
                NODE,
                32000,
                UNTOUCHED,
                differs=in_nftables("health-check-ports-stay-closed", CLOSED),
            ),
            Probe("client", NODE, 32001, CLOSED),
        ),
        closed=(32000, 32001),
    ),
    Scenario(
        "health-check-port-that-is-a-node-port",
        (
            load_balancer(external_traffic_policy="Local", health_check_node_port=30053),
            service("x-last", OTHER_CLUSTER_IP, type="NodePort", ports=HEALTH_PORT),
            *slices("pod1", of="x-last"),
        ),
        (Probe("client", NODE, 30053, masked("pod1")),),
        families=("IPv6",),
    ),
    Scenario(
        "host-closes-the-port-of-a-service",
        (service(), *slices(*ALL)),
        (
            Probe("client", CLUSTER_IP, 80, kept(*ALL), differs=INPUT_RULES),
            Probe("node", CLUSTER_IP, 80, kept(*ALL)),
        ),
        closed=(80,),
    ),
    Scenario(
        "host-closes-every-port",
        (
            *(node_port(), *EVERYWHERE),
            *(service("other", OTHER_CLUSTER_IP), *slices(*ALL, of="other")),
        ),
        (
            Probe("client", NODE, 30080, masked(*ALL), differs=INPUT_RULES),
            Probe("client", CLUSTER_IP, 80, kept(*ALL), differs=INPUT_RULES),
            Probe("node", NODE, 30080, masked(*ALL)),
            Probe(
                "client",
                OTHER_CLUSTER_IP,
                80,
                kept(*ALL),
                differs=(INPUT_RULES, PROXY_PORT_CLOSED),
            ),
            Probe("node", OTHER_CLUSTER_IP, 80, kept(*ALL), differs=PROXY_PORT_CLOSED),
        ),
        closed=EVERY_PORT,
    ),
    Scenario(
        "service-comes-and-goes",
        (),
        (
            Probe("pod1", CLUSTER_IP, 80, UNTOUCHED),
            Change((service(), *slices(*ALL))),
            Probe("client", CLUSTER_IP, 80, kept(*ALL)),
            Change((evolve(service(), type="ExternalName", cluster_ips=()),)),
            Probe("client", CLUSTER_IP, 80, UNTOUCHED),
        ),
    ),
)
