"""The manual page, which a source distribution has: made of what each verb says of itself."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
PAGE = "man/svcnet.1"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the manual page to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page to a place of its own, and have it taken from there."""
        self._place = TemporaryDirectory()
        made = Path(self._place.name) / "svcnet.1"
        made.write_text(manual(), "utf-8")
        build_data["force_include"][str(made)] = PAGE

    def finalize(
        self,
        version: str,
        build_data: dict[str, Any],
        artifact_path: str,
    ) -> None:
        """Remove that place."""
        self._place.cleanup()


def manual() -> str:
    """Return the page, in the macros of man(7)."""
    sys.path.insert(0, str(ROOT))
    from svcnet import __version__

    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    [date] = re.findall(r"^## .*\((\d{4}-\d\d-\d\d)\)", changes, re.MULTILINE)[:1] or ["unreleased"]
    head = f'.TH SVCNET 1 "{date}" "svcnet {__version__}" "User Commands"\n'
    return head + "".join(f"{line}\n" for line in _sections())


def _sections() -> Iterator[str]:
    import click

    from svcnet.cli import main
    from svcnet.cli.verb import Verb

    context = click.Context(main, info_name="svcnet", **main.context_settings)
    yield ".SH NAME"
    yield r"svcnet \- what a Kubernetes Service does to a node"
    yield ".SH SYNOPSIS"
    yield r"\fBsvcnet\fR \fIVERB\fR [\fIOPTION\fR]... [\fIPATH\fR]..."
    yield ".SH DESCRIPTION"
    yield from _paragraphs(main.help)
    yield ".SH OPTIONS OF EVERY VERB"
    yield from _options(main.get_params(context), context)
    yield ".SH VERBS"
    for path in main.paths(context):
        command, inner = main, context
        for name in path.split():
            found = command.get_command(inner, name)
            assert found is not None
            inner = click.Context(found, info_name=name, parent=inner)
            command = found  # type: ignore[assignment]
        if not isinstance(command, Verb):
            continue
        yield f".SS svcnet {path}"
        yield f"{_text(' '.join(inner.command.collect_usage_pieces(inner)))}"
        yield ".PP"
        yield from _paragraphs(command.help)
        common = {id(each) for each in command.manner} | {id(command.get_help_option(inner))}
        yield from _options([o for o in command.get_params(inner) if id(o) not in common], inner)
        for what, line in command.examples:
            yield ".PP"
            yield from _lines(f"{what}:")
            yield ".PP"
            yield ".nf"
            yield f"    {_text(line)}"
            yield ".fi"
    yield ".SH ENVIRONMENT"
    for name, told in (
        ("NO_COLOR", "Set to anything, it takes colours away, unless --color says otherwise."),
        ("KUBECONFIG", "The kubeconfig files of --kubernetes, as kubectl has it."),
    ):
        yield ".TP"
        yield rf"\fB{name}\fR"
        yield from _lines(told)
    yield ".SH SEE ALSO"
    yield r"\fBiptables\fR(8), \fBipvsadm\fR(8), \fBnft\fR(8), \fBconntrack\fR(8)"


def _options(parameters: list[Any], context: Any) -> Iterator[str]:
    import click

    for each in parameters:
        record = each.get_help_record(context) if isinstance(each, click.Option) else None
        if record is not None:
            yield ".TP"
            yield rf"\fB{_text(record[0])}\fR"
            yield from _lines(record[1])


def _paragraphs(text: str | None) -> Iterator[str]:
    for number, each in enumerate(re.split(r"\n\s*\n", (text or "").strip())):
        if number:
            yield ".PP"
        yield from _lines(each)


def _lines(text: str) -> Iterator[str]:
    """Yield a paragraph in lines that are short as they stand in the file, too."""
    yield from map(_text, textwrap.wrap(" ".join(text.split()), 72) or [""])


def _text(text: str) -> str:
    """Return text so that nothing in it is taken for markup."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("\b", "")
    return rf"\&{text}" if text.startswith((".", "'")) else text
