"""A golden file: what is rendered, and what was reviewed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from svcnet.errors import OutputError, UsageError
from svcnet.files import KIB, read_text, write_whole
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.graph import NodeSettings

MOST_BYTES = 256 * KIB * KIB
"""The largest file that is compared with, as with manifests."""

MOST_LINES = 20
"""So many lines of a difference are shown where it is told in short."""


@frozen
class Golden:
    """A golden file, and the ``text`` that is rendered for it now.

    ``settings`` are those that the text is rendered with, None if it is no whole state.
    """

    file: Path
    text: str
    mode: str
    settings: NodeSettings | None

    def read_expected(self) -> str:
        """Return what the file has. Raises UsageError if it cannot be read."""
        try:
            return read_text(self.file, MOST_BYTES)
        except OSError as error:
            raise UsageError(f"{self.file}: cannot be read: {error.strerror}") from None

    def expected_if_there(self) -> str | None:
        """Return what the file has, None if there is none."""
        return self.read_expected() if self.file.exists() else None

    def write(self) -> None:
        """Make the file what is rendered, whole or not at all. Raises OutputError."""
        try:
            write_whole(self.file, self.text)
        except OSError as error:
            message = f"{self.file}: cannot be written: {error.strerror}"
            raise OutputError(message, error) from None

    def difference(self, expected: str, context: int = 3) -> Iterator[str]:
        """Yield the lines of a unified diff."""
        from difflib import unified_diff

        before, now = expected.splitlines(True), self.text.splitlines(True)
        for line in unified_diff(before, now, str(self.file), "rendered", n=context):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

    def summary(self, expected: str) -> str:
        """Return the beginning of the difference, and what it means."""
        lines = self.difference(expected, context=1)
        shown = list(islice(lines, MOST_LINES))
        more = sum(1 for _ in lines)
        if more:
            shown.append(f"... and {count_noun(more, 'more line')}\n")
        return "".join([*shown, f"{self.meaning(expected)}\n"])

    def meaning(self, expected: str) -> str:
        """Return on one line whether what the file has means the same."""
        return f"meaning: {_meaning(self, expected)}"


def _meaning(golden: Golden, expected: str) -> str:
    from svcnet.meaning import Facts
    from svcnet.meaning.comparison.change_text import summary
    from svcnet.meaning.comparison.diff import rules_diff
    from svcnet.meaning.dump import LANGUAGES, forms_of, read_dump

    if golden.settings is None:
        return "a step has none of its own; svcnet diff compares two states"
    if golden.mode not in LANGUAGES or len(forms_of(golden.mode)) > 1:
        return f"rules of mode {golden.mode} are not read back; svcnet diff compares two states"
    facts = Facts.of(golden.settings)
    try:
        old, new = (
            read_dump([each]).rules(golden.mode, golden.settings.family, facts)
            for each in ((str(golden.file), expected), ("rendered", golden.text))
        )
    except UsageError as error:
        return f"cannot be told, {error}"
    found = rules_diff(old, new)
    return f"{'changed' if found else 'the same'}: {summary(found)}"
