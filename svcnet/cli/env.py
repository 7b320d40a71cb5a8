"""``svcnet env``: the variables that containers get for Services."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click
from attrs import frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.cli.assume import assume_options
from svcnet.cli.common import from_pods_option
from svcnet.cli.manner import stage
from svcnet.cli.output import form_option, write_output
from svcnet.cli.scope import named_path_options
from svcnet.cli.strictness import strict_options
from svcnet.cli.verb import Verb
from svcnet.errors import AbsentError, Diagnostic, UsageError
from svcnet.inputs import Strictness, load_manifests, tell_warnings
from svcnet.words import count_noun

if TYPE_CHECKING:
    from svcnet.discovery.environment import ContainerEnvironment, Environment, KernelLimits
    from svcnet.discovery.repository import Assumptions
    from svcnet.models import ClusterState, IPFamily, Pod
    from svcnet.sources import InputScope

PAGES_OF_A_STRING = 32
"""MAX_ARG_STRLEN in pages, from include/uapi/linux/binfmts.h."""

MOST_BYTES = 6 * 1024**2
"""What Linux allows at most, whatever the stack's limit (fs/exec.c); sysconf does not know it."""


@frozen
class EnvironmentReport:
    """What was asked for: the Services' variables, and the containers of a Pod if one is named."""

    environment: Environment
    containers: tuple[ContainerEnvironment, ...] = ()


@click.command(
    "env",
    cls=Verb,
    examples=[
        ("Commands for a shell", "svcnet env examples/my-service"),
        ("How much of ARG_MAX they take", "svcnet env --size examples/my-service"),
    ],
)
@named_path_options
@strict_options
@from_pods_option
@assume_options
@click.option(
    "-n",
    "--namespace",
    help="That of the container; that of the Pod, else default.",
)
@click.option(
    "--no-service-links",
    is_flag=True,
    help="As enableServiceLinks: false of a Pod: only Service default/kubernetes is told.",
)
@click.option(
    "--pod",
    metavar="NAME",
    help="Read namespace and enableServiceLinks from this Pod, and tell what its containers "
    "set themselves, in comments.",
)
@form_option(
    "shell",
    "dotenv",
    "json",
    "kubectl",
    default=None,
    meaning="Commands for sh (default); lines for docker --env-file and kubectl set env -; "
    "a document that says which Service set what; or the field env of a container, in YAML.",
)
@click.option(
    "--size",
    is_flag=True,
    help="Print only how much of ARG_MAX they take; with --pod, all variables of each container.",
)
def command(
    paths: tuple[str, ...],
    strict: Strictness,
    from_pods: bool,
    ip_families: tuple[IPFamily, ...],
    assume: Assumptions,
    scope: InputScope,
    namespace: str | None,
    no_service_links: bool,
    pod: str | None,
    output: str | None,
    size: bool,
) -> None:
    """Print the variables that the kubelet sets for the Services in PATH.

    PATH is a file, a folder, or - for standard input, which is also the default.
    Variables are those of a container that is started now, in the order of their names.
    """
    if size and output:
        raise UsageError("--size prints sizes and no variables; leave out -o")
    if pod is not None and no_service_links:
        raise UsageError("whether there are service links is said by the Pod that --pod names")
    with stage("reading"):
        loaded = load_manifests(
            paths, strict, from_pods, ip_families, endpoints=False, assume=assume, scope=scope
        )
    state = loaded.state
    told = _report(state, namespace, pod, service_links=not no_service_links)
    mistyped = _emptiness(state, told.environment.namespace) if pod is None else ()
    remarks = loaded.locate_remarks(
        (
            remark.check,
            state.services[remark.service],
            ("metadata", "name"),
            remark.message,
        )
        for remark in told.environment.remarks()
    )
    tell_warnings([*mistyped, *remarks], strict)
    write_output(_sizes(told, strict) if size else _text(told, output or "shell"), None)


