"""``svcnet dns lookup``: one question, and why it is answered so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.assume import assume_options
from svcnet.cli.common import from_pods_option
from svcnet.cli.dns.options import dns_options, zone_options
from svcnet.cli.manner import stage
from svcnet.cli.output import form_option, write_output
from svcnet.cli.paths import complete_files
from svcnet.cli.scope import filename_option, scope_options
from svcnet.cli.strictness import strict_options
from svcnet.cli.verb import Verb
from svcnet.errors import UsageError
from svcnet.inputs import Strictness, load_manifests
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.discovery.dns import Answer, Search
    from svcnet.discovery.repository import Assumptions
    from svcnet.models import IPFamily
    from svcnet.sources import InputScope

TYPES = ("A", "AAAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT")


@click.command(
    "lookup",
    cls=Verb,
    examples=[
        ("As a Pod asks", "svcnet dns lookup my-service.default examples/my-service"),
        (
            "Ports, by SRV records",
            "svcnet dns lookup _http._tcp.my-service.default.svc SRV examples/my-service",
        ),
    ],
)
@click.argument("name")
@click.argument("rest", nargs=-1, metavar="[TYPE] [PATH]...", shell_complete=complete_files)
@strict_options
@from_pods_option
@assume_options
@filename_option
@scope_options
@zone_options()
@click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="That of the Pod that asks: its search path begins there.",
)
@click.option(
    "--ndots",
    type=click.IntRange(0, 15),
    default=5,
    show_default=True,
    help="How many dots make a name come before the search path.",
)
@form_option(
    "text",
    "json",
    default="text",
    meaning="Records as in a zone file, with reasons in comments; or a document.",
)
def command(
    name: str,
    rest: tuple[str, ...],
    filenames: tuple[str, ...],
    strict: Strictness,
    from_pods: bool,
    ip_families: tuple[IPFamily, ...],
    assume: Assumptions,
    scope: InputScope,
    namespace: str,
    ndots: int,
    output: str,
    **options: Any,
) -> None:
    """Print what a Pod gets that asks for NAME, step by step, and why.

    TYPE is A by default, and PTR for an address. PATH is a file, a folder, or - for
    standard input, which is also the default. A NAME with a final dot is asked as it is;
    any other one goes through the search path of a Pod. The exit code is 1 if there is no
    record.
    """
    from svcnet.discovery.dns import records, search
    from svcnet.discovery.dns.names import is_ip, is_name, reverse_name

    rdtype, paths = _type_and_paths(rest)
    paths = (*paths, *filenames)
    if is_ip(name):
        name, rdtype = reverse_name(name), rdtype or "PTR"
    if not is_name(f"{name.lower().removesuffix('.')}."):
        raise UsageError(f"{name!r} is no domain name")
    if "." in namespace or not is_name(f"{namespace.lower()}."):
        raise UsageError(f"--namespace: {namespace!r} is no name of a namespace")
    asked = dns_options(options)
    with stage("reading"):
        loaded = load_manifests(paths, strict, from_pods, ip_families, assume=assume, scope=scope)
        zones = records(loaded.state, asked)
    found = search(zones, name, rdtype or "A", namespace=namespace, ndots=ndots)
    if output == "json":
        text = json.dumps(lookup_document(found, rdtype or "A", ndots), indent=2) + "\n"
    else:
        text = "".join(f"{line}\n" for line in lookup_lines(found, rdtype or "A", ndots))
    write_output(text, None)
    sys.exit(0 if found.answer.answers else 1)


def _type_and_paths(rest: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Take a TYPE from the front; a file of that name can be given as ./A."""
    if rest and rest[0].upper() in TYPES:
        return rest[0].upper(), rest[1:]
    return None, rest


def lookup_lines(found: Search, rdtype: str, ndots: int) -> Iterator[str]:
    """Yield what became of a name, question by question, with records as in a zone file."""
    if not found.name.endswith("."):
        order = "it is asked first as it is" if found.first else "the search path comes first"
        comparison = "not fewer" if found.first else "fewer"
        dots = count_noun(found.dots, "dot")
        yield f"; {found.name} has {dots}, {comparison} than ndots {ndots}: {order}"
    for number, attempt in enumerate(found.attempts, 1):
        told = f"{attempt.answer.rcode}: {_reason(attempt.answer)}"
        if attempt.answer.rcode == "REFUSED" and number < len(found.attempts):
            told += ", and the search goes on if that has no record"
        yield f"; {number}. {attempt.name} {rdtype}: {told}"
    answer = found.answer
    yield from map(str, answer.answers)
    for record in answer.additional:
        yield f"; and with it: {record}"
    for record in answer.authority:
        yield f"; that there is none may be remembered for {record.ttl} s: {record}"


def _reason(answer: Answer) -> str:
    """Return the rule behind an answer, with its Service."""
    if answer.rcode == "REFUSED":
        return f"{answer.rule}, so another server is asked"
    return f"{answer.rule} (Service {answer.service})" if answer.service else answer.rule


def lookup_document(found: Search, rdtype: str, ndots: int) -> dict[str, Any]:
    """Return the same for JSON."""
    answer = found.answer
    return {
        "name": found.name,
        "type": rdtype,
        "ndots": ndots,
        "attempts": [
            {
                "name": attempt.name,
                "rcode": attempt.answer.rcode,
                "rule": attempt.answer.rule,
                "service": attempt.answer.service,
            }
            for attempt in found.attempts
        ],
        "rcode": answer.rcode,
        **{
            section: [record._asdict() for record in getattr(answer, section)]
            for section in ("answers", "authority", "additional")
        },
    }
