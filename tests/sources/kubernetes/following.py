"""A consumer of steps as a control loop is one, and manifests to put on the fake server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from random import Random
from typing import Any

from attrs import define, field

from svcnet.errors import Diagnostic
from svcnet.models import ClusterState, NamespacedName
from svcnet.sources import load_bytes
from svcnet.sources.kubernetes import KINDS, APIServer, ObjectChanges, Patience, Status, watch
from svcnet.testing import FakeAPIServer

PATIENCE = Patience(first=0.01, longest=0.05, lived=0.1, connect=2.0, answer=2.0, watch=60.0)
SECONDS = 20.0


@define
class Following:
    """What a consumer has been told so far."""

    steps: list[ObjectChanges] = field(factory=list)
    statuses: list[str] = field(factory=list)
    diagnostics: list[Diagnostic] = field(factory=list)
    state: ClusterState = field(factory=ClusterState)
    task: asyncio.Task[None] | None = None
    _stirred: asyncio.Event = field(factory=asyncio.Event)

    def tell(self, status: Status) -> None:
        self.statuses.append(str(status))
        self._stirred.set()

    async def run(self, server: APIServer, kinds: tuple[str, ...], options: dict[str, Any]) -> None:
        options = {"random": Random(1), "patience": PATIENCE, **options}
        async with aclosing(watch(server, kinds, tell=self.tell, **options)) as steps:
            async for step in steps:
                self.steps.append(step)
                self.diagnostics.extend(step.diagnostics)
                self.state = self.state.apply(step.changed, step.removed)
                self._stirred.set()

    async def stirred(self) -> None:
        """Wait until there is something new."""
        self._stirred.clear()
        await self._stirred.wait()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until `holds` does; the test fails if that takes too long."""
        async with asyncio.timeout(SECONDS):
            while not holds():
                self._stirred.clear()
                assert self.task is not None
                waiting = asyncio.create_task(self._stirred.wait())
                done, _ = await asyncio.wait(
                    {waiting, self.task}, return_when=asyncio.FIRST_COMPLETED, timeout=0.05
                )
                waiting.cancel()
                if self.task in done:
                    self.task.result()

    def last(self, kind: str) -> str:
        """Return how it stands with a kind."""
        return next(text for text in reversed(self.statuses) if text.startswith(f"{kind}: "))

    def names(self) -> set[str]:
        """Return the names of the Services that are known."""
        return {key.name for key in self.state.services}


@asynccontextmanager
async def following(
    server: FakeAPIServer | APIServer, kinds: tuple[str, ...] = KINDS, **options: Any
) -> AsyncIterator[Following]:
    """Follow a server for the length of the block."""
    found = Following()
    to = server if isinstance(server, APIServer) else APIServer(server.url)
    found.task = asyncio.create_task(found.run(to, kinds, options))
    try:
        yield found
    finally:
        found.task.cancel()
        with suppress(asyncio.CancelledError):
            await found.task


def service(name: str = "web", port: int = 80, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"clusterIP": f"10.96.0.{sum(name.encode()) % 251}", "ports": [{"port": port}]},
    }


def endpoint_slice(
    name: str = "web-1", owner: str = "web", *addresses: str, **labels: str
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": owner, **labels},
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": [address]} for address in addresses or ("10.244.1.5",)],
    }


def node(name: str = "node-a") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.10"}]},
    }


def state_of(server: FakeAPIServer) -> ClusterState:
    """Return what manifests with the server's objects amount to."""
    return load_bytes(json.dumps({"kind": "List", "items": server.objects()}).encode()).state


def port_of(state: ClusterState, name: str = "web") -> int | None:
    found = state.services.get(NamespacedName("shop", name))
    return found.ports[0].port if found else None
