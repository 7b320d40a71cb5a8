"""Random packets in random clusters end as is explained of the rules that the node has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

import pytest

from svcnet.family import IP_FAMILIES, IPFamily
from tests.fuzz import examples
from tests.kernel.foreign_nft import random_nft
from tests.kernel.foreign_tables import ANSWERS, EVERY_TABLE, random_iptables
from tests.kernel.netns import POD2, Cluster
from tests.kernel.trials import RandomPacket, Seen, Trial, random_packet
from tests.kernel.ways import WAYS
from tests.meaning import foreign

pytestmark = pytest.mark.kernel

READABLE = ("iptables-nft", "iptables-legacy", "nftables", "nftables-flat", "userspace")
"""The ways whose rules are read back."""

PACKETS = 10
"""So many are tried in one cluster."""


def test_random_packets_end_as_is_explained(cluster: Cluster) -> None:
    """In both families and each way whose rules are read: 100 pairs, or as many as are asked."""
    assert play(cluster, examples(100), READABLE) == 0


def test_rules_of_others_are_understood_or_unknown(cluster: Cluster) -> None:
    """Beside rules of any kind, before ours and after, a packet ends as is explained of both.

    Most are understood; of none is anything said that the kernel does not do.
    """
    count = examples(60)
    unknown = play(
        cluster, count, ("iptables-nft", "iptables-legacy", "userspace"), random_iptables
    )
    assert unknown < count / 2


def test_tables_of_others_are_understood_or_unknown(cluster: Cluster) -> None:
    """The same beside tables of nftables, whose chains come before and after ours."""
    count = examples(60)
    assert play(cluster, count, ("nftables", "nftables-flat"), random_nft) < count / 2


WRITTEN_HERE = {
    "docker0": "veth2",
    "172.17.0.0/16": f"{POD2.v4}/32",
    "172.17.0.2": POD2.v4,
    "cali+": "veth+",
    "cali1": "veth1",
}
NOT_IN_EVERY_KERNEL = re.compile(r"^.*(?:rpfilter|--match-set|TPROXY|-m socket).*\n", re.MULTILINE)


@pytest.mark.parametrize("whose", sorted(foreign.ALL))
def test_what_others_write_is_understood_or_unknown(cluster: Cluster, whose: str) -> None:
    """Rules such as Docker, Calico, firewalld, ufw and flannel write, beside ours."""
    text = NOT_IN_EVERY_KERNEL.sub("", foreign.ALL[whose])
    for old, new in WRITTEN_HERE.items():
        text = text.replace(old, new)
    answers = "".join(f"-I {hook} {ANSWERS}\n" for hook in EVERY_TABLE["filter"])
    way = next(way for way in WAYS if way.name == "iptables-nft")
    random = Random(whose)
    trial = Trial(cluster, way, "IPv4", seed=3)
    packets = [random_packet(random) for _ in range(PACKETS)]
    trial.play(packets, f"{text}*filter\n{answers}COMMIT\n")
    assert trial.unknown < len(packets)


def play(
    cluster: Cluster,
    count: int,
    names: Sequence[str],
    foreign: Callable[[Random, IPFamily], str] | None = None,
) -> int:
    """Try so many packets, and return of how many nobody can say where they end."""
    ways = [way for way in WAYS if way.name in names]
    unknown = 0
    untouched: dict[tuple[str, RandomPacket], Seen] = {}
    for seed in range(max(1, count // PACKETS)):
        random = Random(seed)
        way, family = ways[seed % len(ways)], IP_FAMILIES[seed // len(ways) % 2]
        known = {packet: seen for (of, packet), seen in untouched.items() if of == family}
        trial = Trial(cluster, way, family, seed, untouched=known)
        beside = "" if foreign is None else foreign(random, family)
        trial.play([random_packet(random) for _ in range(PACKETS)], beside)
        unknown += trial.unknown
        untouched.update({(family, packet): seen for packet, seen in trial.untouched.items()})
    return unknown
