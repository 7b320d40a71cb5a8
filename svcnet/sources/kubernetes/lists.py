"""Lists of one kind of objects, page by page, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from svcnet.nogc import without_gc
from svcnet.sources.kubernetes.apart import apart
from svcnet.sources.kubernetes.client import LARGE, APIClient, JSONObject
from svcnet.sources.kubernetes.narrow import NarrowResult, narrow
from svcnet.sources.kubernetes.news import MAX_OBJECTS, MAX_TOLD
from svcnet.sources.kubernetes.problems import Nonsense
from svcnet.sources.kubernetes.resources import Resource
from svcnet.sources.kubernetes.versions import metadata_of, version_of

MAX_PAGES = 10_000
"""Pages of a list, which could be empty and go on for ever."""


@frozen
class List:
    """A list at one path of a server."""

    client: APIClient
    resource: Resource
    path: str

    async def page(self, parameters: Mapping[str, str]) -> JSONObject:
        """Return a list, or a part of one, once it is sure that it is that.

        Whatever else speaks JSON at this address would look like a cluster without objects.
        """
        answer = await self.client.get(self.path, parameters)
        wanted = f"{self.resource.kind}List"
        data = answer.data
        if data.get("kind") != wanted or type(data.get("items")) not in (list, type(None)):
            raise Nonsense(f"sends what is no {wanted}")
        if not version_of(data):
            raise Nonsense("sends a list without a resourceVersion")
        return answer


async def pages(asked: List, limit: int) -> tuple[list[NarrowResult], str]:
    """Return all objects, asked for `limit` at a time if that is not 0, and their version."""
    items: list[NarrowResult] = []
    parameters = asked.resource.selectors()
    if limit:
        parameters["limit"] = str(limit)
    for _ in range(MAX_PAGES):
        answer = await asked.page(parameters)
        found = answer.data.get("items") or []
        # Before anything is made of them.
        if len(items) + len(found) > MAX_OBJECTS:
            raise Nonsense(f"has more than {MAX_OBJECTS} objects")
        told = sum(bool(item.errors or item.warnings) for item in items)
        given = (asked.resource, found, asked.path, told)
        items += _narrow(*given) if answer.values <= LARGE else await apart(_narrow, *given)
        following = metadata_of(answer.data).get("continue")
        if type(following) is not str or not following:
            return items, version_of(answer.data)
        if following == parameters.get("continue"):
            raise Nonsense("sends the same page of a list over and over")
        parameters["continue"] = following
    raise Nonsense(f"sends a list of more than {MAX_PAGES} pages")


@without_gc()
def _narrow(resource: Resource, found: list[Any], path: str, told: int) -> list[NarrowResult]:
    """Return what is kept of objects; why they cannot be used only of the first, to be told."""
    items = []
    for item in found:
        made = narrow(resource.kind, item, path, labelled=resource.labelled)
        if made.errors or made.warnings:
            told += 1
            made = made if told <= MAX_TOLD else made.untold()
        items.append(made)
    return items
