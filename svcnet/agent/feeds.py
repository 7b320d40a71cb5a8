"""Where an agent's input comes from: files, or an API server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from svcnet.agent.request import Cluster, Request
from svcnet.agent.update import Update
from svcnet.inputs import InputRequest, Inputs, probe_host, read_inputs, read_settings
from svcnet.inputs.feed import FileFeed, Say

if TYPE_CHECKING:
    from svcnet.agent.reporter import Reporter
    from svcnet.executors.machine import Machine
    from svcnet.inputs.orders import Orders


class Feed(Protocol):
    """Gives input: all of it first, and then what changes."""

    def first(self, orders: Orders) -> AbstractAsyncContextManager[Update]:
        """Give the first input; EarlyEnd is raised when `orders` say to end before there is any."""

    async def until_end(self, use: Callable[[Update], None], *others: Awaitable[None]) -> None:
        """Give `use` what changes, until told to end, or until one of `others` ends."""


def feed_of(
    request: Request,
    reporter: Reporter,
    say: Say,
    checked: Callable[[Inputs], Inputs],
    keeps: str,
    *,
    machine: Machine,
    has_rules: bool,
) -> Feed:
    """Return the feed that is asked for; `reporter` and `say` are told how it fares.

    Input of files is what `checked` makes of it; while it is wrong, `keeps` says what goes on.
    Host facts are those of `machine` where there are rules for it. Raises UsageError where no API
    server is known.
    """
    asked = InputRequest(
        paths=() if isinstance(request.source, Cluster) else request.source,
        mode=request.mode,
        config=request.config,
        node=request.node,
        host=request.host,
        strict=request.strict,
        from_pods=request.from_pods,
        ip_families=request.ip_families,
        default_host=partial(probe_host, machine) if has_rules else None,
        allow_empty=request.allow_empty,
        scope=request.scope,
        given=request.options,
    )
    if isinstance(request.source, Cluster):
        settings = partial(read_settings, asked)
        return _of_server(request, request.source, settings, reporter, say)
    reporter.source = " ".join(request.source)
    read = reporter.reads(lambda: Update(checked(read_inputs(asked))))
    return FileFeed(request.source, read, keeps, say)


def _of_server(
    request: Request, cluster: Cluster, settings: Callable[[], Any], reporter: Reporter, say: Say
) -> Feed:
    from svcnet.agent.server_feed import ServerFeed, ServerInput, api_server

    servers = partial(api_server, cluster.kubeconfig, cluster.context, request.strict)
    followed = ServerInput(servers(), servers, from_pods=request.from_pods, strict=request.strict)
    return ServerFeed(followed, reporter.reads(settings, objects=False), say, reporter)
