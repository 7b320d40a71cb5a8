"""``svcnet apply``: the rules onto this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import FAMILIES, Inputs, input_options, read_inputs

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant
    from svcnet.models import Host


@click.command("apply")
@input_options
@click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6", "both"]),
    help="That of the Node by default.",
)
@click.option(
    "--variant",
    type=click.Choice(["nft", "legacy"]),
    help="The variant of iptables; by default the one in use.",
)
@click.option("--dry-run", is_flag=True, help="Print the restore text and change nothing.")
def command(family: str | None, variant: Variant | None, dry_run: bool, **options: Any) -> None:
    """Bring this machine's rules to what the manifests in PATH ask for (root).

    Only what differs is written. Rules that are not svcnet's are left alone, and when
    the kernel refuses something, what was there before stays.
    """
    inputs = read_inputs(**options, default_host=_probe)
    for one in list(FAMILIES) if family == "both" else [family]:
        _apply(inputs, one, variant, dry_run)


def _probe() -> Host:
    from svcnet.executors.probe import probe

    return probe()


def _apply(inputs: Inputs, family: str | None, variant: Variant | None, dry_run: bool) -> None:
    from svcnet.compiler import compile_state
    from svcnet.executors.iptables import apply
    from svcnet.renderers.iptables import full

    artifact = full(compile_state(inputs.state, inputs.view(family)))
    report = apply(artifact, variant=variant, dry_run=dry_run)
    if dry_run:
        click.echo(report.plan.text, nl=False)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(str(report), err=True)
