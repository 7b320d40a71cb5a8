"""``svcnet explain``: which rule a packet hits, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from svcnet.cli.common import input_options
from svcnet.cli.dump import rules_options
from svcnet.cli.explain_rules import (
    RulesRequest,
    machine_destination,
    machine_question,
    machine_sender,
    refuse_two_sources,
)
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import form_option, write_output
from svcnet.errors import AbsentError, UsageError, one_line
from svcnet.files import KIB, read_small
from svcnet.inputs import FAMILIES, InputRequest, read_located
from svcnet.inputs.questions import question_of
from svcnet.inputs.standard_input import standard_input

if TYPE_CHECKING:
    from svcnet.discovery.dns import Search
    from svcnet.graph import Packet
    from svcnet.meaning.explanation.asking import AskedPacket
    from svcnet.meaning.explanation.destinations import Destination
    from svcnet.meaning.explanation.explanation import Ends, Explanation
    from svcnet.meaning.explanation.question import Question
    from svcnet.meaning.explanation.trace import TraceLine

MOST_LINE_BYTES = 1 << 16
"""The longest line of a trace that is read as one."""

MOST_TRACE_BYTES = 256 * KIB * KIB
"""The largest file of a trace that is read; standard input has no end."""

MOST_FIRST_LINES = 1000
"""Of what begins with so many lines that are of no trace nobody waits for one."""


@click.command(
    "explain",
    cls=ModalCommand,
    examples=[
        (
            "A Pod asks a Service",
            "svcnet explain --from 10.244.2.6 --to 10.96.0.100:80 examples/my-service",
        ),
        (
            "Somebody outside asks a cluster IP",
            "svcnet explain --to 10.96.0.100:80 examples/my-service",
        ),
        ("A table of all Services and senders", "svcnet explain --all examples/my-service"),
    ],
)
@input_options
@click.option(
    "--from",
    "who",
    metavar="WHO",
    default="outside",
    show_default=True,
    help="Who sends it: an address, pod/NAMESPACE/NAME, node, node/NAME, or outside.",
)
@click.option(
    "--to",
    "where",
    metavar="WHERE",
    help="ADDRESS:PORT, service/NAMESPACE/NAME[:PORT] or a DNS name with :PORT; behind each "
    "/tcp, /udp or /sctp.",
)
@click.option("--interface", metavar="NAME", help="The interface by which it comes in.")
@click.option(
    "--affinity",
    metavar="ADDRESS:PORT",
    multiple=True,
    help="An endpoint that session affinity remembers for the sender. Repeatable.",
)
@click.option("--all", "every", is_flag=True, help="A table of all frontends and kinds of senders.")
@click.option(
    "--trace",
    metavar="FILE",
    help="Lines of nft monitor trace or xtables-monitor -t to explain; - is standard input.",
)
@rules_options("Ask")
@click.option("--service", metavar="[NAMESPACE/]NAME", help="With --all: only this Service.")
@click.option("--family", type=click.Choice([*FAMILIES]), help="That of the Node by default.")
@form_option(
    "text",
    "json",
    "dot",
    "html",
    default="text",
    meaning="For people, for programs, a drawing for Graphviz, or a page for a browser.",
)
def command(
    who: str,
    where: str | None,
    interface: str | None,
    affinity: tuple[str, ...],
    every: bool,
    trace: str | None,
    live: bool,
    files: tuple[Path, ...],
    service: str | None,
    family: str | None,
    output: str,
    **options: Any,
) -> None:
    """Say what becomes of a packet on a node, by which rules, and by which fields of PATH.

    PATH is a file, a folder, or - for standard input, which is also the default. The verdict comes
    first, then the way of the packet: each decision, the field of an object that made it with its
    file and line, and the very rules of the mode. Of a packet that no endpoint gets, changes
    follow that would let it through; each was made and tried.

    With --rules or --live it is asked of rules that a machine has, whoever wrote them. PATH may be
    left out then: each rule is told with its line, and beside objects with its Service and field.
    """
    if (where is not None) + every + (trace is not None) != 1:
        raise UsageError("say --to WHERE for one packet, --all for a table, or --trace FILE")
    if service is not None and not every:
        raise UsageError("--service is for --all; --to service/NAMESPACE/NAME is one packet")
    if where is None:
        _refuse_with_all(who, interface, affinity, output)
    refuse_two_sources(files, live, trace)
    if trace is not None:
        _trace(trace, family, output, options)
        return
    asked = PacketRequest(who, where, interface, affinity, family, options)
    if live or files:
        write_output(_of_rules(asked, files, service, output), None)
    elif every:
        with stage("reading"):
            inputs, loaded = read_located(InputRequest(**options))
        write_output(_table(question_of(inputs, loaded, family), service, output), None)
    else:
        write_output(_one(asked, output), None)


def _refuse_with_all(
    who: str, interface: str | None, affinity: tuple[str, ...], output: str
) -> None:
    if who != "outside" or interface is not None or affinity:
        raise UsageError("--from, --interface and --affinity are for --to, one packet")
    if output == "dot":
        raise UsageError("-o dot draws one packet; svcnet graph -o dot draws all")
    if output == "html":
        raise UsageError("-o html shows one packet; svcnet report shows all")


def _trace(file: str, family: str | None, output: str, options: dict[str, Any]) -> None:
    """Explain a trace line by line, as its lines come."""
    from svcnet.meaning.explanation.trace import TraceReading

    paths = options["paths"]
    if file == "-" and (not paths or "-" in paths):
        raise UsageError("--trace - is standard input, and so is what PATH is: name a file")
    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**options))
    reading = TraceReading(question_of(inputs, loaded, family))
    found = map(reading.read, _lines_of(file))
    if output == "json":
        write_output(json.dumps([each.to_dict() for each in found], indent=1) + "\n", None)
        return
    for each in found:
        write_output("".join(f"{line}\n" for line in _write_line(each)), None)


def _lines_of(file: str) -> Iterator[str]:
    """Yield the lines of a trace, none before it is sure to be one; else raise UsageError."""
    from svcnet.meaning.explanation.trace import is_of_trace

    first: list[str] = []
    is_trace = False
    for line in _given_lines(file):
        is_trace = is_trace or is_of_trace(line)
        first.append(line)
        if is_trace:
            yield from first
            first.clear()
        elif len(first) > MOST_FIRST_LINES:
            break
    if not is_trace:
        raise UsageError(f"{file}: has no line of nft monitor trace or xtables-monitor -t")


def _given_lines(file: str) -> Iterator[str]:
    """Yield the lines of a file, or of standard input as they come."""
    if file == "-":
        with standard_input() as stream:
            for data in iter(lambda: stream.readline(MOST_LINE_BYTES), b""):
                yield data.decode(errors="replace").rstrip("\r\n")
        return
    try:
        whole = read_small(file, MOST_TRACE_BYTES)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    yield from whole.decode(errors="replace").removesuffix("\n").replace("\r\n", "\n").split("\n")


def _write_line(line: TraceLine) -> Iterator[str]:
    yield one_line(line.text)
    if line.told:
        place = "" if line.place is None else f"  ({line.place.file}:{line.place.line})"
        origin = "" if line.origin is None else f": {line.origin}{place}"
        yield one_line(f"    = {line.told}{origin}")


def _table(
    question: Question,
    service: str | None,
    output: str,
    ends: Callable[[Packet], Ends] | None = None,
) -> str:
    """Return the table of frontends; `ends` says what becomes of a packet, if not the mode."""
    from svcnet.meaning.explanation.overview import overview, text
    from svcnet.meaning.explanation.text import GOES_ON, LEFT_ALONE
    from svcnet.models import NamespacedName

    only = None
    if service is not None:
        namespace, _, name = service.rpartition("/")
        only = NamespacedName(namespace or "default", name)
    rows = overview(question, only, ends)
    if only is not None and not rows:
        raise AbsentError(f"no rules are made for a Service {only}")
    if output == "json":
        found = [row.to_dict() for row in rows]
        document = {"node": question.node, "mode": question.mode.name, "frontends": found}
        return json.dumps(document, indent=1) + "\n"
    return text(rows, GOES_ON if ends else LEFT_ALONE)


@frozen
class PacketRequest:
    """What is asked of one packet, as the options have it; `options` are those about objects."""

    who: str
    where: str | None
    interface: str | None
    affinity: tuple[str, ...]
    family: str | None
    options: dict[str, Any]

    @property
    def packet(self) -> AskedPacket:
        """What is asked for, as a value."""
        from svcnet.meaning.explanation.asking import AskedPacket
        from svcnet.meaning.explanation.destinations import target

        assert self.where is not None
        return AskedPacket(self.who, target(self.where), self.interface, self.affinity)

    @property
    def asked_family(self) -> str | None:
        """The word for the IP family that addresses decide, or else the option."""
        found = self.packet.family(FAMILIES[self.family] if self.family else None)
        return None if found is None else found.lower()


def _one(asked: PacketRequest, output: str) -> str:
    from svcnet.meaning.explanation.explain import explain

    chosen = asked.asked_family
    with stage("reading"):
        inputs, loaded = read_located(InputRequest(**asked.options))
    question = question_of(inputs, loaded, chosen)
    packet, found = asked.packet.packet(question)
    explanation = explain(question, packet)
    if output == "html":
        from svcnet.page.html import page
        from svcnet.page.site import packet_content

        lookup = tuple(_lookup_lines(found, packet))
        return page(packet_content(question, explanation, asked.who, lookup))
    return _write(explanation, found, output)


def _of_rules(
    asked: PacketRequest, files: tuple[Path, ...], service: str | None, output: str
) -> str:
    """Return what rules do that a machine has."""
    from svcnet.meaning.explanation.explanation import no_excerpt
    from svcnet.meaning.explanation.machine import ends_by_rules, explain_rules

    family = asked.family
    if asked.where is not None:
        family = asked.asked_family
    found = machine_question(RulesRequest(files, family, asked.options), question_of)
    if asked.where is None:
        if found.objects is None:
            raise UsageError("--all is a table of Services: name the objects' PATH beside --rules")
        return _table(found.objects, service, output, partial(ends_by_rules, found))
    if found.objects is not None:
        packet, destination = asked.packet.packet(found.objects)
    else:
        destination = machine_destination(asked.packet.target)
        sender = machine_sender(asked.who, found)
        packet = asked.packet.to(destination, sender, asked.interface or "")
        found = evolve(found, is_outside=asked.who == "outside")
    explanation = explain_rules(found, packet)
    if output == "html":
        from svcnet.page.html import page
        from svcnet.page.site import rules_content

        excerpt = no_excerpt if found.objects is None else found.objects.excerpt
        lookup = tuple(_lookup_lines(destination, packet))
        return page(rules_content(explanation, asked.who, excerpt, lookup))
    return _write(explanation, destination, output)


def _write(explanation: Explanation, found: Destination, output: str) -> str:
    """Return an explanation in a form."""
    if output == "dot":
        from svcnet.meaning.explanation.dot import dot

        return dot(explanation)
    packet = explanation.packet
    if output == "json":
        lookup = None if found.lookup is None else _lookup_document(found.lookup, packet)
        return json.dumps({"lookup": lookup, **explanation.to_dict()}, indent=1) + "\n"
    from svcnet.meaning.explanation.text import text

    return text(explanation, tuple(_lookup_lines(found, packet)))


def _rdtype(packet: Packet) -> str:
    return "A" if packet.family == "IPv4" else "AAAA"


def _lookup_lines(found: Destination, packet: Packet) -> Iterator[str]:
    from svcnet.cli.dns.lookup import lookup_lines
    from svcnet.discovery.dns.search import NDOTS

    if found.lookup is None:
        return
    yield from lookup_lines(found.lookup, _rdtype(packet), NDOTS)
    if found.others:
        yield f"a client may take any of these addresses; this is told of {found.address} alone"


def _lookup_document(found: Search, packet: Packet) -> dict[str, Any]:
    from svcnet.cli.dns.lookup import lookup_document
    from svcnet.discovery.dns.search import NDOTS

    return lookup_document(found, _rdtype(packet), NDOTS)
