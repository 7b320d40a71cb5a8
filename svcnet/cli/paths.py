"""The type of options that name a file or a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FilePath(click.Path):
    """A name as a Path. An empty one, as of a script's variable without a value, is an error."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not os.fspath(value):
            self.fail("the name is empty", param, ctx)
        return super().convert(value, param, ctx)


def complete_files(
    context: click.Context,  # noqa: ARG001
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Have the shell complete the names of files and folders, for a PATH, which may be ``-``."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
