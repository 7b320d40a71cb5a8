"""The objects of a cluster, from its API server: all of them first, and then what changes.

:func:`watch` needs aiohttp, the extra ``svcnet[kubernetes]``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING

from svcnet.errors import MissingExtra
from svcnet.sources.kubernetes.kubeconfig import load_kubeconfig
from svcnet.sources.kubernetes.news import News, ObjectChanges
from svcnet.sources.kubernetes.patience import Patience
from svcnet.sources.kubernetes.problems import Status
from svcnet.sources.kubernetes.resources import resources
from svcnet.sources.kubernetes.server import APIServer, in_cluster

if TYPE_CHECKING:
    from svcnet.sources.kubernetes.contact import Contact

__all__ = [
    "KINDS",
    "APIServer",
    "ObjectChanges",
    "Patience",
    "Status",
    "in_cluster",
    "load_kubeconfig",
    "watch",
]

KINDS = ("Service", "EndpointSlice", "Node")
"""What rules are made of in every mode. Endpoints, Pod and ServiceCIDR can be watched as well."""


async def watch(
    server: APIServer,
    kinds: Iterable[str] = KINDS,
    *,
    optional: Collection[str] = (),
    random: Random,
    tell: Callable[[Status], None],
    confirm: Callable[[str], None] = lambda _: None,
    moves: asyncio.Queue[APIServer] | None = None,
    node: str = "",
    headless: bool = False,
    labelled: bool = True,
    patience: Patience | None = None,
) -> AsyncGenerator[ObjectChanges]:
    """Yield the objects of a cluster, once those of all `kinds` are known, and then changes.

    There is no end and no error for a server that is away or refuses: it is asked again, and
    `tell` is called with a :class:`Status` whenever it stands differently with a kind, and
    `confirm` with a kind whenever the server has shown that what is known of it is so: by a list,
    an event, or the beginning or regular end of a watch. Of Nodes only `node` is asked for, unless
    that is empty. Objects of headless Services come only if `headless` is set. With `labelled` off
    Services and slices come without selectors, and with no labels but those that tell a node what
    it is not to serve: in a large cluster they are much to keep. `random` spreads the requests of
    many nodes. Those of `kinds` that are `optional` are not waited for where the server
    refuses them, and elsewhere not for long. Servers that are put into `moves` are asked from then
    on; what differs between what they have and what is known is a change.

    Close the generator when done with it, as ``contextlib.aclosing`` does. To cancel the wait
    for a step ends it too, so wait for steps and other things in tasks of their own.

    Raises :class:`svcnet.errors.UsageError` for an unknown kind, and without aiohttp.
    """
    patience = patience or Patience()
    wanted = resources(kinds, optional, node=node, headless=headless, labelled=labelled)
    try:
        from svcnet.sources.kubernetes.client import APIClient
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error) from None
    from svcnet.sources.kubernetes.contact import Contact
    from svcnet.sources.kubernetes.reflector import Observer, Reflector

    contact, listener = Contact(server, patience, random), Observer(tell, confirm)
    news = News.of({resource.kind: resource.needed for resource in wanted}, patience.together)
    async with AsyncExitStack() as stack:
        tasks = []
        for resource in wanted:
            client = await stack.enter_async_context(APIClient(contact))
            reflector = Reflector(resource, contact, client, news, listener)
            tasks.append(asyncio.create_task(reflector.run(), name=f"watch of {resource.kind}"))
        if moves is not None:
            tasks.append(asyncio.create_task(_move(contact, moves), name="moves"))
        for task in tasks:
            task.add_done_callback(news.end)
        try:
            while True:
                yield await news.step()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _move(contact: Contact, moves: asyncio.Queue[APIServer]) -> None:
    while True:
        contact.move(await moves.get())
