"""Names of chains. Those of service ports are hashes, because iptables allows 28 characters.

Source of the scheme: pkg/proxy/iptables/proxier.go of Kubernetes v1.30
(``portProtoHash``, ``servicePortEndpointChainName``).
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Sequence
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

FILTER_CHAINS = (SERVICES, EXTERNAL_SERVICES, FORWARD, NODEPORTS, PROXY_FIREWALL)
NAT_CHAINS = (SERVICES, NODEPORTS, POSTROUTING, MARK_MASQ)

SERVICE_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")

# 16 letters of base32 are the first 80 bits, so the rest of the digest need not be encoded.
_LETTERS = 16
_BYTES = 10


def service_hash(name: FragmentName) -> str:
    """Return the 16 letters that end the names of a service port's own chains."""
    digest = sha256((name.service_port + name.protocol.lower()).encode()).digest()
    return b32encode(digest[:_BYTES]).decode()


def endpoint_chains(name: FragmentName, endpoints: Sequence[str]) -> list[str]:
    """Return the KUBE-SEP chain of each of a service port's `endpoints` (``ip:port``)."""
    prefix = name.service_port + name.protocol.lower()
    digests = b"".join([sha256((prefix + ep).encode()).digest()[:_BYTES] for ep in endpoints])
    letters = b32encode(digests).decode()
    return [
        "KUBE-SEP-" + letters[i : i + _LETTERS]
        for i in range(0, len(endpoints) * _LETTERS, _LETTERS)
    ]
