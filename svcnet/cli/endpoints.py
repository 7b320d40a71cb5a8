"""``svcnet endpoints``: the endpoints that selectors find."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from svcnet.cli.assume import assume_options
from svcnet.cli.common import ip_families_option, path_options
from svcnet.cli.manner import stage
from svcnet.cli.output import form_option, write_output
from svcnet.cli.tables import table_lines, terminal_width
from svcnet.cli.verb import Verb
from svcnet.errors import one_line
from svcnet.inputs import Strictness, load_manifests
from svcnet.natural import natural_key

if TYPE_CHECKING:
    from svcnet.discovery.repository import Assumptions
    from svcnet.models import (
        EndpointAddress,
        EndpointPort,
        Endpoints,
        EndpointSlice,
        IPFamily,
        TargetRef,
    )
    from svcnet.sources import InputScope

Document = dict[str, Any]
Row = tuple[str, ...]

MAX_CELL = 1000
HEADERS = ("SERVICE", "NAME", "ADDRESS", "CONDITION", "PORTS", "TARGET", "NODE", "ZONE")


@click.command(
    "endpoints",
    cls=Verb,
    examples=[
        (
            "EndpointSlices as the controllers make them",
            "svcnet endpoints examples/from-pods",
        ),
        ("A line for each endpoint", "svcnet endpoints --output table examples/from-pods"),
    ],
)
@path_options
@ip_families_option
@assume_options
@click.option(
    "--kind",
    type=click.Choice(["slices", "endpoints"]),
    default="slices",
    show_default=True,
    help="EndpointSlices, those that mirror Endpoints too; or the older Endpoints.",
)
@form_option(
    "yaml",
    "json",
    "table",
    default="yaml",
    meaning="Manifests, a List of them, or a line for each endpoint.",
)
def command(
    paths: tuple[str, ...],
    strict: Strictness,
    ip_families: tuple[IPFamily, ...],
    assume: Assumptions,
    scope: InputScope,
    kind: str,
    output: str,
) -> None:
    """Print the endpoints that the Services in PATH have by the Pods there.

    PATH is a file, a folder, or - for standard input, which is also the default. The rules
    are those of Kubernetes's controllers. EndpointSlices of a controller that are in PATH
    are changed as little as these rules allow.
    """
    from svcnet.discovery.endpoints import (
        endpoints_manifest,
        endpoints_of,
        slice_manifest,
        slices_of,
    )

    with stage("reading"):
        state = load_manifests(
            paths, strict, True, ip_families, anew=True, assume=assume, scope=scope
        ).state
    if kind == "slices":
        slices = slices_of(state)
        texts = _write(output, map(slice_manifest, slices), lambda: _slice_rows(slices))
    else:
        found = endpoints_of(state)
        texts = _write(output, map(endpoints_manifest, found), lambda: _subset_rows(found))
    for text in texts:
        write_output(text, None)


def _write(
    output: str, documents: Iterable[Document], rows: Callable[[], Iterator[Row]]
) -> Iterator[str]:
    """Yield what is to be printed, a document at a time: all of them take much more memory."""
    match output:
        case "table":
            yield _table([HEADERS, *sorted(rows(), key=_sort_key)])
        case "json":
            yield from _list(documents)
        case _:
            import yaml

            start = ""
            for document in documents:
                yield start + yaml.safe_dump(document, sort_keys=False)
                start = "---\n"


def _list(documents: Iterable[Document]) -> Iterator[str]:
    """Yield a List of documents in JSON."""
    yield '{\n  "apiVersion": "v1",\n  "kind": "List",\n  "items": ['
    start, end = "\n    ", "]\n}\n"
    for document in documents:
        yield start + json.dumps(document, indent=2).replace("\n", "\n    ")
        start, end = ",\n    ", "\n  ]\n}\n"
    yield end


def _sort_key(row: Row) -> tuple[object, ...]:
    """Return what sorts rows by Service and slice, as people count; in a slice they stay."""
    return natural_key(row[0]), natural_key(row[1])


def _table(rows: list[Row]) -> str:
    """Return columns that are as wide as what is in them; "-" is for nothing."""
    shown = [[one_line(cell, MAX_CELL) or "-" for cell in row] for row in rows]
    return "".join(f"{line}\n" for line in table_lines(shown, terminal_width()))


def _slice_rows(slices: Iterable[EndpointSlice]) -> Iterator[Row]:
    for item in slices:
        where = f"{item.namespace}/{item.service_name}", item.name
        if not item.endpoints:
            yield (*where, "", "no endpoints", _ports(item.ports), "", "", "")
        for endpoint in item.endpoints:
            conditions = ["ready" if endpoint.ready else "not ready"]
            if endpoint.terminating:
                conditions.append("terminating")
            if endpoint.serving != endpoint.ready:
                conditions.append("serving" if endpoint.serving else "not serving")
            yield (
                *where,
                ",".join(endpoint.addresses),
                ", ".join(conditions),
                _ports(item.ports),
                _target(endpoint.target_ref),
                endpoint.node_name,
                endpoint.zone,
            )


def _subset_rows(found: Iterable[Endpoints]) -> Iterator[Row]:
    for item in found:
        where = f"{item.namespace}/{item.name}", item.name
        if not item.subsets:
            yield (*where, "", "no endpoints", "", "", "", "")
        for subset in item.subsets:
            ports = _ports(subset.ports)
            for address in subset.addresses:
                yield (*where, *_address(address, "ready", ports))
            for address in subset.not_ready_addresses:
                yield (*where, *_address(address, "not ready", ports))


def _address(address: EndpointAddress, condition: str, ports: str) -> Row:
    return address.ip, condition, ports, _target(address.target_ref), address.node_name, ""


def _target(target: TargetRef | None) -> str:
    return f"{target.kind} {target.name}" if target else ""


def _ports(ports: Iterable[EndpointPort]) -> str:
    return ",".join(
        f"{port.name}:{port.port}/{port.protocol}" if port.name else f"{port.port}/{port.protocol}"
        for port in ports
    )
