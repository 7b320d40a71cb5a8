"""``svcnet apply``: the rules onto this machine."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from svcnet import checks, modes
from svcnet.checks import Check
from svcnet.cli.common import (
    allow_empty_option,
    dry_run_option,
    family_option,
    machine_input_options,
    wait_option,
)
from svcnet.cli.lock import machine_lock
from svcnet.cli.manner import stage, tell
from svcnet.cli.modal import ModalCommand
from svcnet.errors import ApplyError, Incomplete, Lacking, UsageError
from svcnet.executors.rights import require_rights
from svcnet.inputs import InputRequest, Inputs, Strictness, probe_host, read_inputs
from svcnet.inputs.families import served_families
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.graph import RuleGraph
    from svcnet.models import IPFamily
    from svcnet.modes import Executor, Report


@click.command(
    "apply",
    cls=ModalCommand,
    examples=[
        (
            "What would change on this machine, which is left as it is",
            "sudo svcnet apply --dry-run examples/my-service",
        ),
        ("The rules onto this machine", "sudo svcnet apply examples/my-service"),
        (
            "The same in mode nftables",
            "sudo svcnet apply --mode nftables examples/my-service",
        ),
    ],
)
@machine_input_options
@allow_empty_option
@family_option
@wait_option
@dry_run_option("what would be done to rules")
def command(families: tuple[IPFamily, ...], wait: bool, dry_run: bool, **options: Any) -> None:
    """Bring this machine's rules to what the manifests in PATH ask for (root).

    Only what differs is written, and what another mode left goes once this one serves. What svcnet
    did not make is left alone, and when the kernel refuses something, what is served already goes
    on being served. Where another svcnet
    is at work, or svcnet run keeps the rules, it says so and changes nothing. Exit codes: 0 done,
    with --dry-run: nothing to do, 1 with --dry-run: something, 2 the input is wrong, 3 the machine
    refused.
    """
    from svcnet.executors.attempts import join_errors
    from svcnet.executors.this_machine import THIS_MACHINE

    require_rights("apply", THIS_MACHINE, "svcnet render prints the rules without it")
    with stage("reading"):
        inputs = read_inputs(
            InputRequest(**options, default_host=partial(probe_host, THIS_MACHINE))
        )
    if inputs.mode.serves:
        name = inputs.mode.name
        raise UsageError(
            f"mode {name} is a proxy that has to go on running: svcnet run --mode {name}"
        )
    strict: Strictness = options["strict"]
    served = served_families(inputs, families, partial(_warn, strict), machine=THIS_MACHINE)
    views = inputs.views(served)
    refused: list[ApplyError] = []
    would_change = False
    with machine_lock(() if dry_run else served, wait=wait):
        for view in views:
            executor, graph, report = _apply_family(inputs, view, refused, strict, dry_run=dry_run)
            _tell(report, strict, dry_run=dry_run)
            if dry_run:
                would_change |= bool(report.plan.text) | bool(_stale_flows(graph))
            else:
                if not refused:
                    _remove_leftovers(executor, view.family, report, strict)
                _delete_stale_flows(graph, strict)
    if refused:
        raise join_errors(refused)
    if would_change:
        sys.exit(1)


def _warn(strict: Strictness, check: Check, text: str) -> None:
    strict.remark(check, f"warning: {text}")


def _remove_leftovers(
    executor: Executor[Any], family: IPFamily, report: Report, strict: Strictness
) -> None:
    """Remove what another mode left, now that this one serves."""
    from svcnet.reconciler import remove_leftovers

    try:
        lines = remove_leftovers(executor, family, getattr(report, "found", None))
    except ApplyError as error:
        told = f"warning: what another mode may have left stays: {error}"
        strict.remark(checks.MACHINE_STATE, told)
        return
    for line in lines:
        tell(f"{family}, what another mode left: {line}")


def _stale_flows(graph: RuleGraph) -> int:
    """Tell of UDP entries of connection tracking that apply would delete; return how many."""
    from svcnet.executors import conntrack
    from svcnet.executors.this_machine import THIS_MACHINE
    from svcnet.renderers.conntrack import plan

    family = graph.settings.family
    try:
        count = len(plan(conntrack.observe(family, machine=THIS_MACHINE), graph).flows)
    except ApplyError:
        return 0  # an apply only warns of it
    if count:
        entries = count_noun(count, "conntrack entry")
        tell(f"{family}: {entries} would be deleted; svcnet conntrack lists them")
    return count


def _delete_stale_flows(graph: RuleGraph, strict: Strictness) -> None:
    """Delete UDP entries of connection tracking that lead to no endpoint; rules come first."""
    from svcnet.executors.this_machine import THIS_MACHINE
    from svcnet.reconciler import StaleFlows

    try:
        report = StaleFlows(THIS_MACHINE).clean(graph)
    except ApplyError as error:
        strict.remark(checks.MACHINE_STATE, f"warning: {error}")
        return
    if report is not None and report.deleted:
        tell(f"{graph.settings.family}: {report}")


def _apply_family(
    inputs: Inputs,
    view: NodeView,
    refused: list[ApplyError],
    strict: Strictness,
    *,
    dry_run: bool,
) -> tuple[Executor[Any], RuleGraph, Report]:
    """Apply one family, in another mode if the machine lacks what this one needs and that is asked.

    A mode says by an option ``fallback`` of its own that there may be another. Returns what
    did it, its graph, and what was done; where that is not all, `refused` gets why.
    """
    from svcnet.compiler import compile_state
    from svcnet.executors.this_machine import THIS_MACHINE

    mode = inputs.mode
    settings = mode.settle(inputs.settings, THIS_MACHINE)
    with stage("compiling"):
        graph = compile_state(inputs.state, view)
    executor, artifact = mode.executor(settings=settings), mode.full(graph, settings)
    try:
        with stage("planning" if dry_run else "applying"):
            return executor, graph, executor.plan(artifact) if dry_run else executor.apply(artifact)
    except Incomplete as error:
        refused.append(error)
        return executor, graph, cast("Report", error.report)
    except Lacking as error:
        other = settings.fallback
        if other is None:
            raise
        lacks = ", ".join(error.lacks)
        lack = f"the kernel lacks {lacks}: applying {other} mode instead"
        _warn(strict, checks.MACHINE_STATE, lack)
        inputs = inputs.in_mode(modes.get(other))
        return _apply_family(
            inputs, inputs.view(view.family.lower()), refused, strict, dry_run=dry_run
        )


def _tell(report: Report, strict: Strictness, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(report.plan.text, nl=False)
    for warning in report.warnings:
        strict.pass_on(f"warning: {warning}")
    tell(str(report))
