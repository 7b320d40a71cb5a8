"""``svcnet dns push``: bring a server to the records of Services."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.common import allow_empty_option, dry_run_option, server_manifest_options
from svcnet.cli.dns.options import dns_address, dns_options, zone_options
from svcnet.cli.manner import stage, tell
from svcnet.cli.paths import FilePath
from svcnet.cli.verb import Verb
from svcnet.errors import UsageError
from svcnet.inputs import Strictness, load_manifests
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.models import IPFamily
    from svcnet.sources import InputScope


@click.command(
    "push",
    cls=Verb,
    examples=[
        (
            "What would change there",
            "svcnet dns push --dry-run --server 127.0.0.1:5300 examples/my-service",
        ),
        (
            "The records onto the server",
            "svcnet dns push --server 127.0.0.1:5300 examples/my-service",
        ),
    ],
)
@server_manifest_options
@allow_empty_option
@zone_options(zones=("cluster.local",))
@click.option(
    "--server",
    type=dns_address,
    required=True,
    metavar="ADDRESS[:PORT]",
    help="An authoritative server that has the zones, and lets this machine read and change them.",
)
@click.option(
    "--tsig-file",
    type=FilePath(),
    metavar="FILE",
    help="The key that it knows this machine by, as tsig-keygen or keymgr --tsig prints it.",
)
@dry_run_option("the records that would come and go")
def command(
    paths: tuple[str, ...],
    strict: Strictness,
    from_pods: bool,
    ip_families: tuple[IPFamily, ...],
    scope: InputScope,
    allow_empty: bool,
    server: tuple[str, int],
    tsig_file: Path | None,
    dry_run: bool,
    **options: Any,
) -> None:
    """Bring the zones of a running DNS server to the records of the Services in PATH.

    PATH is a file, a folder, or - for standard input. Only what
    differs is sent (RFC 2136), and names that are not Kubernetes's are left alone. A push
    that was cut is finished by the next one. Exit codes: 0 done, with --dry-run: nothing to do,
    1 with --dry-run: something, 2 the input is wrong, 3 the server refused.
    """
    from svcnet.discovery.dns import records
    from svcnet.executors.dns.push import PrimaryServer, owner, push, wanted_records
    from svcnet.executors.dns.tsig import read_key

    asked = dns_options(options)
    if asked.pods == "insecure":
        raise UsageError("pods insecure answers names that no server can be given; verified can be")
    key = read_key(tsig_file) if tsig_file else None
    given = (paths, strict, from_pods, ip_families)
    with stage("reading"):
        zones = records(load_manifests(*given, allow_empty=allow_empty, scope=scope).state, asked)
    there, owns = PrimaryServer(*server, key), owner(asked.forward_zones)
    would_change = False
    for origin, found in wanted_records(zones, owns).items():
        plan = push(there, origin, found, owns, dry_run=dry_run)
        if dry_run:
            click.echo(str(plan), nl=False)
            would_change |= bool(plan.additions or plan.removals)
        came, went = ("would come", "would go") if dry_run else ("came", "went")
        tell(f"{origin} {count_noun(plan.additions, 'record')} {came}, {plan.removals} {went}")
    if would_change:
        sys.exit(1)
