"""Memory that is free goes back to the machine."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Have the C library give back the memory that it keeps for later, where it can (glibc).

    What a process took for its first load alone it never needs again, and the library keeps what
    was freed in the midst of its heaps (``malloc_trim(3)``).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
