"""Nodes that nobody has yet: so many, in these zones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import islice

from svcnet.discovery.repository.assumptions import NODE_CIDRS, Assumptions, Network
from svcnet.errors import UsageError
from svcnet.family import IPFamily
from svcnet.labels import HOSTNAME_LABEL, SYSTEM_LABEL, ZONE_LABEL
from svcnet.models import Node
from svcnet.words import count_noun

MASK_LENGTHS: dict[IPFamily, int] = {"IPv4": 24, "IPv6": 64}
"""How long the prefixes of Nodes' pod CIDRs are, as kube-controller-manager has it by default."""


def nodes_of(assumed: Assumptions, families: Sequence[IPFamily]) -> list[Node]:
    """Return the Nodes that are asked for: ``node-1`` and so on, each with its part of the pods'.

    Raises UsageError where the range of Pods has no part for each.
    """
    count = max(assumed.nodes, len(assumed.node_zones))
    if not count:
        return []
    parts = {family: _parts(assumed.pod_network(family), family, count) for family in families}
    return [
        Node(
            name=f"node-{number}",
            addresses=tuple(_address(family, number) for family in families),
            pod_cidrs=tuple(parts[family][number - 1] for family in families),
            labels=dict(_labels(assumed, number)),
            ready=True,
        )
        for number in range(1, count + 1)
    ]


def _labels(assumed: Assumptions, number: int) -> Iterator[tuple[str, str]]:
    yield HOSTNAME_LABEL, f"node-{number}"
    yield SYSTEM_LABEL, "linux"
    if assumed.node_zones:
        yield ZONE_LABEL, assumed.node_zones[(number - 1) % len(assumed.node_zones)]


def _address(family: IPFamily, number: int) -> str:
    return str(ip_network(NODE_CIDRS[family])[number])


def _parts(network: Network, family: IPFamily, count: int) -> list[str]:
    """Return the pod CIDRs of so many Nodes."""
    length = MASK_LENGTHS[family]
    if length < network.prefixlen or 1 << (length - network.prefixlen) < count:
        # A range that is smaller than usual is shared out in smaller parts.
        length = network.prefixlen + (count - 1).bit_length()
    if length > network.max_prefixlen - 2:
        raise UsageError(
            f"--pod-cidr {network} has no part for each of {count_noun(count, 'Node')}"
        )
    return [str(part) for part in islice(network.subnets(new_prefix=length), count)]
