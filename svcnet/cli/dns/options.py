"""What the verbs of ``svcnet dns`` share: the options of the zones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from svcnet.cli.common import bind_address

if TYPE_CHECKING:
    from svcnet.discovery.dns import DNSOptions

Function = TypeVar("Function", bound=Callable[..., Any])

ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa")


def dns_address(text: str) -> tuple[str, int]:
    """Return ``127.0.0.1:5353`` or ``[::1]:5353`` as a pair; port 53 may be left out."""
    return bind_address(text, 53)


_OPTIONS = (
    click.option(
        "--namespaces",
        multiple=True,
        metavar="NAMESPACE",
        help="The only namespaces with names. Repeatable.",
    ),
    click.option(
        "--labels",
        default="",
        metavar="SELECTOR",
        help="Only Services, slices and Pods with these labels have names.",
    ),
    click.option(
        "--pods",
        type=click.Choice(["disabled", "insecure", "verified"]),
        default="disabled",
        show_default=True,
        help="What 1-2-3-4.NAMESPACE.pod.ZONE is: nothing, that address, or that "
        "address if a Pod has it.",
    ),
    click.option(
        "--endpoint-pod-names",
        is_flag=True,
        help="Endpoints without a hostname have their Pod's name.",
    ),
    click.option(
        "--ttl",
        type=click.IntRange(0, 3600),
        default=5,
        show_default=True,
        metavar="SECONDS",
        help="How long an answer may be remembered.",
    ),
    click.option(
        "--zonal",
        is_flag=True,
        help="Headless Services have names for the endpoints of one zone of nodes.",
    ),
    click.option("--noendpoints", is_flag=True, help="Headless Services have no names."),
    click.option(
        "--ignore-empty-service",
        is_flag=True,
        help="Services with a cluster IP and no ready endpoint have no names.",
    ),
)


def zone_options(zones: tuple[str, ...] = ZONES) -> Callable[[Function], Function]:
    """Add the options that :func:`dns_options` reads; `zones` are the default."""
    zone = click.option(
        "--zone",
        "zones",
        multiple=True,
        default=zones,
        show_default=True,
        metavar="NAME|CIDR",
        help="A zone, or the reverse zones of a network; the first that is no "
        "reverse zone has the names that addresses lead back to. Repeatable.",
    )

    def add(function: Function) -> Function:
        for decorate in reversed((zone, *_OPTIONS)):
            function = decorate(function)
        return function

    return add


def dns_options(options: dict[str, Any], *, serial: int = 1) -> DNSOptions:
    """Return what the options of :func:`zone_options` say, and take them out of `options`.

    Raises UsageError for zones that are none.
    """
    from svcnet.discovery.dns import DNSOptions

    names = (
        *("zones", "namespaces", "labels", "pods", "endpoint_pod_names"),
        *("ttl", "noendpoints", "ignore_empty_service", "zonal"),
    )
    return DNSOptions(serial=serial, **{name: options.pop(name) for name in names})
