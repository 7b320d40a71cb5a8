"""Trying things in a network namespace of their own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from svcnet.errors import ApplyError

_CLONE_NEWNET = 0x40000000  # linux/sched.h

Value = TypeVar("Value")


class NoNamespace(ApplyError):  # noqa: N818
    """This process may not make a network namespace."""


def in_own_namespace(work: Callable[[], Value]) -> Value:
    """Return what `work` gives in a new network namespace, which goes with its end.

    Raises NoNamespace without the right to make one.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, _unshare, work).result()


def _unshare(work: Callable[[], Value]) -> Value:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise NoNamespace(
            f"a network namespace to try the kernel in: {reason}: it takes CAP_SYS_ADMIN"
        )
    return work()
