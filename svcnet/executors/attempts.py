"""Several things to do, of which none waits for another to succeed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from svcnet.errors import ApplyError


def attempt_all(parts: Iterable[Callable[[], Iterable[str]]]) -> Iterator[str]:
    """Do each of `parts` and yield its lines, also after one that the machine refused.

    Raises ApplyError at the end with what was refused, each text once.
    """
    refused: dict[str, None] = {}
    for part in parts:
        try:
            yield from part()
        except ApplyError as error:
            refused[str(error)] = None
    if refused:
        raise ApplyError("\n".join(refused))
