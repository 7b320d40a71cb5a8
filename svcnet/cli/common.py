"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from svcnet.cli.assume import assume_options
from svcnet.cli.modal import ModeName
from svcnet.cli.paths import FilePath
from svcnet.cli.scope import named_path_options, namespace_option
from svcnet.cli.strictness import strict_options
from svcnet.errors import UsageError
from svcnet.inputs import FAMILIES

if TYPE_CHECKING:
    from svcnet.models import IPFamily

Function = TypeVar("Function", bound=Callable[..., Any])


def path_options(function: Function) -> Function:
    """Add PATH…, --strict and --ignore, which every verb has that reads manifests."""
    return named_path_options(namespace_option(strict_options(function)))


def ip_families(text: str) -> tuple[IPFamily, ...]:
    """Return the IP families that an option names: one, or both with a comma between."""
    names = [name.strip().lower() for name in text.split(",")]
    if not set(names) <= set(FAMILIES) or len(set(names)) < len(names):
        raise click.BadParameter(f"must be IPv4, IPv6, or both with a comma; not {text!r}")
    return tuple(FAMILIES[name] for name in names)


def ip_families_option(function: Function) -> Function:
    """Add --ip-families, for verbs that make what a cluster would make of manifests."""
    return click.option(
        "--ip-families",
        type=ip_families,
        callback=lambda _context, _option, families: families or (),
        metavar="FAMILY[,FAMILY]",
        help="The cluster's IP families, the default one first, for Services that do not name "
        "theirs; by default those that the input tells of.",
    )(function)


def allow_empty_option(function: Function) -> Function:
    """Add --allow-empty, for verbs that would take away what is served if nothing is to be."""
    return click.option(
        "--allow-empty",
        is_flag=True,
        help="Take input without any object, or with an empty file, for what is meant.",
    )(function)


def from_pods_option(function: Function) -> Function:
    """Add --from-pods and --ip-families, for verbs that take application manifests."""
    return click.option(
        "--from-pods",
        is_flag=True,
        help="Make the EndpointSlices of Services that have none in the input, from Pods there.",
    )(ip_families_option(function))


def manifest_options(function: Function) -> Function:
    """Add what :func:`load_manifests` takes: PATH and the options that every verb has with it."""
    return server_manifest_options(assume_options(function))


def server_manifest_options(function: Function) -> Function:
    """Add the same for verbs that tell others what they read: nothing is made up for these."""
    return path_options(from_pods_option(function))


def input_options(function: Function) -> Function:
    """Add PATH… and the options that say what to make rules from, and for which node.

    That is for commands of the class :class:`svcnet.cli.modal.ModalCommand`, and for verbs that
    only tell something: what is made up may be among what they work on.
    """
    return machine_input_options(assume_options(function))


def machine_input_options(function: Function) -> Function:
    """Add the same for verbs that change a machine: nothing that is made up comes to one."""
    file = FilePath()
    function = server_manifest_options(function)
    for decorate in reversed(
        [
            click.option(
                "--mode",
                type=ModeName(),
                help="The kind of rules; the configuration's mode, else iptables.",
            ),
            click.option("--config", type=file, help="A KubeProxyConfiguration file."),
            click.option("--node", default="", help="The node to make rules for."),
            click.option("--host", type=file, help="Host facts, as printed by svcnet probe."),
        ]
    ):
        function = decorate(function)
    return function


def named_families(word: str | None) -> tuple[IPFamily, ...]:
    """Return the IP families that a word of an option stands for, none for no word."""
    if word is None:
        return ()
    return tuple(FAMILIES.values()) if word == "both" else (FAMILIES[word],)


def family_option(function: Function) -> Function:
    """Add --family, for verbs that are about this machine; the function gets `families`."""
    return click.option(
        "--family",
        "families",
        type=click.Choice([*FAMILIES, "both"]),
        callback=lambda _context, _option, word: named_families(word),
        help="By default each that the Node has an address of.",
    )(function)


def wait_option(function: Function) -> Function:
    """Add --wait, for verbs that change this machine once; ``machine_lock`` takes it."""
    return click.option(
        "--wait",
        is_flag=True,
        help="Wait until no other svcnet changes this machine, or keeps it; Ctrl-C ends that.",
    )(function)


def dry_run_option(shown: str) -> Callable[[Function], Function]:
    """Return what adds --dry-run, for verbs that change something; `shown` is what it prints."""
    return click.option(
        "--dry-run",
        is_flag=True,
        help=f"Print {shown}, and change nothing; exit code 1 says that there is something.",
    )


def server_options(function: Function) -> Function:
    """Add the options that say to take objects from an API server, and from which."""
    for decorate in (
        click.option("--context", default="", metavar="NAME", help="The context of a kubeconfig."),
        click.option(
            "--kubeconfig",
            type=FilePath(),
            help="A kubeconfig file. By default KUBECONFIG, a Pod's service account, or "
            "~/.kube/config.",
        ),
        click.option(
            "--kubernetes",
            is_flag=True,
            help="Take objects from a Kubernetes API server and not from PATH.",
        ),
    ):
        function = decorate(function)
    return function


def refuse_two_inputs(
    paths: tuple[str, ...], kubernetes: bool, kubeconfig: Path | None, context: str
) -> None:
    """Raise UsageError when it is not clear where objects are to come from."""
    if kubernetes and paths:
        raise UsageError("objects come from PATH or with --kubernetes from a server, not from both")
    if not kubernetes and (kubeconfig or context):
        raise UsageError("--kubeconfig and --context are for --kubernetes")


def refuse_input_twice(old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Raise UsageError where standard input is to be both of two states: it is read once."""
    if all(not paths or "-" in paths for paths in (old, new)):
        raise UsageError("both states are to come from standard input: name a file for one of them")


def bind_address(text: str, default: int) -> tuple[str, int]:
    """Return an address with a port as a pair; without a port it is `default`."""
    from svcnet.sources.addresses import address_and_port

    try:
        return address_and_port(text, default)
    except ValueError as error:
        raise click.BadParameter(f"{error}; not {text!r}") from None
