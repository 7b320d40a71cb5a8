"""``svcnet run``: serve Services, and follow the manifests when told to."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet import modes
from svcnet.cli.common import (
    allow_empty_option,
    bind_address,
    family_option,
    input_options,
    refuse_two_inputs,
    server_options,
)
from svcnet.cli.modal import ModalCommand
from svcnet.cli.paths import FilePath
from svcnet.errors import SvcnetError, UsageError
from svcnet.inputs import refuse_no_path
from svcnet.modes.options import refuse_foreign

if TYPE_CHECKING:
    from svcnet.modes import DataPlane


@click.command("run", cls=ModalCommand)
@input_options
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
    help="Modes iptables and ipvs: remove the rules at the end.",
)
@click.option(
    "--socket",
    type=FilePath(),
    help="Where svcnet status asks; by default a place of the network namespace below /run/svcnet.",
)
def command(
    family: str | None,
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
    other modes left. SIGHUP reads all input again. In modes iptables and ipvs the rules stay
    when svcnet ends.

    In mode userspace svcnet itself proxies. Redirecting traffic for their addresses takes
    root; with --no-redirect each Service has a port of 127.0.0.1 instead, which is
    printed. SIGTERM and SIGINT end it: nothing new is taken, open connections have --drain
    seconds, and the rules go. A second one ends it at once.
    """
    from svcnet.agent.keep import Keeping, keep
    from svcnet.cli.log import logger
    from svcnet.cli.outlet import outlets

    mode, settings = _mode(options)
    refuse_two_inputs(options["paths"], kubernetes, kubeconfig, context)
    if not kubernetes:
        refuse_no_path(options["paths"])
    for text in (healthz_bind_address, metrics_bind_address):
        if text:
            bind_address(text, 0)
    for option, said in (
        ("--strict", options["strict"].errors),
        ("--ip-families", options["ip_families"]),
        ("--allow-empty", options["allow_empty"]),
    ):
        if kubernetes and said:
            raise UsageError(f"{option} is for the manifests of PATH")
    keeping = Keeping(
        options,
        mode,
        settings,
        family,
        cleanup_on_exit,
        kubernetes,
        kubeconfig,
        context,
        healthz_bind_address,
        metrics_bind_address,
        socket,
    )
    with outlets():
        keep(keeping, logger(sys.stderr), _show)


def _show(proxy: DataPlane, stack: ExitStack) -> None:
    """Print where each Service is; on a terminal a view that goes on counting, if there is."""
    if sys.stdout.isatty() and proxy.draw(1) is not None:
        from svcnet.cli.live import live

        stack.enter_context(live(lambda height: proxy.draw(height) or ""))
        return
    for text in proxy.listing():
        click.echo(text, nl=False)


def _mode(options: dict[str, Any]) -> tuple[modes.AnyMode, modes.ModeSettings]:
    """Return the mode that is asked for, and what options come to in it.

    A configuration that is wrong is told of later.
    """
    from svcnet.models import KubeProxyConfiguration
    from svcnet.sources import load_config

    config = KubeProxyConfiguration()
    if options["config"]:
        with suppress(SvcnetError):
            config = load_config(options["config"])
    try:
        mode = modes.get(options["mode"] or config.mode or modes.DEFAULT)
    except UsageError:
        mode = modes.get(modes.DEFAULT)
    refuse_foreign(options["given"], mode.name, mode.options, modes.available)
    return mode, mode.settings(config, options["given"])
