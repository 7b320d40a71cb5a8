"""The stages of a sync whose failures are counted, by the names that kube-proxy has for them.

They stand apart from the metrics, which need the extra ``run``: to apply rules does not.
"""

IPTABLES_RESTORE = "iptables-restore"
"""The stage in which rules of iptables are written; kube-proxy counts its failures, too."""

NFT = "nft"
"""The stage in which nft is run; kube-proxy counts its failures, too."""

NFT_CLEANUP = "nft-cleanup"
"""The stage in which nft removes what is used no more; kube-proxy counts its failures, too."""
