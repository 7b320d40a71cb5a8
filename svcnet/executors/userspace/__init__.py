"""The portal rules of userspace mode on this machine: they lead to the proxy's ports."""

from svcnet.executors.userspace.rules import (
    RulesReport,
    TablePlan,
    change,
    find,
    install,
    remove,
    repair,
    services_of,
)

__all__ = [
    "RulesReport",
    "TablePlan",
    "change",
    "find",
    "install",
    "remove",
    "repair",
    "services_of",
]
