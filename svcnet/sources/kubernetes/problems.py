"""What keeps a server's objects from coming, and how an operator is told."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

MAX_WHY = 300

State: TypeAlias = Literal["synced", "unreachable", "refused", "TLS"]


@frozen
class Status:
    """How it stands with one kind of objects.

    ``synced``: they are all known, and changes come. ``unreachable``: the server does not
    answer, or not with sense. ``refused``: it answers, and will not give the objects to us.
    ``TLS``: one side does not take the other for who it claims to be. ``why`` is text for
    people, on one line. A kind that is not ``needed`` is done without for as long as it is refused.
    """

    kind: str
    state: State
    why: str = ""
    needed: bool = True

    def __str__(self) -> str:
        return ": ".join(part for part in (self.kind, self.state, self.why) if part)


def one_line(text: str) -> str:
    """Return the text of a stranger as one line for people."""
    line = "".join(c if c.isprintable() else " " for c in text[:MAX_WHY])
    return line if len(text) <= MAX_WHY else f"{line}…"


class Problem(Exception):  # noqa: N818  (told to the operator, and tried again)
    """A request came to nothing; it is made again after at least `retry_after` seconds.

    ``is_silence`` says that there was no answer at all, though the connection stood.
    """

    def __init__(
        self, state: State, why: str, retry_after: float = 0.0, *, is_silence: bool = False
    ) -> None:
        super().__init__(why)
        self.state = state
        self.why = why
        self.retry_after = retry_after
        self.is_silence = is_silence


class Nonsense(Problem):
    """What came is no answer of the API; to go on from there would only meet it again."""

    def __init__(self, why: str) -> None:
        super().__init__("unreachable", why)


class ExpiredVersion(Exception):  # noqa: N818
    """The server has forgotten the resourceVersion or the continue token (410)."""


class AbsentResource(Exception):  # noqa: N818
    """The server has no such resource (404)."""
