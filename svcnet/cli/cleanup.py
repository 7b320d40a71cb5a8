"""``svcnet cleanup``: the rules off this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from svcnet.cli.common import FAMILIES

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
def command(family: str, variant: Variant | None) -> None:
    """Remove all that svcnet made in any mode, and nothing else (root).

    Kernel settings stay. The chains have kube-proxy's names: on a node where kube-proxy
    runs in iptables mode its rules would go too.
    """
    from svcnet.executors import iptables, ipvs, userspace

    for one in [FAMILIES[family]] if family in FAMILIES else FAMILIES.values():
        for line in (
            *userspace.remove(one, variant),
            *ipvs.cleanup(one),
            *iptables.cleanup(one, variant),
        ):
            click.echo(line, err=True)
