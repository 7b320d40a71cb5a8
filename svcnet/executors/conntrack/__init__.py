"""Listing and deleting UDP entries of the kernel's connection table, by netlink.

What to delete is decided by :func:`svcnet.renderers.conntrack.plan`. Rules come first: an
entry that is deleted before them would be made again as it was.
"""

from svcnet.executors.conntrack.table import DeletionReport, NoConntrack, delete, observe

__all__ = ["DeletionReport", "NoConntrack", "delete", "observe"]
