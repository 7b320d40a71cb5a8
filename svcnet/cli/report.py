"""``svcnet report``: a page that shows what becomes of packets for Services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import family_option, input_options
from svcnet.cli.comparison import MachineComparison, compare
from svcnet.cli.dump import rules_options
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import file_option, write_output
from svcnet.errors import UsageError
from svcnet.inputs import InputRequest, read_located
from svcnet.inputs.questions import question_of

if TYPE_CHECKING:
    from svcnet.errors import Diagnostic
    from svcnet.family import IPFamily


@click.command(
    "report",
    cls=ModalCommand,
    examples=[
        ("A page for a browser", "svcnet report --to report.html examples/my-service"),
    ],
)
@input_options
@family_option
@rules_options("Show differences from")
@file_option
def command(
    families: tuple[IPFamily, ...],
    live: bool,
    files: tuple[Path, ...],
    to: Path | None,
    **options: Any,
) -> None:
    """Write a page that shows what becomes of packets for the Services in PATH, and why.

    It is one file of HTML, for a browser, which needs no network and no server. PATH is a file, a
    folder, or - for standard input, which is also the default. What is wrong comes first; for each
    Service there is a picture from who sends through decisions to endpoints. With --rules or --live
    the page shows in what the rules of a machine are not what the objects say, as verify tells it.
    """
    from svcnet.page.html import page
    from svcnet.page.site import content

    if live and files:
        raise UsageError("--live and --rules are two places of rules: say one")
    findings: list[Diagnostic] = []
    options["strict"] = evolve(options["strict"], note=findings.append)
    if live or files:
        found = compare(files, families, options)
    else:
        with stage("reading"):
            found = MachineComparison(*read_located(InputRequest(**options)), ())
    questions = [
        question_of(found.inputs, found.loaded, family.lower())
        for family in found.inputs.families(families)
    ]
    with stage("drawing"):
        text = page(content(questions, findings, found.verdicts))
    write_output(text, to)
