"""``svcnet run``: serve Services, and follow the manifests when told to."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import (
    allow_empty_option,
    bind_address,
    family_option,
    machine_input_options,
    refuse_two_inputs,
    server_options,
)
from svcnet.cli.modal import ModalCommand
from svcnet.cli.paths import FilePath
from svcnet.errors import UsageError

if TYPE_CHECKING:
    from svcnet.inputs import Strictness
    from svcnet.models import IPFamily
    from svcnet.modes import DataPlane


@click.command(
    "run",
    cls=ModalCommand,
    examples=[
        (
            "Rules that follow every change of a folder",
            "sudo svcnet run examples/my-service",
        ),
        (
            "Services on ports of 127.0.0.1, without root",
            "svcnet run --mode userspace --no-redirect examples/rootless",
        ),
    ],
)
@machine_input_options
@allow_empty_option
@family_option
@server_options
@click.option(
    "--healthz-bind-address",
    metavar="ADDRESS:PORT",
    help="Where /healthz, /livez and /readyz are; empty for nowhere. By default the "
    "configuration's address, else 127.0.0.1:10256.",
)
@click.option(
    "--metrics-bind-address",
    metavar="ADDRESS:PORT",
    help="Where /metrics is; empty for nowhere. By default the configuration's address, else "
    "127.0.0.1:10249.",
)
@click.option(
    "--cleanup-on-exit",
    is_flag=True,
    help="Modes iptables, ipvs and nftables: remove the rules at the end.",
)
@click.option(
    "--socket",
    type=FilePath(),
    help="Where svcnet status asks; by default a place of the network namespace below /run/svcnet.",
)
def command(
    families: tuple[IPFamily, ...],
    cleanup_on_exit: bool,
    kubernetes: bool,
    kubeconfig: Path | None,
    context: str,
    healthz_bind_address: str | None,
    metrics_bind_address: str | None,
    socket: Path | None,
    **options: Any,
) -> None:
    """Keep this machine true to the Services in PATH until a signal says to end.

    It follows every change of PATH, looks through the rules now and then, and removes what
    other modes left. SIGHUP reads all input again. In modes iptables, ipvs and nftables the rules
    stay when svcnet ends.

    In mode userspace svcnet itself proxies. Redirecting traffic for their addresses takes
    root; with --no-redirect each Service has a port of 127.0.0.1 instead, which is
    printed. SIGTERM and SIGINT end it: nothing new is taken, open connections have --drain
    seconds, and the rules go. A second one ends it at once.
    """
    from svcnet.agent import Agent, Cluster
    from svcnet.cli.log import logger
    from svcnet.cli.outlet import outlets

    strict: Strictness = options.pop("strict")
    refuse_two_inputs(options["paths"], kubernetes, kubeconfig, context)
    for text in (healthz_bind_address, metrics_bind_address):
        if text:
            bind_address(text, 0)
    for option, said in (
        ("--strict", strict.errors),
        ("--ip-families", options["ip_families"]),
        ("--allow-empty", options["allow_empty"]),
    ):
        if kubernetes and said:
            raise UsageError(f"{option} is for the manifests of PATH")
    paths = options.pop("paths")
    with outlets(), ExitStack() as stack:
        agent = Agent(
            Cluster(kubeconfig, context) if kubernetes else paths,
            options=options.pop("given"),
            families=families,
            strict=strict.errors,
            ignore=[check.name for check in strict.ignored],
            cleanup_on_exit=cleanup_on_exit,
            healthz=healthz_bind_address,
            metrics=metrics_bind_address,
            socket=socket,
            log=logger(sys.stderr),
            show=partial(_show, stack),
            **options,
        )
        agent.main()


def _show(stack: ExitStack, proxy: DataPlane) -> None:
    """Print where each Service is; on a terminal a view that goes on counting, if there is."""
    if sys.stdout.isatty() and proxy.draw(1) is not None:
        from svcnet.cli.live import live

        stack.enter_context(live(lambda height: proxy.draw(height) or ""))
        return
    for text in proxy.listing():
        click.echo(text, nl=False)
