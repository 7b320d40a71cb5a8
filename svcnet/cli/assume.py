"""Options that say what to make up for objects that no cluster has seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from svcnet.errors import UsageError

if TYPE_CHECKING:
    from svcnet.discovery.repository.assumptions import Readiness, When

Function = TypeVar("Function", bound=Callable[..., Any])

MAX_NODES = 5000
"""So many Nodes Kubernetes is made for."""


def assume_options(function: Function) -> Function:
    """Add the options for what is made up; the function gets all of them as `assume`."""

    @wraps(function)
    def command(
        *args: Any,
        assume: When,
        pod_cidr: tuple[str, ...],
        service_cidr: tuple[str, ...],
        ready: Readiness,
        nodes: int,
        node_zones: tuple[str, ...],
        **options: Any,
    ) -> Any:
        from svcnet.discovery.repository import Assumptions

        given = pod_cidr or service_cidr or ready != "all" or nodes or node_zones
        if assume == "never" and given:
            raise UsageError("--assume never makes nothing up, so there are no ranges and Nodes")
        asked = Assumptions(
            when=assume,
            pod_cidrs=pod_cidr,
            service_cidrs=service_cidr,
            ready=ready,
            nodes=nodes,
            node_zones=node_zones,
        )
        return function(*args, assume=asked, **options)

    for decorate in _decorators():
        command = decorate(command)
    return cast(Function, command)


def _decorators() -> tuple[Callable[[Function], Function], ...]:
    """Return what adds each of the options, the last of the help first."""
    return (
        click.option(
            "--node-zones",
            type=_zones,
            default="",
            metavar="ZONE[,ZONE]...",
            help="Make up Nodes in these zones in turn: one for each, or as many as --nodes says.",
        ),
        click.option(
            "--nodes",
            type=click.IntRange(0, MAX_NODES),
            default=0,
            help="Make up so many Nodes, and have Pods on them.",
        ),
        click.option(
            "--ready",
            type=click.Choice(["all", "none"]),
            default="all",
            show_default=True,
            help="Which of the Pods that are made up are ready; probes are not looked at.",
        ),
        click.option(
            "--service-cidr",
            type=_cidrs,
            default="",
            metavar="CIDR[,CIDR]",
            help="Where made-up cluster IPs are from; else 10.96.0.0/12 and fd00:10:96::/112.",
        ),
        click.option(
            "--pod-cidr",
            type=_cidrs,
            default="",
            metavar="CIDR[,CIDR]",
            help="Where made-up addresses of Pods are from; else 10.244.0.0/16 and "
            "fd00:10:244::/56.",
        ),
        click.option(
            "--assume",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            show_default=True,
            help="Whether to make up what a cluster adds: Pods of workloads, addresses, node "
            "ports. By default for objects of which none was in a cluster.",
        ),
    )


def _cidrs(text: str) -> tuple[str, ...]:
    """Return the CIDRs of an option, at most one of each IP family."""
    from svcnet.family import family_of
    from svcnet.sources.addresses import canonical_cidr

    found = []
    for part in filter(None, text.split(",")):
        cidr = canonical_cidr(part.strip())
        if cidr is None:
            raise click.BadParameter(f"must be a CIDR such as 10.0.0.0/16, not {part!r}")
        found.append(cidr)
    if len(set(map(family_of, found))) < len(found):
        raise click.BadParameter("may be one CIDR of each IP family")
    return tuple(found)


def _zones(text: str) -> tuple[str, ...]:
    from svcnet.sources.labels import LABEL_VALUE, is_label_value

    zones = tuple(part.strip() for part in filter(None, text.split(",")))
    for zone in zones:
        if not is_label_value(zone):
            raise click.BadParameter(f"{LABEL_VALUE}; not {zone!r}")
    return zones
