"""``svcnet render``: the rules of a node as text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve, frozen

from svcnet.cli.common import input_options, port_choice, port_options, write_output
from svcnet.errors import AbsentError, UsageError
from svcnet.files import KIB, read_text
from svcnet.inputs import Inputs, Strictness, load_manifests, read_inputs, tell_unsupported

if TYPE_CHECKING:
    from svcnet.compiler import NodeView
    from svcnet.graph import GraphDiff, RuleGraph

TOOLS = ("sysctl", "ipset", "iptables", "ipvsadm", "ip")
MOST_GOLDEN_BYTES = 256 * KIB * KIB
"""The largest file that is compared with, as with manifests."""

OUTPUTS = {
    "iptables": ("text",),
    "ipvs": ("text", "json", "messages"),
    "userspace": ("text", "json", "haproxy"),
}
"""The forms that each mode has."""


@frozen
class Form:
    """How the rules are written, as the options say."""

    output: str
    section: str | None
    jumps: bool
    since: str | None
    strict: Strictness
    proxy_port_range: str | None
    proxy_port_seed: str | None

    def check(self, mode: str) -> None:
        """Raise UsageError for options that make no sense together, or not in `mode`."""
        forms = _listed(OUTPUTS[mode])
        for wrong, why in (
            (
                self.output not in OUTPUTS[mode],
                f"--output {self.output} is for {_modes(self.output)}; mode {mode} has {forms}",
            ),
            (
                mode != "ipvs" and self.section,
                f"--section is for mode ipvs; mode {mode} has one text for one tool",
            ),
            (
                mode != "userspace" and self.proxy_port_range is not None,
                f"--proxy-port-range is for mode userspace; mode {mode} has no proxy ports",
            ),
            (
                mode != "userspace" and self.proxy_port_seed is not None,
                f"--proxy-port-seed is for mode userspace; mode {mode} has no proxy ports",
            ),
            (self.section and self.output != "text", "--section is one of --output text"),
            (
                self.jumps and (self.output != "text" or self.section not in (None, "iptables")),
                "--jumps are rules of iptables; the output that was asked for has none",
            ),
            (
                self.since is not None and self.jumps,
                "--jumps belongs to a full text; a machine that --since is for has them",
            ),
            (
                self.since is not None and self.section,
                "--section cuts a full text; the sections of a step take turns",
            ),
            (
                self.since is not None and self.output in ("json", "haproxy"),
                f"--output {self.output} is a whole state; compare two, or see --output text"
                + (" or messages" if mode == "ipvs" else ""),
            ),
        ):
            if wrong:
                raise UsageError(why)


def _modes(output: str) -> str:
    return _listed([f"mode {mode}" for mode, outputs in OUTPUTS.items() if output in outputs])


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


@click.command("render")
@input_options
@click.option("--family", type=click.Choice(["ipv4", "ipv6"]), help="That of the Node by default.")
@click.option(
    "--output",
    type=click.Choice(["text", "json", "messages", "haproxy"]),
    default="text",
    show_default=True,
    help="Text for the standard tools; in modes ipvs and userspace also a JSON document, "
    "in mode ipvs netlink messages, in mode userspace a configuration of HAProxy.",
)
@click.option("--section", type=click.Choice(TOOLS), help="Mode ipvs: only one tool's text.")
@click.option("-o", "--to", type=click.Path(path_type=Path), help="Write to a file.")
@click.option("--jumps", is_flag=True, help="Add the jumps from the built-in chains.")
@click.option("--check", type=click.Path(path_type=Path), help="Compare with a golden file.")
@click.option("--since", metavar="OLD_PATH", help="Print only the step from older manifests.")
@port_options
def command(
    family: str | None,
    output: str,
    section: str | None,
    to: Path | None,
    jumps: bool,
    check: Path | None,
    since: str | None,
    proxy_port_range: str | None,
    proxy_port_seed: str | None,
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
    strict = options["strict"]
    form = Form(output, section, jumps, since, strict, proxy_port_range, proxy_port_seed)
    inputs = read_inputs(**options)
    form.check(inputs.mode)
    view = inputs.view(family)
    if since is None:
        text = _full(inputs, view, form)
    else:
        text = _delta(inputs, _step(inputs, view, since, options), form)
    if check is not None:
        _compare(check, text)
    else:
        write_output(text, to)


def _full(inputs: Inputs, view: NodeView, form: Form) -> str:
    from svcnet.compiler import compile_state

    graph = compile_state(inputs.state, view)
    if inputs.mode == "ipvs":
        return _full_ipvs(graph, form)
    if inputs.mode == "userspace":
        return _full_userspace(graph, inputs, form)
    return _full_iptables(graph, form)


def _full_iptables(graph: RuleGraph, form: Form) -> str:
    from svcnet.renderers.iptables import full

    artifact = full(graph)
    return artifact.text_with_jumps if form.jumps else artifact.text


def _full_ipvs(graph: RuleGraph, form: Form) -> str:
    from svcnet.renderers import ipvs

    tables = ipvs.full(graph)
    if form.output == "json":
        return ipvs.document(tables)
    if form.output == "messages":
        return ipvs.listing(ipvs.program(tables))
    if form.section is not None:
        return ipvs.section(tables, form.section, jumps=form.jumps)
    return ipvs.text(tables, jumps=form.jumps)


def _full_userspace(graph: RuleGraph, inputs: Inputs, form: Form) -> str:
    from svcnet.renderers import userspace

    choice = port_choice(inputs.config, form.proxy_port_range, form.proxy_port_seed)
    table = userspace.full(graph, choice)
    if form.output == "haproxy":
        text, unsupported = userspace.haproxy_config(table)
        tell_unsupported(unsupported, form.strict)
        return text
    tell_unsupported(table.unsupported, form.strict)
    if form.output == "json":
        return userspace.document(table)
    return userspace.text(table, jumps=form.jumps)


def _delta(inputs: Inputs, step: GraphDiff, form: Form) -> str:
    if inputs.mode == "ipvs":
        return _delta_ipvs(step, form)
    if inputs.mode == "userspace":
        return _delta_userspace(step, inputs, form)
    from svcnet.renderers.iptables import delta

    return delta(step).text


def _delta_userspace(step: GraphDiff, inputs: Inputs, form: Form) -> str:
    from svcnet.renderers import userspace

    choice = port_choice(inputs.config, form.proxy_port_range, form.proxy_port_seed)
    change = userspace.delta(step, choice)
    tell_unsupported(change.new.unsupported, form.strict)
    return userspace.step_text(change)


def _delta_ipvs(step: GraphDiff, form: Form) -> str:
    from svcnet.renderers import ipvs

    change = ipvs.delta(step)
    if form.output == "messages":
        return ipvs.listing([*ipvs.additions(change), *ipvs.removals(change)])
    return ipvs.step_text(change)


def _step(inputs: Inputs, view: NodeView, since: str, options: dict[str, Any]) -> GraphDiff:
    """Compile the old manifests for the same node and family, and return the step from them."""
    from svcnet.compiler import compile_state
    from svcnet.graph import diff

    settings = view.settings
    before = evolve(
        inputs,
        state=load_manifests(
            (since,), options["strict"], options["from_pods"], options["ip_families"]
        ).state,
    )
    if before.state.nodes and settings.node_name not in before.state.nodes:
        raise AbsentError(f"{since}: has no Node {settings.node_name!r}")
    before = evolve(before, node=settings.node_name)
    old = compile_state(before.state, before.view(settings.family.lower()))
    return diff(old, compile_state(inputs.state, view))


def _compare(golden: Path, text: str) -> None:
    """Exit with 1 and a unified diff on standard output when the golden file differs."""
    from difflib import unified_diff

    try:
        expected = read_text(golden, MOST_GOLDEN_BYTES)
    except OSError as error:
        raise UsageError(f"{golden}: cannot be read: {error.strerror}") from None
    if expected == text:
        return
    lines = unified_diff(expected.splitlines(True), text.splitlines(True), str(golden), "rendered")
    for line in lines:
        sys.stdout.write(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    sys.exit(1)
