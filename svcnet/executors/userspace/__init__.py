"""Userspace mode's executor: a proxy that serves what a proxy table says."""

from svcnet.executors.userspace.limits import raise_file_limit
from svcnet.executors.userspace.proxy import Proxy
from svcnet.executors.userspace.statistics import BackendCounts, Statistics, document

__all__ = ["BackendCounts", "Proxy", "Statistics", "document", "raise_file_limit"]