def _report(
    state: ClusterState, namespace: str | None, pod: str | None, *, service_links: bool
) -> EnvironmentReport:
    from svcnet.discovery.environment import environment, pod_environment

    if pod is None:
        return EnvironmentReport(
            environment(state, namespace or "default", service_links=service_links)
        )
    return EnvironmentReport(*pod_environment(state, _pod(state, namespace, pod)))


def _pod(state: ClusterState, namespace: str | None, name: str) -> Pod:
    """Return the Pod of this name, of whatever namespace if none is given."""
    found = [
        key for key in sorted(state.pods) if key.name == name and namespace in (None, key.namespace)
    ]
    if not found:
        where = f" in namespace {namespace!r}" if namespace is not None else ""
        raise AbsentError(f"the input has no Pod {name!r}{where}")
    if len(found) > 1:
        raise UsageError(f"say --namespace: the input has Pods {', '.join(map(str, found))}")
    return state.pods[found[0]]


def _emptiness(state: ClusterState, namespace: str) -> Iterator[Diagnostic]:
    """Yield a warning when no Service is in the namespace: its name may be mistyped."""
    if all(service.namespace != namespace for service in state.services.values()):
        message = f"no Service of the input is in namespace {namespace!r}"
        yield _warning(checks.EMPTY_NAMESPACE, message)


def _warning(check: Check, message: str) -> Diagnostic:
    return Diagnostic("", 0, "", "", message, "warning", check=check)


def _text(told: EnvironmentReport, output: str) -> str:
    from svcnet.discovery import environment as forms

    if output == "json":
        return _document(told)
    variables = {variable.name: variable.value for variable in told.environment.variables}
    write = {"shell": forms.shell, "dotenv": forms.dotenv, "kubectl": forms.env_list}[output]
    return write(variables) + forms.notes(told.containers)


def _document(told: EnvironmentReport) -> str:
    document: dict[str, object] = {
        "namespace": told.environment.namespace,
        "variables": [
            {"name": variable.name, "value": variable.value, "service": str(variable.origin)}
            for variable in told.environment.variables
        ],
    }
    if told.containers:
        document["containers"] = [_container(container) for container in told.containers]
    return json.dumps(document, indent=2) + "\n"


def _container(container: ContainerEnvironment) -> dict[str, object]:
    """Return what a container sets itself; a value that valueFrom gives is null."""
    return {
        "name": container.name,
        "envFrom": container.env_from,
        "overrides": [
            {"name": override.replaced.name, "value": override.value}
            for override in container.overrides
        ],
    }


def _sizes(told: EnvironmentReport, strict: Strictness) -> str:
    """Return the sizes of the Services' variables, or of all that each container has."""
    if not told.containers:
        found = {variable.name: variable.value for variable in told.environment.variables}
        return _size(found, "", strict)
    return "".join(
        _size(
            {name: value or "" for name, value in container.values.items()},
            f"container {container.name}: ",
            strict,
        )
        for container in told.containers
    )


def _size(variables: Mapping[str, str], prefix: str, strict: Strictness) -> str:
    from svcnet.discovery.environment import size_of

    limits = _limits()
    size = size_of(variables, limits)
    warnings = (
        _warning(checks.ENVIRONMENT_SIZE, f"{prefix}{text}") for text in size.warnings(limits)
    )
    tell_warnings(warnings, strict)
    share = 100 * size.total / limits.total
    return (
        f"{prefix}{count_noun(size.count, 'variable')}\n"
        f"{prefix}{count_noun(size.total, 'byte')} of {limits.total:,} (ARG_MAX), {share:.1f} %\n"
        f"{prefix}{count_noun(size.longest, 'byte')} of {limits.string:,} in the longest\n"
    )


def _limits() -> KernelLimits:
    """Return what this machine's kernel allows."""
    from svcnet.discovery.environment import KernelLimits

    return KernelLimits(
        total=min(os.sysconf("SC_ARG_MAX"), MOST_BYTES),
        string=PAGES_OF_A_STRING * os.sysconf("SC_PAGE_SIZE"),
        pointer=struct.calcsize("P"),
    )
