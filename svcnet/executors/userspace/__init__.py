"""Userspace mode's executor: a proxy that serves what a table says, and the rules that lead there.

``install``, ``change``, ``repair`` and ``remove`` are about the portal rules.
"""

from svcnet.executors.userspace.limits import raise_file_limit
from svcnet.executors.userspace.node import NodeProxy
from svcnet.executors.userspace.proxy import Proxy, serve
from svcnet.executors.userspace.rules import (
    RulesReport,
    change,
    install,
    remove,
    repair,
    services_of,
)
from svcnet.executors.userspace.statistics import (
    BackendCounts,
    Refusals,
    Snapshot,
    Statistics,
    document,
)

__all__ = [
    "BackendCounts",
    "NodeProxy",
    "Proxy",
    "Refusals",
    "RulesReport",
    "Snapshot",
    "Statistics",
    "change",
    "document",
    "install",
    "raise_file_limit",
    "remove",
    "repair",
    "serve",
    "services_of",
]
