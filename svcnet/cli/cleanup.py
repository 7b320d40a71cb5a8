"""``svcnet cleanup``: the rules off this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from svcnet import modes
from svcnet.cli.common import named_families, wait_option
from svcnet.cli.lock import machine_lock
from svcnet.cli.modal import tell_unusable
from svcnet.modes.options import VARIANT

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant


@click.command("cleanup")
@click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6", "both"]),
    default="both",
    show_default=True,
)
@click.option(
    "--variant",
    type=click.Choice(["nft", "legacy"]),
    help="The variant of iptables; by default both.",
)
@wait_option
def command(family: str, variant: Variant | None, wait: bool) -> None:
    """Remove all that svcnet made in any mode, and nothing else (root).

    Kernel settings stay. The chains have kube-proxy's names: on a node where kube-proxy
    runs in iptables mode its rules would go too. Where svcnet run keeps the rules it says so and
    removes nothing. What the machine refuses to remove is told, and all else is removed.
    """
    from svcnet.executors.attempts import attempt_all

    found = modes.found()
    tell_unusable(found)
    families = named_families(family)
    with machine_lock(families, wait=wait):
        given, known = {VARIANT.name: variant}, found.modes.values()
        parts = (part for one in families for part in modes.cleanup_parts(known, one, given))
        for line in attempt_all(parts):
            click.echo(line, err=True)
