"""``svcnet dns serve``: a server for the names of Services."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import load_manifests, manifest_options
from svcnet.cli.dns.options import address_and_port, dns_options, zone_options
from svcnet.errors import SvcnetError, UsageError

if TYPE_CHECKING:
    from svcnet.discovery.dns import DNSOptions, Zones
    from svcnet.executors.dns.server import Server


@click.command("serve")
@manifest_options
@zone_options()
@click.option(
    "--listen",
    type=address_and_port,
    multiple=True,
    default=("127.0.0.1:5353",),
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where questions are taken, by UDP and TCP; port 0 is any free one. Repeatable.",
)
@click.option(
    "--forward",
    type=address_and_port,
    metavar="ADDRESS:PORT",
    help="The server that is asked for names outside the zones; without one, they are refused.",
)
def command(
    paths: tuple[str, ...],
    strict: bool,
    from_pods: bool,
    listen: tuple[tuple[str, int], ...],
    forward: tuple[str, int] | None,
    **options: Any,
) -> None:
    """Answer DNS questions about the Services in PATH, until a signal says to end.

    PATH is a file, a folder, or - for standard input, which is also the default. A change
    of PATH is followed at once, and so is SIGHUP; a PATH that is wrong is told of, and the
    answers stay as they were.
    """
    if forward in listen:
        raise UsageError("--forward names this server itself")
    asked = dns_options(options)
    serving = _Serving(paths, strict, from_pods, asked)
    asyncio.run(serving.run(listen, forward))


class _Serving:
    """A server, and the manifests that it follows."""

    def __init__(
        self, paths: tuple[str, ...], strict: bool, from_pods: bool, options: DNSOptions
    ) -> None:
        self._paths = paths
        self._strict = strict
        self._from_pods = from_pods
        self._options = options
        self._serial = 0
        self._once = not paths or "-" in paths

    def _read(self) -> Zones:
        from attrs import evolve

        from svcnet.discovery.dns import records

        state = load_manifests(self._paths, self._strict, self._from_pods).state
        self._serial = max(self._serial + 1, int(time.time()))
        return records(state, evolve(self._options, serial=self._serial))

    async def run(
        self, listen: tuple[tuple[str, int], ...], forward: tuple[str, int] | None
    ) -> None:
        from svcnet.executors.dns.forwarding import Upstream
        from svcnet.executors.dns.server import Server

        loop = asyncio.get_running_loop()
        stop, again = asyncio.Event(), asyncio.Event()
        # It is watched first: what changes while it is read is read again.
        watching = loop.create_task(self._watch(stop, again))
        await asyncio.sleep(0)
        try:
            server = Server(self._read(), listen, Upstream(*forward) if forward else None)
            following = loop.create_task(self._follow(server, again))
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            loop.add_signal_handler(signal.SIGHUP, again.set)
            for address, port in server.where:
                host = f"[{address}]" if ":" in address else address
                click.echo(f"listening on {host}:{port}", err=True)
            ending = loop.create_task(stop.wait())
            done, _ = await asyncio.wait({ending, following}, return_when=asyncio.FIRST_COMPLETED)
            await server.close()
            following.cancel()
            if following in done:
                following.result()
        finally:
            stop.set()
            await watching
        click.echo("ended", err=True)

    async def _watch(self, stop: asyncio.Event, again: asyncio.Event) -> None:
        from svcnet.sources.watch import changes

        if self._once:
            return
        try:
            async for _ in changes(self._paths, stop):
                again.set()
        except OSError as error:
            click.echo(f"changes are not seen, only SIGHUP is: {error}", err=True)

    async def _follow(self, server: Server, again: asyncio.Event) -> None:
        """Read PATH again when told to, while questions go on being answered."""
        while await again.wait():
            again.clear()
            if self._once:
                click.echo("standard input cannot be read again: nothing is changed", err=True)
                continue
            try:
                server.zones = await asyncio.to_thread(self._read)
            except SvcnetError as error:
                click.echo(f"{error}\nthe answers stay as they were", err=True)
            else:
                click.echo("the input was read again", err=True)
