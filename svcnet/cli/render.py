"""``svcnet render``: the rules of a node as text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from svcnet.cli.common import Inputs, input_options, load_manifests, read_inputs, write_output
from svcnet.errors import UsageError

if TYPE_CHECKING:
    from svcnet.compiler import NodeView


@click.command("render")
@input_options
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), help="That of the Node by default.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--jumps", is_flag=True, help="Add the jumps from the built-in chains.")
@click.option("--check", type=click.Path(path_type=Path), help="Compare with a golden file.")
@click.option("--since", metavar="OLD_PATH", help="Print only the step from older manifests.")
def command(
    family: str | None,
    output: Path | None,
    jumps: bool,
    check: Path | None,
    since: str | None,
    **options: Any,
) -> None:
    """Print the rules that a node would have for the manifests in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default.
    Standard output is exactly the text of a full sync for iptables-restore --noflush.
    """
    if since is not None and jumps:
        raise UsageError("--jumps belongs to a full text; a machine that --since is for has them")
    inputs = read_inputs(**options)
    view = inputs.view(family)
    text = _full(inputs, view, jumps) if since is None else _delta(inputs, view, since, options)
    if check is not None:
        _compare(check, text)
    else:
        write_output(text, output)


def _full(inputs: Inputs, view: NodeView, jumps: bool) -> str:
    from svcnet.compiler import compile_state
    from svcnet.renderers.iptables import full

    artifact = full(compile_state(inputs.state, view))
    return artifact.text_with_jumps if jumps else artifact.text


def _delta(inputs: Inputs, view: NodeView, since: str, options: dict[str, Any]) -> str:
    """Compile the old manifests for the same node and family, and write the step."""
    from svcnet.compiler import compile_state
    from svcnet.graph import diff
    from svcnet.renderers.iptables import delta

    settings = view.settings
    before = evolve(inputs, state=load_manifests((since,), options["strict"]).state)
    if before.state.nodes and settings.node_name not in before.state.nodes:
        raise UsageError(f"{since}: has no Node {settings.node_name!r}")
    before = evolve(before, node=settings.node_name)
    old = compile_state(before.state, before.view(settings.family.lower()))
    return delta(diff(old, compile_state(inputs.state, view))).text


def _compare(golden: Path, text: str) -> None:
    """Exit with 1 and a unified diff on standard output when the golden file differs."""
    from difflib import unified_diff

    try:
        expected = golden.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"{golden}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{golden}: is not text") from None
    if expected == text:
        return
    lines = unified_diff(expected.splitlines(True), text.splitlines(True), str(golden), "rendered")
    for line in lines:
        sys.stdout.write(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    sys.exit(1)
