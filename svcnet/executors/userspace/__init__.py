"""Userspace mode on a machine: the portal rules, and the proxy that they lead to."""

from svcnet.executors.userspace.rules import RulesReport, change, install, remove

__all__ = ["RulesReport", "change", "install", "remove"]
