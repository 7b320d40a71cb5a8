"""A rule while its text is read: what is asked so far, and what is not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from svcnet.meaning.facts import Facts
from svcnet.meaning.iptables.rule import Test, XTRule


class Doubt(Exception):  # noqa: N818  (said of a text)
    """A match that nobody here understands."""


class XTReading:
    """One rule while it is read.

    ``to``, ``port`` and ``word_protocol`` are the one destination that it is for, as far as it
    says one. ``recent`` and ``options`` are those of matches that are understood as a whole.
    """

    __slots__ = (
        *(
            "chains",
            "doubts",
            "facts",
            "is_filled",
            "is_negated",
            "module",
            "options",
            "port",
            "recent",
        ),
        *("rest", "rule", "tests", "to", "word_protocol"),
    )

    def __init__(
        self,
        rule: XTRule,
        chains: Mapping[str, object],
        facts: Facts,
        is_filled: Callable[[str], bool],
    ) -> None:
        self.rule = rule
        self.is_filled = is_filled
        self.chains = chains
        self.facts = facts
        self.tests: list[Test] = []
        self.doubts: list[str] = []
        self.recent: dict[str, str] = {}
        self.module = ""
        self.is_negated = False
        self.to: int | None = None
        self.port: int | None = None
        self.word_protocol = ""
        self.options: dict[str, str] = {}
        self.rest: Iterator[str] = iter(())

    def value(self) -> str:
        """Return the next word. Raises Doubt where there is none."""
        try:
            return next(self.rest)
        except StopIteration:
            raise Doubt from None

    def ask(self, test: Test, *, first: bool = False) -> None:
        """Add a question, in front of all others if it costs little and is often answered no."""
        if first:
            self.tests.insert(0, test)
        else:
            self.tests.append(test)
