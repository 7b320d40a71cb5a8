"""``svcnet graph``: the rule graph as text or as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import input_options
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import form_option, write_output
from svcnet.errors import AbsentError
from svcnet.inputs import InputRequest, read_inputs

if TYPE_CHECKING:
    from svcnet.graph import RuleGraph


@click.command(
    "graph",
    cls=ModalCommand,
    examples=[
        ("All decisions, as text", "svcnet graph examples/my-service"),
        ("A drawing, for Graphviz", "svcnet graph --output dot examples/my-service"),
    ],
)
@input_options
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), help="That of the Node by default.")
@form_option(
    "text",
    "dot",
    default="text",
    meaning="The canonical dump, or a drawing for Graphviz.",
)
@click.option("--service", metavar="[NAMESPACE/]NAME", help="Only this Service.")
def command(family: str | None, output: str, service: str | None, **options: Any) -> None:
    """Print the decisions that a node makes about packets, for the manifests in PATH."""
    from svcnet.compiler import compile_state
    from svcnet.graph import dot, dump

    with stage("reading"):
        inputs = read_inputs(InputRequest(**options))
    with stage("compiling"):
        graph = compile_state(inputs.state, inputs.view(family))
    if service is not None:
        graph = _only(graph, service)
    write_output(dot(graph) if output == "dot" else dump(graph), None)


def _only(graph: RuleGraph, service: str) -> RuleGraph:
    namespace, _, name = service.rpartition("/")
    wanted = (namespace or "default", name)
    others = [found for found in graph.fragments if found[:2] != wanted]
    if len(others) == len(graph.fragments):
        raise AbsentError(f"no rules are made for a Service {'/'.join(wanted)}")
    fragments = graph.fragments
    for found in others:
        fragments = fragments.delete(found)
    return evolve(graph, fragments=fragments)
