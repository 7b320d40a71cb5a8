"""``svcnet apply``: the rules onto this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import click

from svcnet import checks
from svcnet.checks import Check
from svcnet.cli.common import (
    allow_empty_option,
    fallback_option,
    input_options,
    machine_lock,
    machine_options,
    wait_option,
)
from svcnet.cli.families import served_families
from svcnet.errors import ApplyError, UsageError
from svcnet.inputs import Strictness, probe_host, read_inputs

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant
    from svcnet.graph import RuleGraph


@click.command("apply")
@input_options
@allow_empty_option
@machine_options
@click.option(
    "--drain",
    type=click.IntRange(min=0, max=86400),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="How long a removed TCP endpoint keeps its connections (ipvs).",
)
@fallback_option
@wait_option
@click.option("--dry-run", is_flag=True, help="Print what would be done and change nothing.")
def command(
    family: str | None,
    variant: Variant | None,
    drain: int,
    fallback: str | None,
    wait: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Bring this machine's rules to what the manifests in PATH ask for (root).

    Only what differs is written. What svcnet did not make is left alone, and when the
    kernel refuses something, what is served already goes on being served. Where another svcnet
    is at work, or svcnet run keeps the rules, it says so and changes nothing.
    """
    from svcnet.compiler import compile_state
    from svcnet.executors.attempts import joined

    inputs = read_inputs(**options, default_host=probe_host)
    if inputs.mode == "userspace":
        raise UsageError(
            "mode userspace is a proxy that has to go on running: svcnet run --mode userspace"
        )
    strict: Strictness = options["strict"]
    families = served_families(inputs, family, partial(_warn, strict))
    views = [inputs.view(each.lower()) for each in families]
    refused: list[ApplyError] = []
    with machine_lock(() if dry_run else families, wait=wait):
        for view in views:
            graph = compile_state(inputs.state, view)
            if inputs.mode == "ipvs":
                refused += _ipvs(graph, variant, drain, fallback, dry_run, strict)
            else:
                _iptables(graph, variant, dry_run, strict)
            if not dry_run:
                _delete_stale_flows(graph, strict)
    if refused:
        raise joined(refused)


def _warn(strict: Strictness, check: Check, text: str) -> None:
    strict.remark(check, f"warning: {text}")


def _delete_stale_flows(graph: RuleGraph, strict: Strictness) -> None:
    """Delete UDP entries of connection tracking that lead to no endpoint; rules come first."""
    from svcnet.reconciler import StaleFlows

    try:
        text = StaleFlows().clean(graph)
    except ApplyError as error:
        strict.remark(checks.MACHINE_STATE, f"warning: {error}")
        return
    if text:
        click.echo(f"{graph.settings.family}: {text}", err=True)


def _iptables(graph: RuleGraph, variant: Variant | None, dry_run: bool, strict: Strictness) -> None:
    from svcnet.executors.iptables import apply
    from svcnet.renderers.iptables import full

    _tell(apply(full(graph), variant=variant, dry_run=dry_run), dry_run, strict)


def _ipvs(
    graph: RuleGraph,
    variant: Variant | None,
    drain: int,
    fallback: str | None,
    dry_run: bool,
    strict: Strictness,
) -> Iterator[ApplyError]:
    """Apply one family; yield what the machine refused while all else was done."""
    from svcnet.executors.ipvs import Incomplete, MissingModules, apply
    from svcnet.renderers.ipvs import full

    try:
        _tell(apply(full(graph), variant=variant, drain=drain, dry_run=dry_run), dry_run, strict)
    except MissingModules as error:
        if fallback is None:
            raise
        lacks = ", ".join(error.modules)
        lack = f"warning: the kernel lacks {lacks}: applying iptables mode instead"
        strict.remark(checks.MACHINE_STATE, lack)
        _iptables(graph, variant, dry_run, strict)
    except Incomplete as error:
        _tell(error.report, dry_run, strict)
        yield error


class _Plan(Protocol):
    @property
    def text(self) -> str: ...


class _Report(Protocol):
    @property
    def plan(self) -> _Plan: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...


def _tell(report: _Report, dry_run: bool, strict: Strictness) -> None:
    if dry_run:
        click.echo(report.plan.text, nl=False)
    for warning in report.warnings:
        strict.pass_on(f"warning: {warning}")
    click.echo(str(report), err=True)
