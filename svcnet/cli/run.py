"""``svcnet run``: serve Services, and follow the manifests when told to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import (
    allow_empty_option,
    fallback_option,
    input_options,
    machine_options,
    port_options,
    refuse_two_inputs,
    server_options,
)
from svcnet.errors import SvcnetError, UsageError
from svcnet.inputs import refuse_no_path

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant


USERSPACE_DRAIN = 30.0
"""Seconds that connections of a proxy have to end."""


@click.command("run")
@input_options
@allow_empty_option
@machine_options
@click.option(
    "--no-redirect",
    is_flag=True,
    help="Listen on loopback only and make no rules: needs no privilege.",
)
@port_options
@click.option(
    "--udp-timeout",
    type=click.FloatRange(min=0.001, max=86400),
    default=0.25,
    show_default=True,
    metavar="SECONDS",
    help="How long a client of a UDP service may be silent and keep its endpoint.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=64),
    default=1,
    show_default=True,
    help="Processes that share the connections.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0, max=86400),
    metavar="SECONDS",
    help="How long connections may go on: in mode userspace once svcnet is told to end (30 by "
    "default), in mode ipvs those of a TCP endpoint that was removed (900).",
)
@fallback_option
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
    type=click.Path(path_type=Path),
    help="Where svcnet status asks; by default a place of the network namespace below /run/svcnet.",
)
@click.option(
    "--stats",
    type=click.Path(path_type=Path),
    metavar="SOCKET",
    help="A unix socket that gives whoever connects the counts as JSON.",
)
def command(
    family: str | None,
    no_redirect: bool,
    variant: Variant | None,
    proxy_port_range: str | None,
    proxy_port_seed: str | None,
    udp_timeout: float,
    workers: int,
    drain: float | None,
    cleanup_on_exit: bool,
    stats: Path | None,
    kubernetes: bool,
    kubeconfig: Path | None,
    context: str,
    healthz_bind_address: str | None,
    metrics_bind_address: str | None,
    fallback: str | None,
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
    from svcnet.cli.keep import Keeping, keep
    from svcnet.cli.proxying import Proxying

    proxying = None
    if _mode(options) == "userspace":
        if no_redirect and variant:
            raise UsageError("--variant is for rules, and with --no-redirect there are none")
        proxying = Proxying(
            redirect=not no_redirect,
            port_range=proxy_port_range,
            port_seed=proxy_port_seed,
            udp_timeout=udp_timeout,
            workers=workers,
            drain=USERSPACE_DRAIN if drain is None else drain,
            stats=stats,
        )
    elif no_redirect or stats or workers != 1 or proxy_port_range or proxy_port_seed:
        raise UsageError("the options of a proxy are for --mode userspace")
    refuse_two_inputs(options["paths"], kubernetes, kubeconfig, context)
    if not kubernetes:
        refuse_no_path(options["paths"])
    for option, said in (
        ("--strict", options["strict"].errors),
        ("--ip-families", options["ip_families"]),
        ("--allow-empty", options["allow_empty"]),
    ):
        if kubernetes and said:
            raise UsageError(f"{option} is for the manifests of PATH")
    keep(
        Keeping(
            options,
            family,
            variant,
            drain,
            cleanup_on_exit,
            kubernetes,
            kubeconfig,
            context,
            healthz_bind_address,
            metrics_bind_address,
            fallback,
            proxying,
            socket,
        )
    )


def _mode(options: dict[str, Any]) -> str:
    """Return the mode that is asked for; a configuration that is wrong is told of later."""
    from svcnet.sources import load_config

    if options["mode"]:
        return str(options["mode"])
    try:
        return load_config(options["config"]).mode if options["config"] else ""
    except SvcnetError:
        return ""
