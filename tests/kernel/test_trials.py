"""Random packets in random clusters end as is explained of the rules that the node has."""

from __future__ import annotations

from random import Random

import pytest

from svcnet.family import IP_FAMILIES
from tests.fuzz import examples
from tests.kernel.netns import Cluster
from tests.kernel.trials import RandomPacket, Seen, Trial, random_packet
from tests.kernel.ways import WAYS

pytestmark = pytest.mark.kernel

PACKETS = 10
"""So many are tried in one cluster."""


def test_random_packets_end_as_is_explained(cluster: Cluster) -> None:
    """In both families and each way whose rules are read: 100 pairs, or as many as are asked."""
    ways = [way for way in WAYS if way.name in ("iptables-nft", "iptables-legacy", "nftables")]
    untouched: dict[tuple[str, RandomPacket], Seen] = {}
    for seed in range(max(1, examples(100) // PACKETS)):
        random = Random(seed)
        way, family = ways[seed % len(ways)], IP_FAMILIES[seed // len(ways) % 2]
        known = {packet: seen for (of, packet), seen in untouched.items() if of == family}
        trial = Trial(cluster, way, family, seed, untouched=known)
        trial.play([random_packet(random) for _ in range(PACKETS)])
        assert trial.unknown == 0
        untouched.update({(family, packet): seen for packet, seen in trial.untouched.items()})
