"""Userspace mode's executor: a proxy that serves what a table says, and the rules that lead there.

``install``, ``change`` and ``remove`` are about the portal rules.
"""

from svcnet.executors.userspace.limits import raise_file_limit
from svcnet.executors.userspace.proxy import Proxy
from svcnet.executors.userspace.rules import RulesReport, change, install, remove
from svcnet.executors.userspace.statistics import BackendCounts, Statistics, document

__all__ = [
    "BackendCounts",
    "Proxy",
    "RulesReport",
    "Statistics",
    "change",
    "document",
    "install",
    "raise_file_limit",
    "remove",
]
