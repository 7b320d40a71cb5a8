"""Names of chains. Those of service ports are hashes, because iptables allows 28 characters.

Source of the scheme: pkg/proxy/iptables/proxier.go of Kubernetes v1.36
(``portProtoHash``, ``servicePortEndpointChainName``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

from svcnet.graph import FragmentName

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
FORWARD = "KUBE-FORWARD"
NODEPORTS = "KUBE-NODEPORTS"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
FIREWALL = "KUBE-FIREWALL"
POSTROUTING = "KUBE-POSTROUTING"
MARK_MASQ = "KUBE-MARK-MASQ"

INVALID_DROPPED = "ct_state_invalid_dropped_pkts"
LOCALHOST_ACCEPTED = "localhost_nps_accepted_pkts"
COUNTERS = (INVALID_DROPPED, LOCALHOST_ACCEPTED)
"""Counters of the kernel (nfacct) that rules count in, where it has any."""

FILTER_CHAINS = (SERVICES, EXTERNAL_SERVICES, FORWARD, NODEPORTS, PROXY_FIREWALL)
NAT_CHAINS = (SERVICES, NODEPORTS, POSTROUTING, MARK_MASQ)

SERVICE_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".ljust(256)

# 16 letters of base32 are the first 80 bits, so the rest of a digest need not be encoded.
_LETTERS = 16


def service_hash(name: FragmentName) -> str:
    """Return the 16 letters that end the names of a service port's own chains."""
    return _hashes([name.service_port + name.protocol.lower()])[0]


def endpoint_chains(name: FragmentName, endpoints: Sequence[str]) -> list[str]:
    """Return the KUBE-SEP chain of each of a service port's `endpoints` (``ip:port``)."""
    prefix = name.service_port + name.protocol.lower()
    return [f"KUBE-SEP-{letters}" for letters in _hashes([prefix + text for text in endpoints])]


def _hashes(texts: list[str]) -> list[str]:
    """Return the first 16 letters of the base32 form (RFC 4648) of each text's SHA-256.

    All are encoded at once: ten bytes of each digest go into two lanes of eight bytes,
    and three shifts of one large integer spread every lane's 40 bits over its bytes,
    five to each. That is ten times faster than a call of the standard library for each.
    """
    if not texts:
        return []
    digests = [sha256(text.encode()).digest() for text in texts]
    bits = int.from_bytes(
        b"".join([b"\0\0\0%b\0\0\0%b" % (d[:5], d[5:10]) for d in digests]), "big"
    )
    for shift, keep, move in _masks(len(texts)):
        bits = (bits & keep) | ((bits & move) << shift)
    letters = bits.to_bytes(len(texts) * _LETTERS, "big").translate(_ALPHABET).decode()
    return [letters[i : i + _LETTERS] for i in range(0, len(letters), _LETTERS)]


@cache
def _masks(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return (shift, bits that stay, bits that move) for `count` names of two lanes each."""
    steps = ((12, 0x00000000000FFFFF, 20), (6, 0x000003FF000003FF, 10), (3, 0x001F001F001F001F, 5))
    return tuple(
        (
            shift,
            int.from_bytes(keep.to_bytes(8, "big") * count * 2, "big"),
            int.from_bytes((keep << width).to_bytes(8, "big") * count * 2, "big"),
        )
        for shift, keep, width in steps
    )
