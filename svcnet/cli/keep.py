"""What ``svcnet run`` does in modes iptables and ipvs: keep rules true."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from svcnet.cli.common import Inputs, probe_host, read_inputs
from svcnet.cli.following import Following
from svcnet.errors import UsageError

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant
    from svcnet.models import IPFamily
    from svcnet.reconciler import Pace, Snapshot, Target


@frozen
class Keeping:
    """What is to be kept true, and how."""

    options: dict[str, Any]
    family: str | None
    variant: Variant | None
    cleanup_on_exit: bool


def keep(keeping: Keeping) -> None:
    """Keep the machine true to the input until a signal says to end."""
    read = partial(read_inputs, default_host=probe_host, **keeping.options)
    following = Following(keeping.options["paths"], read, "the rules stay as they were")
    families = asyncio.run(_run(keeping, following))
    if keeping.cleanup_on_exit:
        _clean_up(keeping, families)
    else:
        click.echo("ended; the rules stay", err=True)


def _clean_up(keeping: Keeping, families: list[IPFamily]) -> None:
    from svcnet.executors import iptables, ipvs

    for family in families:
        for line in (*ipvs.cleanup(family), *iptables.cleanup(family, keeping.variant)):
            click.echo(line, err=True)


async def _run(keeping: Keeping, following: Following[Inputs]) -> list[IPFamily]:
    from svcnet.executors.lock import lock
    from svcnet.reconciler import Follower, Loop

    async with following.first() as inputs:
        families = [view.family for view in inputs.views(keeping.family)]
        with ExitStack() as stack:
            for family in families:
                stack.callback(lock(family).close)
            loop = Loop(
                [(Follower(family), _target(keeping, inputs.mode, family)) for family in families],
                _pace(inputs),
                lambda text, warning: click.echo(f"warning: {text}" if warning else text, err=True),
            )
            loop.follow(_snapshot(inputs, families))

            def use(again: Inputs) -> None:
                if again.mode != inputs.mode:
                    raise UsageError(f"mode {again.mode} takes a new start of svcnet run")
                loop.follow(_snapshot(again, families))

            await following.until_told(use, loop.run())
    return families


def _target(keeping: Keeping, mode: str, family: IPFamily) -> Target:
    from svcnet.reconciler import IptablesTarget, IPVSTarget

    make = IPVSTarget if mode == "ipvs" else IptablesTarget
    return make(family, keeping.variant)


def _snapshot(inputs: Inputs, families: list[IPFamily]) -> Snapshot:
    from svcnet.reconciler import Snapshot

    return Snapshot(inputs.state, {family: inputs.view(family.lower()) for family in families})


def _pace(inputs: Inputs) -> Pace:
    from svcnet.reconciler import Pace

    settings = inputs.config.ipvs if inputs.mode == "ipvs" else inputs.config.iptables
    return Pace(settings.min_sync_period, settings.sync_period)
