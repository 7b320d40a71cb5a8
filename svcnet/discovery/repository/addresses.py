"""Addresses of Pods: by name, from the range of their Node or of all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from attrs import evolve

from svcnet.discovery.repository.assumptions import Assumptions, Network
from svcnet.errors import UsageError
from svcnet.family import IPFamily, family_of
from svcnet.models import Node, Pod
from svcnet.slots import Range, choose
from svcnet.words import count_noun

MAX_BITS = 32
"""A range of more addresses than so many bits tell is used in its beginning only."""

Name = tuple[str, ...]


def with_addresses(
    pods: Iterable[Pod],
    nodes: Mapping[str, Node],
    families: Sequence[IPFamily],
    assumed: Assumptions,
    taken: Iterable[str],
    hosted: Collection[tuple[str, str]],
) -> list[Pod]:
    """Return Pods with an address of each family, those that run.

    It is of their Node's pod CIDR, else of the range of all; Pods of a Node's own network, which
    are `hosted`, have the Node's. Addresses that are `taken` are nobody else's. Raises UsageError
    where a range has too few.
    """
    pods = list(pods)
    found: dict[tuple[str, str], list[str]] = {}
    for family in families:
        used = [text for text in taken if family_of(text) == family]
        groups: dict[Network, list[Name]] = {}
        for pod in pods:
            node = nodes.get(pod.node_name)
            key = (pod.namespace, pod.name)
            own = _own_address(node, family) if key in hosted else ""
            if own:
                found.setdefault(key, []).append(own)
            elif pod.phase == "Running":
                network = _network_of(node, family, assumed)
                groups.setdefault(network, []).append(key)
        for network, names in groups.items():
            for name, address in choose_addresses(network, names, used, "Pod").items():
                found.setdefault((name[0], name[1]), []).append(address)
    return [evolve(pod, pod_ips=tuple(found.get((pod.namespace, pod.name), ()))) for pod in pods]


def _own_address(node: Node | None, family: IPFamily) -> str:
    addresses = node.addresses if node else ()
    return next((text for text in addresses if family_of(text) == family), "")


def _network_of(node: Node | None, family: IPFamily, assumed: Assumptions) -> Network:
    cidrs = node.pod_cidrs if node else ()
    own = next((cidr for cidr in cidrs if family_of(cidr) == family), None)
    return assumed.pod_network(family) if own is None else ip_network(own)


def choose_addresses(
    network: Network, names: Sequence[Name], taken: Iterable[str], what: str, first: int = 1
) -> dict[Name, str]:
    """Return an address of a range for each name, none of those that are `taken`.

    The addresses of the network itself and of broadcasts are nobody's, and none before that of
    number `first`. Raises UsageError where there are too few.
    """
    bits = min(network.max_prefixlen - network.prefixlen, MAX_BITS)
    size = (1 << bits) - first - (1 if network.version == 4 else 0)
    base = int(network.network_address) + first
    used = {int(ip_address(text)) - base for text in taken}
    slots = Range(size, frozenset(slot for slot in used if 0 <= slot < size))
    if size - len(used) < len(names):
        raise UsageError(f"{network} has too few addresses for {count_noun(len(names), what)}")
    kind = type(network.network_address)
    return {name: str(kind(base + slot)) for name, slot in choose(names, slots).items()}
