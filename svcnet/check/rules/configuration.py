"""What a kube-proxy configuration asks for that Kubernetes calls deprecated."""

from __future__ import annotations

from collections.abc import Iterator

from svcnet import checks
from svcnet.models import KubeProxyConfiguration
from svcnet.sources.config.result import ConfigRemark


def old_modes(config: KubeProxyConfiguration) -> Iterator[ConfigRemark]:
    """Yield the mode of a configuration if it is one that goes away."""
    if config.mode == "ipvs":
        message = "ipvs is deprecated since Kubernetes 1.35; nftables is what replaces it"
        yield checks.OLD_MODE, ("mode",), message
