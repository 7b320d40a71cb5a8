"""Values that a thread makes ahead, and the thread's end on every way out."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from svcnet.executors.ahead import MOST, ahead


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("ahead")]


def test_all_values_in_order() -> None:
    """Also more of them than are made ahead, and none."""
    for count in (0, 1, 3 * MOST):
        with ahead(range(count)) as values:
            assert list(values) == list(range(count))
        assert not threads()


def test_they_are_made_while_nobody_takes_them() -> None:
    """In another thread, and not without end."""
    made: list[int] = []
    enough = threading.Event()

    def count() -> Iterator[int]:
        for number in range(10 * MOST):
            made.append(number)
            if number == MOST - 1:
                enough.set()
            yield number

    with ahead(count()) as values:
        assert enough.wait(10)
        assert threads()
        assert next(values) == 0
        assert len(made) <= MOST + 1
    assert not threads()


def test_what_making_raises_is_raised_where_it_is_taken() -> None:
    """Those before it can be had."""

    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no second")

    with ahead(broken()) as values:
        assert next(values) == 1
        with pytest.raises(ValueError, match="no second"):
            next(values)
    assert not threads()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_leaving_early(kind: type[BaseException]) -> None:
    """The thread ends with the value that it is at, and Python's turns are as they were."""
    before, made = sys.getswitchinterval(), list[int]()

    def count() -> Iterator[int]:
        for number in range(10 * MOST):
            made.append(number)
            yield number

    def leave() -> None:
        with ahead(count()) as values:
            next(values)
            assert sys.getswitchinterval() < before
            raise kind

    with pytest.raises(kind):
        leave()
    assert not threads()
    assert len(made) <= MOST + 1
    assert sys.getswitchinterval() == before
