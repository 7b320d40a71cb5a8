"""``svcnet conntrack``: UDP entries of connection tracking that lead to no endpoint."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

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
from svcnet.errors import UsageError
from svcnet.executors.rights import require_rights
from svcnet.inputs import InputRequest, probe_host, read_inputs

if TYPE_CHECKING:
    from svcnet.models import IPFamily


@click.command(
    "conntrack",
    cls=ModalCommand,
    examples=[
        ("Those there are", "sudo svcnet conntrack examples/my-service"),
        ("None any more", "sudo svcnet conntrack --delete examples/my-service"),
    ],
)
@machine_input_options
@allow_empty_option
@family_option
@click.option("--delete", is_flag=True, help="Delete them; without it they are only printed.")
@dry_run_option("what --delete would delete, as without it")
@wait_option
def command(
    families: tuple[IPFamily, ...], delete: bool, dry_run: bool, wait: bool, **options: Any
) -> None:
    """Print the UDP entries of this machine that lead to no endpoint of PATH any more (root).

    They are printed as the commands of conntrack-tools that would delete them. The rules for PATH
    must be there already: svcnet apply and svcnet run do both. Exit codes: 0 there are none, or
    they are deleted, 1 there are some, 2 the input is wrong, 3 the machine refused.
    """
    from svcnet.compiler import compile_state
    from svcnet.executors import conntrack
    from svcnet.executors.this_machine import THIS_MACHINE
    from svcnet.renderers.conntrack import plan

    require_rights(
        "conntrack",
        THIS_MACHINE,
        "svcnet verify --also conntrack --rules FILE reads what conntrack -L printed",
    )
    with stage("reading"):
        inputs = read_inputs(
            InputRequest(**options, default_host=partial(probe_host, THIS_MACHINE))
        )
    if inputs.mode.serves:
        raise UsageError(
            f"in mode {inputs.mode.name} entries lead to the proxy, which moves flows itself"
        )
    deletes = delete and not dry_run
    views = inputs.views(families)
    stay = False
    with machine_lock((view.family for view in views) if deletes else (), wait=wait):
        for view in views:
            flows = conntrack.observe(view.family, machine=THIS_MACHINE)
            planned = plan(flows, compile_state(inputs.state, view))
            if deletes:
                report = conntrack.delete(planned, machine=THIS_MACHINE)
                tell(f"{view.family}: {report}")
            else:
                click.echo(str(planned), nl=False)
                stay |= bool(planned)
    if stay:
        sys.exit(1)
