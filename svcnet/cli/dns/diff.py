"""``svcnet dns diff``: what a change of manifests does to names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.assume import assume_options
from svcnet.cli.common import from_pods_option, refuse_input_twice
from svcnet.cli.dns.options import dns_options, zone_options
from svcnet.cli.manner import stage
from svcnet.cli.output import write_output
from svcnet.cli.paths import complete_files
from svcnet.cli.scope import namespace_option, scope_options
from svcnet.cli.strictness import strict_options
from svcnet.cli.verb import Verb
from svcnet.inputs import Strictness, load_manifests

if TYPE_CHECKING:
    from svcnet.discovery.repository import Assumptions
    from svcnet.models import IPFamily
    from svcnet.sources import InputScope


@click.command(
    "diff",
    cls=Verb,
    examples=[
        (
            "What a change does to names",
            "svcnet dns diff examples/my-service examples/from-pods",
        ),
    ],
)
@click.argument("old", shell_complete=complete_files)
@click.argument("new", shell_complete=complete_files)
@strict_options
@from_pods_option
@assume_options
@scope_options
@namespace_option
@zone_options()
def command(
    old: str,
    new: str,
    strict: Strictness,
    from_pods: bool,
    ip_families: tuple[IPFamily, ...],
    assume: Assumptions,
    scope: InputScope,
    **options: Any,
) -> None:
    """Print the records that only one of OLD and NEW has; - is for those of OLD.

    Each is a file, a folder, or one of them - for standard input. The exit code is 1 if
    there are any.
    """
    from svcnet.discovery.dns import difference, records

    refuse_input_twice((old,), (new,))
    asked = dns_options(options)
    given = (strict, from_pods, ip_families)
    with stage("reading"):
        loaded = (
            load_manifests((path,), *given, assume=assume, scope=scope) for path in (old, new)
        )
        before, after = (records(each.state, asked) for each in loaded)
    found = difference(before, after)
    write_output(str(found), None)
    sys.exit(1 if found else 0)
