"""``svcnet dns diff``: what a change of manifests does to names."""

from __future__ import annotations

import sys
from typing import Any

import click

from svcnet.cli.common import load_manifests, write_output
from svcnet.cli.dns.options import dns_options, zone_options


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@zone_options()
def command(old: str, new: str, strict: bool, **options: Any) -> None:
    """Print the records that only one of OLD and NEW has; - is for those of OLD.

    Each is a file, a folder, or one of them - for standard input. The exit code is 1 if
    there are any.
    """
    from svcnet.discovery.dns import difference, records

    asked = dns_options(options)
    before, after = (records(load_manifests((path,), strict).state, asked) for path in (old, new))
    found = difference(before, after)
    write_output(str(found), None)
    sys.exit(1 if found else 0)
