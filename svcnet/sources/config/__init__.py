"""The small files beside manifests: a KubeProxyConfiguration, and the facts of a host.

Source of the rules: pkg/proxy/apis/config (v1alpha1/defaults.go, validation/validation.go) and
cmd/kube-proxy/app of Kubernetes v1.36.
"""

from svcnet.sources.config.find import find_config
from svcnet.sources.config.host import read_host
from svcnet.sources.config.proxy import read_config

__all__ = ["find_config", "read_config", "read_host"]
