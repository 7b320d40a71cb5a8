"""Userspace mode's executor: a proxy that serves what a proxy table says."""

from svcnet.executors.userspace.inquiries import Inquiries
from svcnet.executors.userspace.limits import raise_file_limit
from svcnet.executors.userspace.loop import Loop
from svcnet.executors.userspace.node import NodeProxy
from svcnet.executors.userspace.proxy import Proxy, serve
from svcnet.executors.userspace.statistics import BackendCounts, Snapshot, Statistics, document

__all__ = [
    "BackendCounts",
    "Inquiries",
    "Loop",
    "NodeProxy",
    "Proxy",
    "Snapshot",
    "Statistics",
    "document",
    "raise_file_limit",
    "serve",
]
