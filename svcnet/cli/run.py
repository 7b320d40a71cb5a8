"""``svcnet run``: serve Services, and follow the manifests when told to."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import (
    fallback_option,
    input_options,
    machine_options,
    port_choice,
    port_options,
    probe_host,
    read_inputs,
    refuse_two_inputs,
    server_options,
    tell_unsupported,
)
from svcnet.errors import SvcnetError, UsageError

if TYPE_CHECKING:
    from svcnet.executors.iptables import Variant
    from svcnet.executors.userspace import NodeProxy
    from svcnet.renderers.userspace import ProxyTable


@click.command("run")
@input_options
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
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long connections may go on once svcnet is told to end.",
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
    drain: float,
    cleanup_on_exit: bool,
    stats: Path | None,
    kubernetes: bool,
    kubeconfig: Path | None,
    context: str,
    healthz_bind_address: str | None,
    metrics_bind_address: str | None,
    fallback: str | None,
    **options: Any,
) -> None:
    """Keep this machine true to the Services in PATH until a signal says to end.

    In modes iptables and ipvs that is rules, which follow every change of PATH, are looked
    through now and then, and stay when svcnet ends. SIGHUP reads all input again.

    In mode userspace svcnet itself proxies. Redirecting traffic for their addresses takes
    root; with --no-redirect each Service has a port of 127.0.0.1 instead, which is
    printed. SIGHUP reads PATH again. SIGTERM and SIGINT end it: nothing new is taken, open
    connections have --drain seconds, and the rules go. A second one ends it at once.
    """
    if _mode(options) != "userspace":
        if no_redirect or stats or workers != 1 or proxy_port_range or proxy_port_seed:
            raise UsageError("the options of a proxy are for --mode userspace")
        from svcnet.cli.keep import Keeping, keep

        refuse_two_inputs(options["paths"], kubernetes, kubeconfig, context)
        keep(
            Keeping(
                options,
                family,
                variant,
                cleanup_on_exit,
                kubernetes,
                kubeconfig,
                context,
                healthz_bind_address,
                metrics_bind_address,
                fallback,
            )
        )
        return
    from svcnet.executors.userspace import NodeProxy, raise_file_limit

    if no_redirect and variant:
        raise UsageError("--variant is for rules, and with --no-redirect there are none")

    def read() -> list[ProxyTable]:
        return _tables(family, proxy_port_range, proxy_port_seed, no_redirect, options)

    once = not options["paths"] or "-" in options["paths"]
    tables = read()
    raise_file_limit()
    node = NodeProxy(
        tables,
        redirect=not no_redirect,
        variant=variant,
        udp_idle=udp_timeout,
        workers=workers,
    )
    with ExitStack() as stack:
        stack.enter_context(_signals(node, None if once else read, drain))
        if stats is not None:
            _answer(node, stats, stack)
        for report in node.install():
            click.echo(str(report), err=True)
            for warning in report.warnings:
                click.echo(f"warning: {warning}", err=True)
        _show(node, stack)
        node.run()
    click.echo("ended", err=True)


def _mode(options: dict[str, Any]) -> str:
    """Return the mode that is asked for; a configuration that is wrong is told of later."""
    from svcnet.sources import load_config

    if options["mode"]:
        return str(options["mode"])
    try:
        return load_config(options["config"]).mode if options["config"] else ""
    except SvcnetError:
        return ""


def _tables(
    family: str | None,
    port_range: str | None,
    seed: str | None,
    no_redirect: bool,
    options: dict[str, Any],
) -> list[ProxyTable]:
    """Read the input and return a table for each family; tell what it cannot carry."""
    from svcnet.compiler import compile_state
    from svcnet.renderers.userspace import full

    inputs = read_inputs(**options, default_host=None if no_redirect else probe_host)
    choice = port_choice(inputs.config, port_range, seed)
    tables = [full(compile_state(inputs.state, view), choice) for view in inputs.views(family)]
    problems = (problem for table in tables for problem in table.unsupported)
    tell_unsupported(problems, options["strict"])
    return tables


@contextmanager
def _signals(
    node: NodeProxy, read: Callable[[], list[ProxyTable]] | None, drain: float
) -> Iterator[None]:
    """Have signals end the proxy, or read the input again in a thread of its own.

    `read` is None for input that can be read only once.
    """
    reloading = ThreadPoolExecutor(1)
    asked = 0

    def end(_number: int, _frame: object) -> None:
        nonlocal asked
        asked += 1
        node.stop(drain if asked == 1 else 0)
        if asked == 1:
            click.echo(f"ending; connections have {drain:g} s", err=True)

    def again(_number: int, _frame: object) -> None:
        if read is None:
            click.echo("standard input cannot be read again: nothing is changed", err=True)
        else:
            reloading.submit(_reload, node, read)

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: again}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        reloading.shutdown(cancel_futures=True)


def _reload(node: NodeProxy, read: Callable[[], list[ProxyTable]]) -> None:
    """Follow the input as it is now; what is wrong with it changes nothing."""
    try:
        for line in node.follow(read()):
            click.echo(line, err=True)
    except SvcnetError as error:
        click.echo(f"{error}\nthe state before goes on being served", err=True)
    else:
        click.echo("the input was read again", err=True)


def _answer(node: NodeProxy, path: Path, stack: ExitStack) -> None:
    from svcnet.executors.userspace import Inquiries, document

    inquiries = Inquiries(path, lambda: document(node.snapshots()))
    stack.callback(inquiries.close)


def _show(node: NodeProxy, stack: ExitStack) -> None:
    """Print where each Service is; on a terminal a table that goes on counting."""
    if sys.stdout.isatty():
        from svcnet.cli.live import live

        stack.enter_context(live(node))
        return
    from svcnet.renderers.userspace import listing

    for table in node.tables:
        click.echo(listing(table, node.address(table.family)), nl=False)
