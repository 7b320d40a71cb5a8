"""Several things to do, of which none waits for another to succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from svcnet.errors import ApplyError


def attempt_all(parts: Iterable[Callable[[], Iterable[str]]]) -> Iterator[str]:
    """Do each of `parts` and yield its lines, also after one that the machine refused.

    Raises ApplyError at the end with what was refused, each text once.
    """
    refused: dict[str, ApplyError] = {}
    for part in parts:
        try:
            yield from part()
        except ApplyError as error:
            refused[str(error)] = error
    if refused:
        raise join_errors(refused.values())


def join_errors(errors: Iterable[ApplyError]) -> ApplyError:
    """Return one error that says what several say; it is of their check where that is the same."""
    errors = tuple(errors)
    alike = {error.check for error in errors}
    return ApplyError("\n".join(map(str, errors)), alike.pop() if len(alike) == 1 else None)
