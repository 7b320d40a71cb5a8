"""The userspace proxy: it serves what a table says."""

from svcnet.servers.descriptors import raise_file_limit
from svcnet.servers.userspace.node import NodeProxy
from svcnet.servers.userspace.proxy import Proxy, serve
from svcnet.servers.userspace.statistics import (
    BackendCounts,
    ProxySnapshot,
    Refusals,
    Statistics,
    document,
)

__all__ = [
    "BackendCounts",
    "NodeProxy",
    "Proxy",
    "ProxySnapshot",
    "Refusals",
    "Statistics",
    "document",
    "raise_file_limit",
    "serve",
]
