"""How a virtual server chooses a real server, and what share each gets of many clients.

Source: Linux ``net/netfilter/ipvs/ip_vs_rr.c`` and its neighbours, one for each scheduler.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from svcnet.netfilter.ipvs.messages import (
    ONE_PACKET,
    PERSISTENT,
    SCHED1,
    SCHED2,
    Dest,
    IPVSService,
)
from svcnet.words import count_noun

_IN_TURN = ("rr", "wrr")
"""Those of which shares say all: each real server has its turn."""
_WEIGHTLESS = ("rr", "lc", "dh")
"""Those for which a weight is yes or no."""
_HIGHEST = ("fo",)
"""Those that take whoever has the highest weight."""
_HASHES = ("sh", "mh")


def shares(scheduler: str, weights: Sequence[int]) -> list[Fraction]:
    """Return the share of new clients for each real server, 0 for one that gets none.

    Those that go by load give shares by weight, as they do when each connection takes as long.
    """
    best = max(weights, default=0)
    if scheduler in _WEIGHTLESS:
        parts = [int(weight > 0) for weight in weights]
    elif scheduler in _HIGHEST:
        parts = [int(weight == best > 0) for weight in weights]
    else:
        parts = list(weights)
    whole = sum(parts)
    return [Fraction(part, whole) if whole else Fraction(0) for part in parts]


def manner(service: IPVSService, dests: Sequence[Dest]) -> str:
    """Return how a virtual server chooses, empty if shares say all of that."""
    weights = [each.weight for each in dests]
    return ", ".join([*choice(service.scheduler, service.flags, weights), *_odd(service, dests)])


def choice(scheduler: str, flags: int, weights: Sequence[int]) -> list[str]:
    """Return what a scheduler goes by, nothing for chances, or where there is no choice."""
    usable = sum(weight > 0 for weight in weights)
    if scheduler in _IN_TURN or not usable:
        return []
    found = [scheduler]
    if scheduler in _HASHES:
        found += ["port"] if flags & SCHED2 else []
        if scheduler == "sh" and usable < len(weights) and not flags & SCHED1:
            found.append("no fallback")
    return [] if usable == 1 and len(weights) == 1 and scheduler != "ovf" else found


def _odd(service: IPVSService, dests: Sequence[Dest]) -> list[str]:
    """Return what else than the scheduler decides where a packet goes."""
    found = []
    own_mask = 128 if service.family == "IPv6" else 0xFFFFFFFF
    if service.flags & PERSISTENT and service.netmask != own_mask:
        found.append("clients of one network stay together")
    if service.flags & ONE_PACKET and service.protocol == "UDP":
        found.append("each packet for itself")
    if service.pe_name:
        found.append(f"persistence by {service.pe_name}")
    limits = [each for each in dests if each.upper_threshold]
    if limits:
        most = count_noun(limits[0].upper_threshold, "connection")
        found.append(f"at most {most} at {limits[0].key}")
    return found
