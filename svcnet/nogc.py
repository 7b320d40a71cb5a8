"""Running without the cyclic garbage collector, or with one that seldom has to look.

Loading, compiling and rendering make hundreds of thousands of values that refer to
each other in no cycle. The collector walks them again and again and finds nothing;
pausing it halves the time of a large cold run.

A program that goes on running must not pause it for good, for there are cycles, such as those
of errors with their tracebacks. It can have it look seldom while it starts, and not walk what
was there after the start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000
"""New values that make the collector look at the youngest; Python's own number is 700."""

OF_A_VERB = 100_000
"""More values than the modules of a verb have: their start takes no look at all."""

FROZEN_AT_START = 1_000
"""Python 3.12 itself freezes some hundred values at its start; to settle freezes many more."""


@contextmanager
def without_gc() -> Iterator[None]:
    """Pause the collector inside the block, unless it is off already. Also a decorator.

    Where many values are left at the end, it does not walk them as soon as it is back, but when
    it next walks the old ones.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if gc.get_count()[0] > SELDOM and gc.get_freeze_count() < FROZEN_AT_START:
            _age()
        gc.enable()


def _age() -> None:
    """Make all values old ones, those that have settled too, without a look at them."""
    gc.freeze()
    gc.unfreeze()


@contextmanager
def seldom_gc(values: int = SELDOM) -> Iterator[None]:
    """Have the collector look seldom inside the block: so many new `values` make it look.

    At the end it does not walk them at once, but all, settled or not, when it next walks the old
    ones.
    """
    before = gc.get_threshold()
    gc.set_threshold(values, *before[1:])
    try:
        yield
    finally:
        _age()
        gc.set_threshold(*before)


def settle() -> None:
    """Take it that the values there are will last: from now on the collector passes them over.

    Those that do not are freed all the same, unless they are in a cycle.
    """
    gc.freeze()
