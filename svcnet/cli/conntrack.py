"""``svcnet conntrack``: UDP entries of connection tracking that lead to no endpoint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import click

from svcnet.cli.common import allow_empty_option, family_option, input_options, wait_option
from svcnet.cli.lock import machine_lock
from svcnet.cli.manner import stage, tell
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import form_option
from svcnet.errors import UsageError
from svcnet.inputs import InputRequest, probe_host, read_inputs

if TYPE_CHECKING:
    from svcnet.models import IPFamily


@click.command(
    "conntrack",
    cls=ModalCommand,
    short_help="Delete UDP entries that lead to no endpoint any more (root).",
    examples=[("What would be deleted", "sudo svcnet conntrack --output plan examples/my-service")],
)
@input_options
@allow_empty_option
@family_option
@form_option(
    "plan",
    default=None,
    meaning="Print what would be deleted, as commands of conntrack-tools, and delete nothing.",
)
@wait_option
def command(
    families: tuple[IPFamily, ...], output: Literal["plan"] | None, wait: bool, **options: Any
) -> None:
    """Delete the UDP entries of this machine that lead to no endpoint of PATH any more (root).

    The rules for PATH must be there already: svcnet apply and svcnet run do both.
    """
    from svcnet.compiler import compile_state
    from svcnet.executors import conntrack
    from svcnet.executors.this_machine import THIS_MACHINE
    from svcnet.renderers.conntrack import plan

    with stage("reading"):
        inputs = read_inputs(
            InputRequest(**options, default_host=partial(probe_host, THIS_MACHINE))
        )
    if inputs.mode.serves:
        raise UsageError(
            f"in mode {inputs.mode.name} entries lead to the proxy, which moves flows itself"
        )
    views = inputs.views(families)
    locked = () if output == "plan" else (view.family for view in views)
    with machine_lock(locked, wait=wait):
        for view in views:
            flows = conntrack.observe(view.family, machine=THIS_MACHINE)
            planned = plan(flows, compile_state(inputs.state, view))
            if output == "plan":
                click.echo(str(planned), nl=False)
                continue
            report = conntrack.delete(planned, machine=THIS_MACHINE)
            tell(f"{view.family}: {report}")
