"""``svcnet cleanup``: the rules off this machine."""

from __future__ import annotations

import sys
from typing import Any

import click

from svcnet import modes
from svcnet.cli.common import dry_run_option, named_families, wait_option
from svcnet.cli.lock import machine_lock
from svcnet.cli.manner import tell
from svcnet.cli.modal import ModalCommand
from svcnet.executors.rights import require_rights


class _CleanupCommand(ModalCommand):
    """A command that has to do with every mode, also those of other packages."""

    knows_all = True


@click.command(
    "cleanup",
    cls=_CleanupCommand,
    examples=[
        ("What there is of it", "sudo svcnet cleanup --dry-run"),
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
@dry_run_option("what would be removed")
@wait_option
def command(family: str, dry_run: bool, wait: bool, given: dict[str, Any]) -> None:
    """Remove all that svcnet made in any mode, and nothing else (root).

    Kernel settings stay. Chains and tables have kube-proxy's names: on a node where kube-proxy
    runs in iptables or nftables mode its rules would go too. Where svcnet run keeps the rules it
    says so and removes nothing. What the machine refuses to remove is told, and all else is
    removed. Exit codes: 0 done, with --dry-run: nothing is there, 1 with --dry-run: something, 3
    the machine refused.
    """
    from svcnet.executors.attempts import attempt_all
    from svcnet.executors.this_machine import THIS_MACHINE

    require_rights("cleanup", THIS_MACHINE, "iptables-save and nft list ruleset take it, too")
    families = named_families(family)
    would_change = False
    with machine_lock(() if dry_run else families, wait=wait):
        known = modes.available().values()
        parts = (
            part
            for one in families
            for part in modes.cleanup_parts(known, one, given, dry_run=dry_run)
        )
        for line in attempt_all(parts):
            if dry_run:
                click.echo(f"{line} would be removed")
                would_change = True
            else:
                tell(line)
    if would_change:
        sys.exit(1)
