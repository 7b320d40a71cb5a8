"""``svcnet dns serve``: a server for the names of Services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import allow_empty_option, server_manifest_options
from svcnet.cli.dns.options import dns_address, dns_options, zone_options
from svcnet.cli.manner import tell
from svcnet.cli.outlet import outlets
from svcnet.cli.verb import Verb
from svcnet.errors import UsageError
from svcnet.inputs import Strictness, load_manifests, refuse_no_path
from svcnet.inputs.feed import FileFeed
from svcnet.inputs.orders import EarlyEnd, Orders

if TYPE_CHECKING:
    from svcnet.discovery.dns import DNSOptions, Zones
    from svcnet.models import IPFamily
    from svcnet.sources import InputScope, LoadResult

KEPT_BACK = 100
"""How many descriptors are for all but clients and questions that wait."""


@click.command(
    "serve",
    cls=Verb,
    examples=[
        (
            "A server on this machine",
            "svcnet dns serve --listen 127.0.0.1:5353 examples/my-service",
        ),
    ],
)
@server_manifest_options
@allow_empty_option
@zone_options()
@click.option(
    "--listen",
    type=dns_address,
    multiple=True,
    default=("127.0.0.1:5353",),
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where questions are taken, by UDP and TCP; port 0 is any free one. Repeatable.",
)
@click.option(
    "--forward",
    type=dns_address,
    metavar="ADDRESS:PORT",
    help="The server that is asked for names outside the zones; without one, they are refused.",
)
def command(
    paths: tuple[str, ...],
    strict: Strictness,
    from_pods: bool,
    ip_families: tuple[IPFamily, ...],
    scope: InputScope,
    allow_empty: bool,
    listen: tuple[tuple[str, int], ...],
    forward: tuple[str, int] | None,
    **options: Any,
) -> None:
    """Answer DNS questions about the Services in PATH, until a signal says to end.

    PATH is a file, a folder, or - for standard input. A change
    of PATH is followed at once, and so is SIGHUP; a PATH that is wrong is told of, and the
    answers stay as they were.
    """
    if forward in listen:
        raise UsageError("--forward names this server itself")
    asked = dns_options(options)
    refuse_no_path(paths)
    given = (paths, strict, from_pods, ip_families)
    zones = _Zones(partial(load_manifests, *given, allow_empty=allow_empty, scope=scope), asked)
    feed = FileFeed(paths, zones.read, "the answers stay as they were", _say)
    with outlets():
        with suppress(EarlyEnd):
            asyncio.run(_serve(feed, listen, forward))
        tell("ended")


def _say(text: str, *, warning: bool = False) -> bool:  # noqa: ARG001
    tell(text)
    return True


class _Zones:
    """Reads zones; each has a larger serial number than the one before."""

    def __init__(self, load: Callable[[], LoadResult], options: DNSOptions) -> None:
        self._load = load
        self._options = options
        self._serial = 0

    def read(self) -> Zones:
        from attrs import evolve

        from svcnet.discovery.dns import records

        state = self._load().state
        self._serial = max(self._serial + 1, int(time.time()))
        return records(state, evolve(self._options, serial=self._serial))


async def _serve(
    feed: FileFeed[Zones],
    listen: tuple[tuple[str, int], ...],
    forward: tuple[str, int] | None,
) -> None:
    from svcnet.servers.descriptors import raise_file_limit
    from svcnet.servers.dns.forwarding import WAITING, Upstream
    from svcnet.servers.dns.server import CONNECTIONS, DNSServer
    from svcnet.servers.dns.sockets import write_address

    # A question to the other server and a connection each take one.
    files = raise_file_limit() - KEPT_BACK
    waiting, connections = min(WAITING, files * 2 // 3), min(CONNECTIONS, files // 3)
    orders = Orders()
    orders.hear_signals()
    async with feed.first(orders) as zones:
        upstream = Upstream(*forward, _say, waiting=waiting) if forward else None
        server = DNSServer(zones, listen, _say, upstream, connections=connections)
        for where in server.where:
            tell(f"listening on {write_address(where)}")
        await feed.until_end(partial(setattr, server, "zones"))
        await server.close()
