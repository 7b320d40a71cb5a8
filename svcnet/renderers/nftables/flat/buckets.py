"""Buckets: chains that choose among so many endpoints, for all Services that have so many.

A bucket looks the endpoint up under the packet's own destination and a number by chance. A packet
may begin under one commit and look the endpoint up under the next: if that took the last endpoint
away, the second rule leads it to the first one, which goes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias, get_args

from svcnet.netfilter.nft import NFTRule
from svcnet.renderers.nftables.flat.endpoints import endpoint_map
from svcnet.renderers.nftables.words import NodeWords, keep_source

EndpointChoice: TypeAlias = Literal["cluster", "local", "external", "external-local"]
"""Among which endpoints a bucket chooses: all, this node's, or both, for traffic from outside."""

MOST_AHEAD = 256
"""How many chains of a kind are made before any Service has so many endpoints."""
_FEW = 32
"""Up to how many endpoints all are made ahead, if any Service has half as many."""
_NEAR = 8
"""How many endpoints more or less than a Service has."""

_NAME = re.compile(
    r"(?P<node_port>nodeport-)?(?P<choice>cluster|local|external-local|external)"
    r"-(?P<protocol>tcp|udp|sctp)-(?P<size>[0-9]{1,5})(?:-(?P<local_size>[0-9]{1,5}))?"
)
_CHOICES = MappingProxyType[str, EndpointChoice]({each: each for each in get_args(EndpointChoice)})


class Bucket(NamedTuple):
    """A chain for all frontends whose Services have equally many endpoints.

    ``size`` is how many the bucket chooses from; ``external-local`` has also a ``local_size`` of
    those on this node, 0 where there are none.
    """

    choice: EndpointChoice
    protocol: str
    is_node_port: bool
    size: int
    local_size: int = 0

    @property
    def name(self) -> str:
        """The chain's name."""
        choice, protocol, is_node_port, size, local_size = self
        name = f"nodeport-{choice}" if is_node_port else choice
        more = f"-{local_size}" if choice == "external-local" else ""
        return f"{name}-{protocol}-{size}{more}"

    @classmethod
    def of_name(cls, name: str) -> Bucket | None:
        """Return the bucket whose chain has a name, None for the name of another chain."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        choice, protocol = _CHOICES[found["choice"]], found["protocol"]
        sizes = int(found["size"]), int(found["local_size"] or 0)
        made = cls(choice, protocol, bool(found["node_port"]), *sizes)
        return made if made.name == name and made.size else None

    def leads_to(self) -> tuple[Bucket, ...]:
        """Return the buckets that its rules lead to, which lead nowhere else."""
        choice, protocol, is_node_port, size, local_size = self
        if choice in ("cluster", "local"):
            return ()
        cluster = Bucket("cluster", protocol, is_node_port, size)
        if not local_size:
            return (cluster,)
        return cluster, Bucket("local", protocol, is_node_port, local_size)

    def choosers(self) -> tuple[Bucket, ...]:
        """Return the buckets that choose an endpoint: those that it leads to, or else itself."""
        return self.leads_to() or (self,)

    @property
    def is_local(self) -> bool:
        """Whether it chooses among this node's endpoints alone."""
        return self.choice == "local"

    @property
    def container(self) -> str:
        """The map in which a bucket finds endpoints that chooses one itself."""
        return endpoint_map(self.protocol, is_node_port=self.is_node_port, is_local=self.is_local)

    def rules(self, say: NodeWords) -> tuple[NFTRule, ...]:
        """Return the rules, in the words of a node."""
        chain = self.name
        if self.choice in ("cluster", "local"):
            return tuple([NFTRule(chain, text) for text in self._translations(say)])
        goals = [f"goto {each.name}" for each in self.leads_to()]
        if self.choice == "external":
            return (NFTRule(chain, say.mark, "masquerade"), NFTRule(chain, goals[0]))
        rules = keep_source(chain, goals[0], say)
        if self.local_size:
            rules.append(NFTRule(chain, goals[1]))
        return tuple(rules)

    def _translations(self, say: NodeWords) -> list[str]:
        key = f"{self.protocol} dport"
        if not self.is_node_port:
            key = f"{say.ip} daddr . {key}"
        numbers = [f"random mod {self.size}"]
        if self.size > 1:
            numbers.append("inc mod 1")
        return [f"dnat {say.ip} to {key} . numgen {each} map @{self.container}" for each in numbers]


def named_buckets(names: Iterable[str]) -> frozenset[Bucket]:
    """Return the buckets among chains, by the names of these."""
    return frozenset(filter(None, map(Bucket.of_name, names)))


def buckets_ahead(buckets: Iterable[Bucket]) -> Iterator[Bucket]:
    """Yield the buckets that Services will need which get some endpoints more, or fewer.

    A rule that looks into a map has the kernel walk all elements of that, whether any leads to a
    chain (``nf_tables_bind_set`` in ``net/netfilter/nf_tables_api.c``). So a bucket is cheap only
    while there are no endpoints. But each element that comes is compared with each such rule, in
    some ten nanoseconds (``nft_add_set_elem``): of a million that is as many milliseconds a rule.
    """
    used: dict[Bucket, set[int]] = {}
    for bucket in buckets:
        if bucket.choice != "external-local":
            used.setdefault(bucket._replace(size=0), set()).add(bucket.size)
    for kind, sizes in used.items():
        found = set(range(1, min(2 * max(sizes), _FEW) + 1))
        for size in sizes:
            found.update(range(max(1, size - _NEAR), min(size + _NEAR, 2 * size) + 1))
        for size in sorted(found)[:MOST_AHEAD]:
            yield kind._replace(size=size)
