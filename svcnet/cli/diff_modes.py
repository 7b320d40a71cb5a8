"""``svcnet diff --to-mode``: what differs between two modes of the same objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from svcnet.cli.manner import stage
from svcnet.errors import UsageError
from svcnet.inputs import InputRequest, read_located
from svcnet.inputs.questions import question_of

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.meaning import MeaningDiff


def modes_diffs(
    to_mode: str, families: Sequence[IPFamily], options: dict[str, Any]
) -> Iterator[MeaningDiff]:
    """Yield what differs between two modes of the same objects, for each IP family."""
    from svcnet.meaning.comparison.known import modes_diff
    from svcnet.modes import resolve

    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**options))
    other = inputs.in_mode(resolve(to_mode))
    if other.mode.name == inputs.mode.name:
        raise UsageError(f"both modes are {to_mode}: say --mode and another one with --to-mode")
    for family in inputs.families(families):
        word = family.lower()
        yield modes_diff(question_of(inputs, loaded, word), question_of(other, loaded, word))
