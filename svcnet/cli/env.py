"""``svcnet env``: the variables that containers get for Services."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from svcnet.cli.common import load_manifests, manifest_options, tell_warnings, write_output
from svcnet.errors import Diagnostic, UsageError

if TYPE_CHECKING:
    from svcnet.discovery.environment import Environment, Limits
    from svcnet.models import ClusterState

PAGES_OF_A_STRING = 32
"""MAX_ARG_STRLEN in pages, from include/uapi/linux/binfmts.h."""


@click.command("env")
@manifest_options
@click.option("--namespace", default="default", show_default=True, help="That of the container.")
@click.option(
    "--no-service-links",
    is_flag=True,
    help="As enableServiceLinks: false of a Pod: only Service default/kubernetes is told.",
)
@click.option(
    "--output",
    type=click.Choice(["shell", "dotenv", "json", "kubectl"]),
    help="Commands for sh (default); lines for docker --env-file and kubectl set env -; "
    "a document that says which Service set what; or the field env of a container, in YAML.",
)
@click.option("--size", is_flag=True, help="Print only how much of ARG_MAX they take.")
def command(
    paths: tuple[str, ...],
    strict: bool,
    namespace: str,
    no_service_links: bool,
    output: str | None,
    size: bool,
) -> None:
    """Print the variables that the kubelet sets for the Services in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default.
    Variables are those of a container that is started now, in the order of their names.
    """
    from svcnet.discovery.environment import environment

    if size and output:
        raise UsageError("--size prints sizes and no variables; leave out --output")
    state = load_manifests(paths, strict).state
    told = environment(state, namespace, service_links=not no_service_links)
    tell_warnings([*_emptiness(state, namespace), *told.warnings()], strict)
    write_output(_sizes(told, strict) if size else _text(told, output or "shell"), None)


def _emptiness(state: ClusterState, namespace: str) -> Iterator[Diagnostic]:
    """Yield a warning when no Service is in the namespace: its name may be mistyped."""
    if all(service.namespace != namespace for service in state.services.values()):
        yield _warning(f"no Service of the input is in namespace {namespace!r}")


def _warning(message: str) -> Diagnostic:
    return Diagnostic("", 0, "", "", message, "warning")


def _text(told: Environment, output: str) -> str:
    from svcnet.discovery import environment as forms

    variables = {variable.name: variable.value for variable in told.variables}
    if output == "json":
        return _document(told)
    write = {"shell": forms.shell, "dotenv": forms.dotenv, "kubectl": forms.env_list}[output]
    return write(variables)


def _document(told: Environment) -> str:
    import orjson

    variables = [
        {"name": variable.name, "value": variable.value, "service": str(variable.origin)}
        for variable in told.variables
    ]
    document = {"namespace": told.namespace, "variables": variables}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _sizes(told: Environment, strict: bool) -> str:
    from svcnet.discovery.environment import size_of

    limits = _limits()
    size = size_of({variable.name: variable.value for variable in told.variables}, limits)
    tell_warnings(map(_warning, size.warnings(limits)), strict)
    share = 100 * size.total / limits.total
    return (
        f"{size.count} variables\n"
        f"{size.total} bytes of {limits.total} (ARG_MAX), {share:.1f} %\n"
        f"{size.longest} bytes of {limits.string} in the longest\n"
    )


def _limits() -> Limits:
    """Return what this machine's kernel allows."""
    from svcnet.discovery.environment import Limits

    return Limits(
        total=os.sysconf("SC_ARG_MAX"),
        string=PAGES_OF_A_STRING * os.sysconf("SC_PAGE_SIZE"),
        pointer=struct.calcsize("P"),
    )
