"""What a machine refuses, while everything else is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import field, frozen

MOST_TOLD = 5
"""How many things that are refused for the same reason are named."""


@frozen
class Refusal:
    """One thing that a tool refused to do, in words, and why.

    ``line`` is the line that the tool was given, empty for a message.
    """

    tool: str
    what: str
    why: str
    line: str = ""
    origin: str = field(default="", eq=False)

    def __str__(self) -> str:
        origin = f" (from {self.origin})" if self.origin else ""
        return f"{self.tool} refused to {self.what}: {self.why}{origin}"


def told(refusals: Iterable[Refusal]) -> Iterator[str]:
    """Yield a line for each refusal; of many with the same reason, how many more there are."""
    alike: dict[tuple[str, str], list[Refusal]] = {}
    for refusal in dict.fromkeys(refusals):
        alike.setdefault((refusal.tool, refusal.why), []).append(refusal)
    for found in alike.values():
        yield from map(str, found[:MOST_TOLD])
        rest = found[MOST_TOLD:]
        if rest:
            yield f"{rest[0].tool} refused {len(rest)} more for the same reason: {rest[0].why}"
