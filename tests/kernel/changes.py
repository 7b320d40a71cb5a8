"""A random history of a cluster, from a seed: what may happen to the objects on an API server."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from attrs import define, field

from svcnet.testing import FakeAPIServer

Object = dict[str, Any]

SHOP = "shop"
SERVICES = 24
NODES = ("n1", "n2")
ZONES = ("z1", "z2", "")
FAMILIES = ("IPv4", "IPv6")
PORTS = (
    ("http", "TCP", 80, 8080),
    ("https", "TCP", 443, 8443),
    ("dns", "UDP", 53, 5353),
    ("dns-tcp", "TCP", 53, 5353),
    ("diameter", "SCTP", 3868, 3868),
)
UNUSABLE = "unusable"
"""A label of objects that svcnet cannot use."""
SERVICE_NAME = "kubernetes.io/service-name"
OTHER_PROXY = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"


@define
class History:
    """Makes changes on a server that are drawn from a generator which begins with ``seed``.

    Services have addresses and node ports by their number, so that none has another's.
    """

    seed: int
    _random: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)

    def go_on(self, server: FakeAPIServer, changes: int) -> None:
        """Make so many changes."""
        for _ in range(changes):
            happen = self._random.choices(
                (self._service, self._slice, self._move, self._split, self._delete, self._node),
                (30, 40, 5, 5, 15, 3),
            )[0]
            happen(server)

    def heal(self, server: FakeAPIServer) -> None:
        """Put something that can be used where something is that cannot."""
        for item in server.objects():
            labels = item["metadata"].get("labels") or {}
            if UNUSABLE not in labels:
                continue
            number = int(labels[UNUSABLE])
            if item["kind"] == "Service":
                server.put(self._made_service(number))
            else:
                server.put(self._made_slice(number, item["metadata"]["name"], item["addressType"]))

    def _service(self, server: FakeAPIServer) -> None:
        made = self._made_service(self._random.randrange(SERVICES))
        if self._happens(0.03):
            made["spec"]["ports"] = [{"port": 99999}]
            self._mark(made)
        server.put(made)

    def _slice(self, server: FakeAPIServer) -> None:
        number = self._random.randrange(SERVICES)
        family = self._random.choice(FAMILIES)
        name = f"s{number}-{family.lower()}-{self._random.randrange(2)}"
        made = self._made_slice(number, name, family)
        if self._happens(0.03):
            made["endpoints"] = [{"addresses": ["nowhere"]}]
            self._mark(made)
        server.put(made)

    def _mark(self, item: Object) -> None:
        number = item["metadata"]["name"].removeprefix("s").partition("-")[0]
        item["metadata"].setdefault("labels", {})[UNUSABLE] = number

    def _move(self, server: FakeAPIServer) -> None:
        """Have a slice be another Service's."""
        if found := self._any(server, "EndpointSlice"):
            labels = found["metadata"]["labels"]
            other = f"s{self._random.randrange(SERVICES)}"
            server.put(with_metadata(found, labels={**labels, SERVICE_NAME: other}))

    def _split(self, server: FakeAPIServer) -> None:
        """Have half of a slice's endpoints be in another slice."""
        found = self._any(server, "EndpointSlice")
        if found is None or UNUSABLE in found["metadata"]["labels"]:
            return
        half = len(found["endpoints"]) // 2
        other = with_metadata(found, name=f"{found['metadata']['name']}-b")
        server.put({**other, "endpoints": found["endpoints"][half:]})
        server.put({**found, "endpoints": found["endpoints"][:half]})

    def _delete(self, server: FakeAPIServer) -> None:
        kind = self._random.choice(("Service", "EndpointSlice", "EndpointSlice"))
        if found := self._any(server, kind):
            server.delete(kind, found["metadata"]["name"], SHOP)

    def _node(self, server: FakeAPIServer) -> None:
        """Have a node be elsewhere, or have other addresses."""
        zone = self._random.choice(ZONES)
        name = self._random.choice(NODES)
        last = 10 + NODES.index(name)
        addresses = [f"192.0.2.{last}", f"2001:db8:a::{last}"]
        if self._happens(0.5):
            addresses.append(f"198.51.100.{last}")
        server.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {"topology.kubernetes.io/zone": zone} if zone else {},
                },
                "status": {
                    "addresses": [{"type": "InternalIP", "address": each} for each in addresses]
                },
            }
        )

    def _any(self, server: FakeAPIServer, kind: str) -> Object | None:
        found = [item for item in server.objects() if item["kind"] == kind]
        return self._random.choice(found) if found else None

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _some(self, *makers: Callable[[], Object]) -> Object:
        """Return the parts of a specification that happen to be there."""
        return {
            key: value for make in makers if self._happens(0.3) for key, value in make().items()
        }

    def _made_service(self, number: int) -> Object:
        """Return a Service of any kind."""
        random = self._random
        metadata: Object = {"name": f"s{number}", "namespace": SHOP, "labels": {}}
        if self._happens(0.04):
            metadata["labels"] = {random.choice((OTHER_PROXY, HEADLESS)): ""}
        if self._happens(0.2):
            metadata["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
        made: Object = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        if self._happens(0.03):
            return {**made, "spec": {"type": "ExternalName", "externalName": "elsewhere.example"}}
        kind = random.choice(("ClusterIP", "NodePort", "LoadBalancer"))
        addresses = {"IPv4": f"10.96.1.{number}", "IPv6": f"fd00:10:96::{number + 1:x}"}
        families = random.choice((FAMILIES, FAMILIES[::-1], FAMILIES[:1], FAMILIES[1:]))
        ports = [self._port(number, each, kind) for each in self._chosen_ports()]
        spec = {
            "type": kind,
            "clusterIP": addresses[families[0]],
            "clusterIPs": [addresses[family] for family in families],
            "ipFamilies": list(families),
            "ipFamilyPolicy": "SingleStack" if len(families) == 1 else "RequireDualStack",
            "ports": ports,
            **self._some(
                lambda: {"sessionAffinity": "ClientIP", **self._affinity()},
                lambda: {"internalTrafficPolicy": "Local"},
                lambda: {"externalIPs": [f"203.0.113.{number}", f"2001:db8:203::{number + 1:x}"]},
                lambda: {"trafficDistribution": "PreferClose"},
            ),
        }
        if kind != "ClusterIP" and self._happens(0.4):
            spec["externalTrafficPolicy"] = "Local"
        if kind == "LoadBalancer":
            made["status"] = self._status(number)
            if spec.get("externalTrafficPolicy") == "Local":
                spec["healthCheckNodePort"] = 32000 + number
            spec |= self._some(
                lambda: {"loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32"]},
                lambda: {"allocateLoadBalancerNodePorts": False},
            )
        return {**made, "spec": spec}

    def _chosen_ports(self) -> list[tuple[str, str, int, int]]:
        return self._random.sample(PORTS, self._random.randint(1, len(PORTS)))

    def _port(self, number: int, port: tuple[str, str, int, int], kind: str) -> Object:
        name, protocol, own, target = port
        made = {"name": name, "protocol": protocol, "port": own, "targetPort": target}
        if kind != "ClusterIP":
            made["nodePort"] = 30000 + 10 * number + PORTS.index(port)
        return made

    def _affinity(self) -> Object:
        seconds = self._random.choice((60, 3600))
        return {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}

    def _status(self, number: int) -> Object:
        mode = self._random.choice(("VIP", "VIP", "Proxy"))
        addresses = (f"203.0.113.{100 + number}", f"2001:db8:203::1{number:02}")
        return {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": mode} for ip in addresses]}}

    def _made_slice(self, number: int, name: str, family: str) -> Object:
        """Return a slice of a Service's ports and of endpoints on several nodes."""
        random = self._random
        network = "10.244.1." if family == "IPv4" else "fd00:10:244:1::"
        ports = [
            {"name": name, "protocol": protocol, "port": target}
            for name, protocol, _, target in self._chosen_ports()
        ]
        numbers = random.sample(range(10, 40), random.randint(0, 6))
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": SHOP, "labels": {SERVICE_NAME: f"s{number}"}},
            "addressType": family,
            "ports": ports,
            "endpoints": [self._endpoint(f"{network}{number}") for number in numbers],
        }

    def _endpoint(self, address: str) -> Object:
        random = self._random
        ready, serving = self._happens(0.8), self._happens(0.8)
        conditions = {"ready": ready, "serving": serving, "terminating": not ready}
        made: Object = {"addresses": [address], "nodeName": random.choice(NODES)}
        made["conditions"] = conditions
        if self._happens(0.5):
            made["zone"] = random.choice(ZONES[:2])
            made["hints"] = {"forZones": [{"name": made["zone"]}]}
        return made


def with_metadata(item: Object, **metadata: Any) -> Object:
    """Return an object with other metadata."""
    return {**item, "metadata": {**item["metadata"], **metadata}}


def for_a_node(objects: list[Object]) -> Object:
    """Return a List of the objects that an API server gives a node which asks for its own."""
    taken = [item for item in objects if not _is_left_out(item)]
    return {"apiVersion": "v1", "kind": "List", "items": taken}


def _is_left_out(item: Object) -> bool:
    """Whether a label says so; of which kind it must be, kube-proxy v1.36 asks, too."""
    label = OTHER_PROXY if item["kind"] == "Service" else HEADLESS
    return label in (item["metadata"].get("labels") or {})
