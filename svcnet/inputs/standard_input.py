"""Standard input, whatever whoever started the process made of it."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def standard_input() -> BinaryIO:
    """Return standard input, as bytes.

    That of the process is not the object that Python has: a thread may be left that waits for the
    lock of it at the end.
    """
    if sys.stdin is not sys.__stdin__:
        return sys.stdin.buffer
    return io.BufferedReader(_Input(0, "r", closefd=False))


def is_terminal() -> bool:
    """Return whether standard input is a terminal, where a person may wait for an answer."""
    with suppress(OSError):
        return sys.stdin is sys.__stdin__ and os.isatty(0)
    return False


class _Input(io.FileIO):
    """Waits for what there is to read."""

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while (size := super().readinto(buffer)) is None:
            select.select((self,), (), ())
        return size
