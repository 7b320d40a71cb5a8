"""The objects of a cluster, from its API server: all of them first, and then what changes.

:func:`watch` needs aiohttp, the extra ``svcnet[kubernetes]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from random import Random

from svcnet.errors import UsageError
from svcnet.sources.kubernetes.backoff import Backoff, Patience
from svcnet.sources.kubernetes.credentials import Credentials
from svcnet.sources.kubernetes.kubeconfig import load_kubeconfig
from svcnet.sources.kubernetes.news import News, Step
from svcnet.sources.kubernetes.problems import Status
from svcnet.sources.kubernetes.resources import resources
from svcnet.sources.kubernetes.server import Server, in_cluster

__all__ = [
    "KINDS",
    "Patience",
    "Server",
    "Status",
    "Step",
    "in_cluster",
    "load_kubeconfig",
    "watch",
]

KINDS = ("Service", "EndpointSlice", "Node")
"""What rules are made of. Endpoints, Pod and ServiceCIDR can be watched as well."""


async def watch(
    server: Server,
    kinds: Iterable[str] = KINDS,
    *,
    random: Random,
    told: Callable[[Status], None],
    node: str = "",
    headless: bool = False,
    patience: Patience | None = None,
) -> AsyncGenerator[Step]:
    """Yield the objects of a cluster, once those of all `kinds` are known, and then changes.

    There is no end and no error for a server that is away or refuses: it is asked again, and
    `told` is called with a :class:`Status` whenever it stands differently with a kind. Of
    Nodes only `node` is asked for, unless that is empty. Objects of headless Services come
    only if `headless` is set. `random` spreads the requests of many nodes.

    Close the generator when done with it, as ``contextlib.aclosing`` does. To cancel the wait
    for a step ends it too, so wait for steps and other things in tasks of their own.

    Raises :class:`svcnet.errors.UsageError` for an unknown kind, and without aiohttp.
    """
    patience = patience or Patience()
    wanted = resources(kinds, node=node, headless=headless)
    try:
        from svcnet.sources.kubernetes.client import Client
    except ModuleNotFoundError as error:
        message = f"an API server needs {error.name}: pip install 'svcnet[kubernetes]'"
        raise UsageError(message) from error
    from svcnet.sources.kubernetes.reflector import Reflector

    news = News.of(resource.kind for resource in wanted)
    async with Client(Credentials(server), patience) as client:
        tasks = []
        for resource in wanted:
            reflector = Reflector(resource, client, news, Backoff(patience, random), told)
            tasks.append(asyncio.create_task(reflector.run(), name=f"watch of {resource.kind}"))
            tasks[-1].add_done_callback(news.ended)
        try:
            while True:
                yield await news.step()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
