"""Network namespaces of this process's own."""

from __future__ import annotations

import ctypes

from pyroute2 import IPRoute

CLONE_NEWNET = 0x40000000
LOOPBACK = 1
"""The index that loopback has in every namespace."""


def new_network() -> None:
    """Put this thread, and what it starts, into a network namespace that has loopback only.

    Raises PermissionError without the leave to make one.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    with IPRoute() as route:
        route.link("set", index=LOOPBACK, state="up")
