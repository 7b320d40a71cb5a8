"""``svcnet cleanup``: the rules off this machine."""

from __future__ import annotations

from typing import Any

import click

from svcnet import modes
from svcnet.cli.common import named_families, wait_option
from svcnet.cli.lock import machine_lock
from svcnet.cli.manner import tell
from svcnet.cli.modal import ModalCommand


class _CleanupCommand(ModalCommand):
    """A command that has to do with every mode, also those of other packages."""

    knows_all = True


@click.command(
    "cleanup",
    cls=_CleanupCommand,
    short_help="Remove all that svcnet made on this machine (root).",
    examples=[
        ("All of it, in every mode", "sudo svcnet cleanup"),
        ("Only what is IPv6's", "sudo svcnet cleanup --family ipv6"),
    ],
)
@click.option(
    "--family",
    type=click.Choice(["ipv4", "ipv6", "both"]),
    default="both",
    show_default=True,
)
@wait_option
def command(family: str, wait: bool, given: dict[str, Any]) -> None:
    """Remove all that svcnet made in any mode, and nothing else (root).

    Kernel settings stay. Chains and tables have kube-proxy's names: on a node where kube-proxy
    runs in iptables or nftables mode its rules would go too. Where svcnet run keeps the rules it
    says so and removes nothing. What the machine refuses to remove is told, and all else is
    removed.
    """
    from svcnet.executors.attempts import attempt_all

    families = named_families(family)
    with machine_lock(families, wait=wait):
        known = modes.available().values()
        parts = (part for one in families for part in modes.cleanup_parts(known, one, given))
        for line in attempt_all(parts):
            tell(line)
