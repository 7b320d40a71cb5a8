"""``svcnet dns zone``: zone files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from svcnet.cli.common import manifest_options
from svcnet.cli.dns.options import dns_options, zone_options
from svcnet.cli.manner import stage
from svcnet.cli.output import write_output
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.errors import OutputError
from svcnet.inputs import load_manifests


@click.command(
    "zone",
    cls=Verb,
    examples=[
        ("All zones", "svcnet dns zone examples/my-service"),
        ("A file for each zone", "svcnet dns zone --to zones examples/my-service"),
    ],
)
@manifest_options
@zone_options()
@click.option(
    "--serial",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="That of the SOA records; a server takes a file as newer by it.",
)
@click.option(
    "--to",
    type=FilePath(),
    metavar="FOLDER",
    help="Write each zone to FOLDER/ZONE.zone, instead of all to standard output.",
)
def command(serial: int, to: Path | None, **options: Any) -> None:
    """Print zone files (RFC 1035) with all records of the Services in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default. A server
    that loads them answers as CoreDNS would.
    """
    from svcnet.discovery.dns import records
    from svcnet.discovery.dns.zonefile import zone_file

    asked = dns_options(options, serial=serial)
    with stage("reading"):
        zones = records(load_manifests(**options).state, asked)
    files = {origin: zone_file(zones, origin) for origin in asked.zones}
    if to is None:
        write_output("\n".join(files.values()), None)
        return
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{to}: cannot be made: {error.strerror}", error) from None
    for origin, text in files.items():
        write_output(text, to / f"{origin}zone")
