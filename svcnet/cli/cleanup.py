"""``svcnet cleanup``: the rules off this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from svcnet.cli.common import FAMILIES, machine_lock, wait_option

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
    removes nothing.
    """
    from svcnet.executors import iptables, ipvs, userspace

    families = [FAMILIES[family]] if family in FAMILIES else list(FAMILIES.values())
    with machine_lock(families, wait=wait):
        for one in families:
            for line in (
                *userspace.remove(one, variant),
                *ipvs.cleanup(one),
                *iptables.cleanup(one, variant),
            ):
                click.echo(line, err=True)
