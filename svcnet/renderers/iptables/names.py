"""Names of chains. Those of service ports are hashes, because iptables allows 28 characters.

Source of the scheme: pkg/proxy/iptables/proxier.go of Kubernetes v1.36
(``portProtoHash``, ``servicePortEndpointChainName``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from struct import Struct

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

SHARED_CHAINS = {
    "filter": (SERVICES, EXTERNAL_SERVICES, NODEPORTS, PROXY_FIREWALL),
    "nat": (SERVICES, NODEPORTS),
}
"""The chains of each table in which many service ports have rules."""

SERVICE_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")

TREE_PREFIX = "KUBE-FLAT-"
"""What chains of trees begin with, which kube-proxy has none of."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".ljust(256)

# 16 letters of base32 are the first 80 bits, so the rest of a digest need not be encoded.
_LETTERS = 16
_LANES = Struct("3x5s3x5s")


def chain_names(name: FragmentName, endpoints: Sequence[str]) -> tuple[str, list[str]]:
    """Return what the names of a service port's chains end in, and the chains of its endpoints.

    The first are the 16 letters after KUBE-SVC- and its like, the others whole names (KUBE-SEP-…).
    `endpoints` are written ``ip:port``.
    """
    port = name.service_port + name.protocol.lower()
    letters = _hashes([port, *[port + endpoint for endpoint in endpoints]])
    ends = range(_LETTERS, len(letters), _LETTERS)
    return letters[:_LETTERS], [f"KUBE-SEP-{letters[i : i + _LETTERS]}" for i in ends]


def tree_chain(text: str) -> str:
    """Return the name of a chain of a tree; `text` says which it is."""
    return f"{TREE_PREFIX}{_hashes([text])}"


def _hashes(texts: list[str]) -> str:
    """Return the first 16 letters of the base32 form (RFC 4648) of each text's SHA-256.

    All are encoded at once: ten bytes of each digest go into two lanes of eight bytes,
    and three shifts of one large integer spread every lane's 40 bits over its bytes,
    five to each. That is ten times faster than a call of the standard library for each.
    """
    digests = [sha256(text.encode()).digest() for text in texts]
    bits = int.from_bytes(b"".join([_LANES.pack(d, d[5:]) for d in digests]), "big")
    for shift, keep, move in _masks(len(texts)):
        bits = (bits & keep) | ((bits & move) << shift)
    return bits.to_bytes(len(texts) * _LETTERS, "big").translate(_ALPHABET).decode()


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
