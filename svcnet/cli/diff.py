"""``svcnet diff``: what a change does to packets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import family_option, input_options, refuse_input_twice
from svcnet.cli.diff_modes import modes_diffs
from svcnet.cli.diff_rules import rules_diffs
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand, ModeName
from svcnet.cli.output import form_option, write_output
from svcnet.cli.paths import FilePath
from svcnet.errors import AbsentError, UsageError
from svcnet.inputs import InputRequest, load_manifests, read_located

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.inputs import Inputs
    from svcnet.meaning import MeaningDiff
    from svcnet.sources import LoadResult

MOST_SHOWN = 100
"""Frontends that are told one by one."""


@click.command(
    "diff",
    cls=ModalCommand,
    examples=[
        (
            "What a change does, for people",
            "svcnet diff examples/my-service examples/from-pods",
        ),
        (
            "As a comment on a change request",
            "svcnet diff --output markdown examples/my-service examples/from-pods",
        ),
        (
            "What the move to mode nftables changes",
            "svcnet diff --mode iptables --to-mode nftables examples/my-service",
        ),
    ],
)
@input_options
@family_option
@form_option(
    "text",
    "json",
    "markdown",
    default="text",
    meaning="For people, for programs, or for a comment on a change request.",
)
@click.option(
    "--to-mode",
    type=ModeName(),
    metavar="MODE",
    help="Compare --mode with this mode, for the same objects in PATH.",
)
@click.option(
    "--to-layout",
    type=click.Choice(["kube-proxy", "flat"]),
    help="Compare --layout with this layout, of --to-mode or else of the same mode.",
)
@click.option(
    "--rules",
    "pairs",
    type=FilePath(),
    nargs=2,
    multiple=True,
    metavar="OLD NEW",
    help="Compare rules: what iptables-save, ip6tables-save, nft list ruleset, ipvsadm -Sn, ipset "
    "save and ip -j addr printed, or what restores them. May be given several times.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 also where something differs.")
def command(
    families: tuple[IPFamily, ...],
    output: str,
    to_mode: str | None,
    to_layout: str | None,
    pairs: tuple[tuple[Path, Path], ...],
    exit_zero: bool,
    **options: Any,
) -> None:
    """Say what becomes otherwise of packets from OLD to NEW, two PATHs of objects.

    For each frontend that came, went or changed, and each kind of source, it tells where packets
    go before and after, with the chances. All packets are compared: exit code 0 says that none
    ends otherwise, 1 that some do. With --to-mode or --to-layout PATHs are the objects of one
    state, for two modes or layouts; with --rules there are none, and OLD and NEW are what tools
    printed.
    """
    if pairs and to_layout is not None:
        raise UsageError("--to-layout is for objects; --rules compares what is there")
    if pairs:
        found = list(rules_diffs(pairs, families, to_mode, options))
    elif to_mode is not None or to_layout is not None:
        found = list(modes_diffs(to_mode, to_layout, families, options))
    else:
        found = list(_of_objects(families, options))
    if output == "json":
        document = {"families": [each.to_dict() for each in found]}
        write_output(json.dumps(document, indent=2, ensure_ascii=False) + "\n", None)
    else:
        write_output("".join(_lines(found, output)), None)
    unsure = any(each.unknown for each in found) and options["strict"].errors
    sys.exit(1 if (any(found) or unsure) and not exit_zero else 0)


def _lines(found: Sequence[MeaningDiff], output: str) -> Iterator[str]:
    from svcnet.meaning.comparison.change_text import markdown, write_lines

    if output == "markdown":
        yield from markdown(found, MOST_SHOWN)
        return
    for each in found:
        yield from write_lines(each, MOST_SHOWN)


def _of_objects(families: Sequence[IPFamily], options: dict[str, Any]) -> Iterator[MeaningDiff]:
    """Yield what differs between the objects of two paths, for each IP family."""
    from svcnet.compiler import compile_state
    from svcnet.meaning.comparison.diff import graphs_diff

    paths = options.pop("paths")
    if len(paths) != 2:
        raise UsageError("say two paths of objects: OLD and NEW")
    refuse_input_twice((paths[0],), (paths[1],))
    inputs, old, new = _read(paths[0], paths[1], options)
    before = _before(inputs, old, paths[0])
    written, given = inputs.mode.forms["text"], inputs.settings.given

    def write(graph: Any) -> str:
        return written.full(inputs.mode.full(graph, inputs.settings), given).text

    for family in _families(inputs, before, families):
        word = family.lower()
        with stage("compiling"):
            graphs = (
                compile_state(before.state, before.view(word)),
                compile_state(inputs.state, inputs.view(word)),
            )
        with stage("comparing"):
            found = graphs_diff(*graphs, inputs.mode.name, (old.places, new.places), write)
        yield found


def _read(old: str, new: str, options: dict[str, Any]) -> tuple[Inputs, LoadResult, LoadResult]:
    """Read both paths; the rest of the input is for both."""
    given = (options["strict"], options["from_pods"], options["ip_families"])
    with stage("reading"):
        before = load_manifests((old,), *given, assume=options["assume"], scope=options["scope"])
        inputs, after = read_located(InputRequest(paths=(new,), **options))
    return inputs, before, after


def _before(inputs: Inputs, old: LoadResult, path: str) -> Inputs:
    """Return what the same node had of the old objects."""
    node = inputs.node_name
    if old.state.nodes and node and node not in old.state.nodes:
        raise AbsentError(f"{path}: has no Node {node!r}")
    return evolve(inputs, state=old.state, node=node)


def _families(inputs: Inputs, before: Inputs, asked: Sequence[IPFamily]) -> Sequence[IPFamily]:
    return list(dict.fromkeys([*inputs.families(asked), *before.families(asked)]))
