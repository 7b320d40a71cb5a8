"""``svcnet verify``: whether the rules of a machine mean what objects say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from svcnet.cli.common import family_option, input_options
from svcnet.cli.comparison import compare
from svcnet.cli.dns.options import ZONES, dns_address
from svcnet.cli.dump import rules_options
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import form_option, write_output
from svcnet.errors import UsageError
from svcnet.inputs import InputRequest, read_inputs
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.family import IPFamily
    from svcnet.meaning import Verdicts
    from svcnet.meaning.comparison.names import NameVerdicts
    from svcnet.models import ClusterState
    from svcnet.renderers.conntrack import Deletion, DeletionPlan

MOST_SHOWN = 100
"""Differences that are told one by one."""


@click.command(
    "verify",
    cls=ModalCommand,
    examples=[
        (
            "What iptables-save printed on a node",
            "svcnet verify --rules rules.txt examples/my-service",
        ),
        ("The rules of this machine", "sudo svcnet verify --live examples/my-service"),
    ],
)
@input_options
@family_option
@rules_options("Compare with")
@click.option(
    "--also",
    type=click.Choice(["conntrack"]),
    help="Compare entries of connection tracking as well: with --rules, those of a file that "
    "conntrack -L printed.",
)
@click.option(
    "--dns",
    metavar="ADDRESS[:PORT]",
    callback=lambda _context, _option, text: text and dns_address(text),
    help="Ask a DNS server for every name of the objects; without --live and --rules only that.",
)
@click.option(
    "--dns-zone",
    "zones",
    multiple=True,
    default=ZONES,
    show_default=True,
    metavar="NAME",
    help="A zone that the DNS server has. Repeatable.",
)
@form_option(
    "text",
    "json",
    default="text",
    meaning="For people, or for programs.",
)
def command(
    families: tuple[IPFamily, ...],
    live: bool,
    files: tuple[Path, ...],
    also: str | None,
    dns: tuple[str, int] | None,
    zones: tuple[str, ...],
    output: str,
    **options: Any,
) -> None:
    """Compare the rules that a machine has with the manifests in PATH, for every packet.

    Whoever wrote the rules: kube-proxy, svcnet or people. Exit code 0 says that every packet ends
    as the objects say, with the same chances, 1 that some do not. Rules that are not understood
    are told if it depends on them what becomes of a Service's packets; with --strict that is a
    difference.
    """
    has_rules = live or bool(files)
    if (live and files) or not (has_rules or (dns and not also)):
        raise UsageError(
            "say where rules are: --live, or --rules with what iptables-save or nft printed"
        )
    found = _Findings()
    if has_rules:
        compared = compare(files, families, options, with_entries=also is not None)
        found = _Findings(compared.verdicts, compared.stale if also else None)
        state = compared.inputs.state
    else:
        with stage("reading"):
            state = read_inputs(InputRequest(**options)).state
    if dns is not None:
        found = evolve(found, names=_names(state, dns, zones))
    if output == "json":
        document = found.to_dict()
        write_output(json.dumps(document, indent=2, ensure_ascii=False) + "\n", None)
    else:
        write_output("".join(found.lines()), None)
    sys.exit(1 if found.differ or (found.unsure and options["strict"].errors) else 0)


def _names(state: ClusterState, where: tuple[str, int], zones: tuple[str, ...]) -> NameVerdicts:
    """Return what a DNS server says otherwise than objects do."""
    from svcnet.discovery.dns import DNSOptions, records
    from svcnet.executors.dns.ask import ask
    from svcnet.meaning.comparison.names import verify_names

    return verify_names(records(state, DNSOptions(zones)), partial(ask, where))


@frozen
class _Findings:
    """All that was compared."""

    verdicts: tuple[Verdicts, ...] = ()
    stale: tuple[DeletionPlan, ...] | None = None
    names: NameVerdicts | None = None

    @property
    def differ(self) -> bool:
        wrong = any(each.differences for each in self.verdicts) or any(self.stale or ())
        return wrong or (self.names is not None and bool(self.names.differences))

    @property
    def unsure(self) -> bool:
        return any(each.unknown for each in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"families": [each.to_dict() for each in self.verdicts]}
        if self.stale is not None:
            deletions = [each for plan in self.stale for each in plan.deletions]
            found["conntrack"] = [_entry(each) for each in deletions]
        if self.names is not None:
            found["dns"] = self.names.to_dict()
        return found

    def lines(self) -> Iterator[str]:
        from svcnet.meaning.comparison.names import told_names
        from svcnet.meaning.comparison.report import write_lines

        for verdicts in self.verdicts:
            yield from write_lines(verdicts, MOST_SHOWN)
        if self.stale is not None:
            yield from _told_entries([each for plan in self.stale for each in plan.deletions])
        if self.names is not None:
            yield from told_names(self.names, MOST_SHOWN)


def _entry(stale: Deletion) -> dict[str, Any]:
    """Return entries with one target for JSON."""
    target = stale.target
    return {
        "destination": target.destination,
        "port": target.destination_port,
        "endpoint": target.reply_source,
        "endpointPort": target.reply_source_port,
        "reason": stale.reason,
        "count": len(stale.flows),
    }


def _told_entries(stale: Sequence[Deletion]) -> Iterator[str]:
    from svcnet.meaning.explanation.sentences import endpoint_text

    if not stale:
        yield "connection tracking: no entry of UDP leads to what is no endpoint\n"
        return
    count = sum(len(each.flows) for each in stale)
    yield f"connection tracking: {count_noun(count, 'stale entry')}\n"
    for each in stale[:MOST_SHOWN]:
        flow, target = each.flows[0], each.target
        yield f"\nstale entry: {endpoint_text(target.destination, target.destination_port)}/udp\n"
        yield f"  client  {endpoint_text(flow.source, flow.source_port)}\n"
        yield f"  leads   to {endpoint_text(target.reply_source, target.reply_source_port)}\n"
        yield f"  for     {each.reason}\n"
        if len(each.flows) > 1:
            yield f"  and so  {count_noun(len(each.flows), 'entry')}\n"
    if len(stale) > MOST_SHOWN:
        yield f"and {len(stale) - MOST_SHOWN} more\n"
