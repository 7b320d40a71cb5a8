"""``svcnet diff --to-mode``: what differs between two modes, or layouts, of the same objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from svcnet.cli.manner import stage
from svcnet.errors import UsageError
from svcnet.inputs import InputRequest, read_located
from svcnet.inputs.questions import question_of
from svcnet.modes.options import LAYOUT_NAME

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.inputs import Inputs
    from svcnet.meaning import MeaningDiff


def modes_diffs(
    to_mode: str | None,
    to_layout: str | None,
    families: Sequence[IPFamily],
    options: dict[str, Any],
) -> Iterator[MeaningDiff]:
    """Yield what differs between two modes of the same objects, for each IP family.

    What is not said of the other side, mode or layout, is as on this one.
    """
    from svcnet.meaning.comparison.known import modes_diff

    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**options))
    other = _other(inputs, to_mode, to_layout)
    for family in inputs.families(families):
        word = family.lower()
        yield modes_diff(question_of(inputs, loaded, word), question_of(other, loaded, word))


def _other(inputs: Inputs, to_mode: str | None, to_layout: str | None) -> Inputs:
    """Return the input for the other side. Raises UsageError where both would be the same."""
    from svcnet.modes import resolve

    mode = inputs.mode if to_mode is None else resolve(to_mode)
    if to_layout is None:
        other = inputs.in_mode(mode)
    elif not any(option.name == LAYOUT_NAME for option in mode.options):
        raise UsageError(f"--to-layout {to_layout}: mode {mode.name} has one layout")
    else:
        other = evolve(inputs, given={**inputs.given, LAYOUT_NAME: to_layout}).in_mode(mode)
    if (mode.name, _is_flat(other)) == (inputs.mode.name, _is_flat(inputs)):
        if to_layout is not None:
            raise UsageError(
                f"both layouts are {to_layout}: say --layout and another one with --to-layout"
            )
        raise UsageError(f"both modes are {to_mode}: say --mode and another one with --to-mode")
    return other


def _is_flat(inputs: Inputs) -> bool:
    return inputs.settings.given.get(LAYOUT_NAME) == "flat"
