"""``svcnet render``: the rules of a node as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import input_options, refuse_input_twice
from svcnet.cli.manner import stage
from svcnet.cli.modal import ModalCommand
from svcnet.cli.output import file_option, write_output
from svcnet.cli.paths import FilePath
from svcnet.errors import AbsentError, UsageError
from svcnet.inputs import (
    InputRequest,
    Inputs,
    Strictness,
    load_manifests,
    read_inputs,
    tell_findings,
)
from svcnet.modes import available
from svcnet.modes.options import enumerate_words

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.graph import GraphDiff
    from svcnet.inputs.golden import Golden
    from svcnet.modes import ArtifactText, Form

WHOLE = ("text", "transaction")
"""Forms that can be read back, as what is on a machine."""


@click.command(
    "render",
    cls=ModalCommand,
    examples=[
        ("What iptables-restore gets", "svcnet render examples/my-service"),
        (
            "The same Service in mode nftables",
            "svcnet render --mode nftables examples/my-service",
        ),
        (
            "Only what a change changes",
            "svcnet render --since examples/my-service examples/my-service",
        ),
        ("Those of one node of a cluster", "svcnet render --node node-a examples/my-service"),
    ],
)
@input_options
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), help="That of the Node by default.")
@file_option
@click.option("--check", type=FilePath(), help="Compare with a golden file.")
@click.option(
    "--update",
    "anew",
    type=FilePath(),
    help="Write a golden file if it differs, and say whether its meaning does.",
)
@click.option("--since", metavar="OLD", help="Print only the step from older manifests to PATH.")
def command(
    family: str | None,
    output: str,
    to: Path | None,
    check: Path | None,
    anew: Path | None,
    since: str | None,
    **options: Any,
) -> None:
    """Print the rules that a node would have for the manifests in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default.

    In mode iptables, standard output is exactly the text of a full sync for
    iptables-restore --noflush. In mode ipvs it has a section for each tool, under a
    heading for people; --section prints one, exactly as its tool reads it. In mode
    userspace it is the proxy's table, as comments, and the rules that lead traffic to it,
    for iptables-restore --noflush as well.
    """
    if sum(each is not None for each in (to, check, anew)) > 1:
        raise UsageError("only one of --to, --check and --update")
    if since is not None:
        refuse_input_twice((since,), options["paths"])
    with stage("reading"):
        inputs = read_inputs(InputRequest(**options))
    form = _form(inputs, output, step=since is not None)
    view = inputs.view(family)
    if since is None:
        written = _full(inputs, view, form)
    else:
        written = _delta(inputs, _step(inputs, view, since, options), form)
    tell_findings(written.findings, options["strict"])
    golden = check or anew
    if golden is None:
        write_output(written.text, to)
        return
    from svcnet.cli.golden.comparison import compare, update
    from svcnet.inputs.golden import Golden

    whole = output in WHOLE and since is None
    found = Golden(golden, written.text, inputs.mode.name, view.settings if whole else None)
    if check is not None:
        compare(found)
    else:
        update(found, found.expected_if_there())


def golden_of(file: Path, inputs: Inputs, family: str, output: str, strict: Strictness) -> Golden:
    """Return a golden file of what a node has for a family, in a form. Raises UsageError."""
    from svcnet.inputs.golden import Golden

    form = _form(inputs, output, step=False)
    view = inputs.view(family)
    written = _full(inputs, view, form)
    tell_findings(written.findings, strict)
    return Golden(file, written.text, inputs.mode.name, view.settings if output in WHOLE else None)


def _form(inputs: Inputs, output: str, *, step: bool) -> Form[Any, Any]:
    """Return how to write; raise UsageError for options that make no sense together."""
    mode = inputs.mode
    form = mode.forms.get(output)
    if form is None:
        having = [f"mode {name}" for name, each in available().items() if output in each.forms]
        forms = enumerate_words(list(mode.forms))
        raise UsageError(
            f"-o {output} is for {enumerate_words(having)}; mode {mode.name} has {forms}"
        )
    given = [option for option in mode.options if inputs.settings.given[option.name] is not None]
    for option in given:
        if option.form and option.name not in form.takes:
            raise UsageError(option.form)
    for option in given:
        if step and option.step:
            raise UsageError(option.step)
    if step and form.step is None:
        others = " or ".join(name for name, each in mode.forms.items() if each.step is not None)
        raise UsageError(f"-o {output} is a whole state; compare two, or see -o {others}")
    return form


def _full(inputs: Inputs, view: NodeView, form: Form[Any, Any]) -> ArtifactText:
    from svcnet.compiler import compile_state

    with stage("compiling"):
        graph = compile_state(inputs.state, view)
    artifact = inputs.mode.full(graph, inputs.settings)
    return form.full(artifact, inputs.settings.given)


def _delta(inputs: Inputs, step: GraphDiff, form: Form[Any, Any]) -> ArtifactText:
    delta = inputs.mode.delta(step, inputs.settings)
    assert form.step is not None
    return form.step(delta, inputs.settings.given)


def _step(inputs: Inputs, view: NodeView, since: str, options: dict[str, Any]) -> GraphDiff:
    """Compile the old manifests for the same node and family, and return the step from them."""
    from svcnet.compiler import compile_state
    from svcnet.graph import diff

    settings = view.settings
    before = evolve(
        inputs,
        state=load_manifests(
            (since,),
            options["strict"],
            options["from_pods"],
            options["ip_families"],
            assume=options["assume"],
            scope=options["scope"],
        ).state,
    )
    if before.state.nodes and settings.node_name not in before.state.nodes:
        raise AbsentError(f"{since}: has no Node {settings.node_name!r}")
    before = evolve(before, node=settings.node_name)
    with stage("compiling"):
        old = compile_state(before.state, before.view(settings.family.lower()))
    return diff(old, compile_state(inputs.state, view))
