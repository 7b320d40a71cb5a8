"""What an API server and a cloud give Services: cluster IPs, node ports, outside addresses.

Sources: pkg/registry/core/service/{storage/alloc.go,ipallocator,portallocator} of Kubernetes v1.36;
KEP-3070 and KEP-3682 say that the beginning of a range is left to who asks for a certain address or
port. There the choice is chance; here it follows from names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network

from attrs import evolve

from svcnet.discovery.repository.additions import Allocation
from svcnet.discovery.repository.addresses import Name, choose_addresses
from svcnet.discovery.repository.assumptions import BALANCER_CIDRS, Assumptions, Network
from svcnet.errors import UsageError
from svcnet.family import IPFamily, family_of
from svcnet.models import LoadBalancerIngress, NamespacedName, Service, ServiceCIDR, ServicePort
from svcnet.models.service import HEADLESS
from svcnet.slots import Range, choose

FIRST_NODE_PORT, LAST_NODE_PORT = 30000, 32767
STATIC_NODE_PORTS = 86
"""So many of the range are left to who asks for one: a part in 32."""

HEALTH = "health"


def _lacks_address(service: Service) -> bool:
    """Return whether a Service waits for the cluster IP that an API server gives at once."""
    return service.type != "ExternalName" and not service.cluster_ips


def with_allocations(
    services: Mapping[NamespacedName, Service],
    assumed: Assumptions,
    ranges: Iterable[ServiceCIDR],
) -> tuple[list[Service], Allocation]:
    """Return the Services that have no cluster IP with all that they would be given.

    Others keep what they have, and nobody else is given it. Raises UsageError where a range has too
    few.
    """
    lacking = [services[name] for name in sorted(services) if _lacks_address(services[name])]
    if not lacking:
        return [], Allocation()
    networks = _networks(assumed, ranges)
    addresses = _cluster_ips(lacking, services.values(), networks)
    ports = _node_ports(lacking, services.values())
    outside = _balancers(lacking, services.values())
    made = [_with(service, addresses, ports, outside) for service in lacking]
    health = sum(key[2] == HEALTH for key in ports)
    used = dict.fromkeys(family for service in made for family in service.ip_families)
    of_them = tuple(networks[family] for family in used)
    return made, Allocation(len(made), len(ports) - health, health, len(outside), of_them)


def _with(
    service: Service,
    addresses: Mapping[Name, str],
    node_ports: Mapping[Name, int],
    outside: Mapping[Name, str],
) -> Service:
    families = _families(service)
    ports = tuple(
        port if port.node_port else evolve(port, node_port=node_ports.get(_port(service, port), 0))
        for port in service.ports
    )
    health = node_ports.get((service.namespace, service.name, HEALTH))
    ingress = tuple(
        LoadBalancerIngress(outside[key])
        for family in families
        if (key := (service.namespace, service.name, family)) in outside
    )
    return evolve(
        service,
        cluster_ips=tuple(addresses[service.namespace, service.name, each] for each in families),
        ip_families=families,
        ports=ports,
        health_check_node_port=health or service.health_check_node_port,
        load_balancer_ingress=ingress or service.load_balancer_ingress,
    )


def _families(service: Service) -> tuple[IPFamily, ...]:
    return service.ip_families or ("IPv4",)


def _networks(assumed: Assumptions, ranges: Iterable[ServiceCIDR]) -> dict[IPFamily, Network]:
    """Return the range of each family: as asked, else of the input, else the usual one."""
    found: dict[IPFamily, Network] = {}
    for item in sorted(ranges, key=lambda each: (each.name != "kubernetes", each.name)):
        for cidr in item.cidrs:
            found.setdefault(family_of(cidr), ip_network(cidr))
    asked = {family_of(cidr): ip_network(cidr) for cidr in assumed.service_cidrs}
    families: tuple[IPFamily, ...] = ("IPv4", "IPv6")
    return {
        family: asked.get(family) or found.get(family) or assumed.service_network(family)
        for family in families
    }


def _cluster_ips(
    lacking: Sequence[Service], services: Iterable[Service], networks: Mapping[IPFamily, Network]
) -> dict[Name, str]:
    wanted: dict[IPFamily, list[Name]] = {}
    for service in lacking:
        for family in _families(service):
            wanted.setdefault(family, []).append((service.namespace, service.name, family))
    taken = [text for each in services for text in each.cluster_ips if text != HEADLESS]
    found: dict[Name, str] = {}
    for family, names in wanted.items():
        network = networks[family]
        used = [text for text in taken if family_of(text) == family]
        first = 1 + _static_addresses(network)
        found |= choose_addresses(network, names, used, "Service", first)
    return found


def _static_addresses(network: Network) -> int:
    """Return how many addresses of a range are left to who asks for one."""
    size = network.num_addresses
    return 0 if size <= 16 else min(max(16, size // 16), 256)


def _node_ports(lacking: Sequence[Service], services: Iterable[Service]) -> dict[Name, int]:
    names: dict[Name, None] = {}
    for service in lacking:
        names |= dict.fromkeys(_missing_ports(service))
    taken = {port.node_port for each in services for port in each.ports}
    taken |= {each.health_check_node_port for each in services}
    first = FIRST_NODE_PORT + STATIC_NODE_PORTS
    size = LAST_NODE_PORT - first + 1
    used = frozenset(number - first for number in taken if first <= number <= LAST_NODE_PORT)
    if len(names) > size - len(used):
        raise UsageError(f"free node ports are too few: {size - len(used)} for {len(names)}")
    return {name: first + slot for name, slot in choose(names, Range(size, used)).items()}


def _missing_ports(service: Service) -> Iterator[Name]:
    """Yield what of a Service is given a port of nodes; ports of one number share it."""
    if service.type not in ("NodePort", "LoadBalancer"):
        return
    if service.type == "NodePort" or service.allocate_node_ports:
        for port in service.ports:
            if not port.node_port:
                yield _port(service, port)
    is_local = service.external_traffic_policy == "Local"
    if service.type == "LoadBalancer" and is_local and not service.health_check_node_port:
        yield service.namespace, service.name, HEALTH


def _port(service: Service, port: ServicePort) -> Name:
    return service.namespace, service.name, str(port.port)


def _balancers(lacking: Sequence[Service], services: Iterable[Service]) -> dict[Name, str]:
    """Return an address of each family for Services of type LoadBalancer that have none.

    One that asks for an address gets that.
    """
    waiting = [
        each for each in lacking if each.type == "LoadBalancer" and not each.load_balancer_ingress
    ]
    taken = [ingress.ip for each in services for ingress in each.load_balancer_ingress]
    found: dict[Name, str] = {}
    for family, cidr in BALANCER_CIDRS.items():
        asking = [each for each in waiting if family in _families(each)]
        wanted: dict[Name, str] = {
            (each.namespace, each.name, family): each.load_balancer_ip
            for each in asking
            if each.load_balancer_ip and family_of(each.load_balancer_ip) == family
        }
        names = [key for s in asking if (key := (s.namespace, s.name, family)) not in wanted]
        used = [text for text in taken if text and family_of(text) == family]
        used += wanted.values()
        found |= {**wanted, **choose_addresses(ip_network(cidr), names, used, "load balancer")}
    return found
