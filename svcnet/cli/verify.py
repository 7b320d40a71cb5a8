"""``svcnet verify``: whether the rules of a machine mean what objects say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import family_option, input_options
from svcnet.cli.dump import given_dump, live_dump, rules_options
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import write_output
from svcnet.errors import UsageError
from svcnet.executors.this_machine import THIS_MACHINE
from svcnet.inputs import InputRequest, probe_host, read_located
from svcnet.modes.options import listed

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.inputs import Inputs
    from svcnet.meaning import Verdicts
    from svcnet.meaning.dump import MachineDump
    from svcnet.sources import Loaded

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
    from svcnet.meaning.dump import LANGUAGES

    if live == bool(files):
        raise UsageError(
            "say where rules are: --live, or --rules with what iptables-save or nft printed"
        )
    dump = given_dump(files) if files else None
    default_host = None if files else partial(probe_host, THIS_MACHINE)
    if dump is not None and options["mode"] is None:
        options["mode"] = dump.mode
    inputs, loaded = read_located(InputRequest(**options, default_host=default_host))
    if inputs.mode.name not in LANGUAGES:
        names = listed(LANGUAGES)
        raise UsageError(f"rules of modes {names} can be compared, not of mode {inputs.mode.name}")
    if dump is None:
        variant = inputs.settings.given.get("variant")
        dump = live_dump(inputs.mode.name, variant, inputs.families(families))
    elif dump.addresses is not None and inputs.host.addresses is None:
        inputs = evolve(inputs, host=evolve(inputs.host, addresses=dump.addresses))
    found = list(_compared(inputs, loaded, dump, families))
    if output == "json":
        document = {"families": [each.to_dict() for each in found]}
        write_output(json.dumps(document, indent=2, ensure_ascii=False) + "\n", None)
    else:
        write_output("".join(_lines(found)), None)
    wrong = any(each.differences for each in found)
    unsure = any(each.unknown for each in found)
    sys.exit(1 if wrong or (unsure and options["strict"].errors) else 0)


def _compared(
    inputs: Inputs, loaded: Loaded, dump: MachineDump, families: Sequence[IPFamily]
) -> Iterator[Verdicts]:
    """Yield what the comparison comes to for each family that there are rules of."""
    from svcnet.compiler import compile_state
    from svcnet.meaning import Facts, verify

    mode = inputs.mode.name
    there = dump.families(mode)
    wanted = [each for each in inputs.families(families) if each in there]
    if families and len(wanted) < len(families):
        missing = [each for each in families if each not in wanted]
        raise UsageError(f"no file has rules of {listed(missing)} and mode {mode}")
    if not wanted:
        raise UsageError(
            f"there are no rules of mode {mode} for {listed(inputs.families(families))}; "
            "--mode and --family say what to compare"
        )
    for family in wanted:
        graph = compile_state(inputs.state, inputs.view(family.lower()))
        facts = Facts.of(graph.settings)
        yield verify(graph, dump.rules(mode, family, facts), loaded.places)


def _lines(found: Iterable[Verdicts]) -> Iterator[str]:
    from svcnet.meaning.comparison.report import told

    for verdicts in found:
        yield from told(verdicts, MOST_SHOWN)
