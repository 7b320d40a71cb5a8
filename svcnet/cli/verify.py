"""``svcnet verify``: whether the rules of a machine mean what objects say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import family_option, input_options
from svcnet.cli.comparison import compare
from svcnet.cli.dump import rules_options
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import write_output
from svcnet.errors import UsageError

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.meaning import Verdicts

MOST_SHOWN = 100
"""Differences that are told one by one."""


@click.command("verify", cls=ModalCommand)
@input_options
@family_option
@rules_options("Compare with")
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
def command(
    families: tuple[IPFamily, ...],
    live: bool,
    files: tuple[Path, ...],
    output: str,
    **options: Any,
) -> None:
    """Compare the rules that a machine has with the manifests in PATH, for every packet.

    Whoever wrote the rules: kube-proxy, svcnet or people. Exit code 0 says that every packet ends
    as the objects say, with the same chances, 1 that some do not. Rules that are not understood
    are told if it depends on them what becomes of a Service's packets; with --strict that is a
    difference.
    """
    if live == bool(files):
        raise UsageError(
            "say where rules are: --live, or --rules with what iptables-save or nft printed"
        )
    found = compare(files, families, options).verdicts
    if output == "json":
        document = {"families": [each.to_dict() for each in found]}
        write_output(json.dumps(document, indent=2, ensure_ascii=False) + "\n", None)
    else:
        write_output("".join(_lines(found)), None)
    wrong = any(each.differences for each in found)
    unsure = any(each.unknown for each in found)
    sys.exit(1 if wrong or (unsure and options["strict"].errors) else 0)


def _lines(found: Iterable[Verdicts]) -> Iterator[str]:
    from svcnet.meaning.comparison.report import told

    for verdicts in found:
        yield from told(verdicts, MOST_SHOWN)
