"""A fake API server for processes: in a thread of its own, with a kubeconfig that leads to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from svcnet.testing import FakeAPIServer, FakeProxy

Value = TypeVar("Value")


class API:
    """A server, which takes calls from other threads."""

    def __init__(self, server: FakeAPIServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._proxy: FakeProxy | None = None

    def call(self, act: Callable[[FakeAPIServer], Value]) -> Value:
        """Do something with the server, in its thread."""

        async def doing() -> Value:
            return act(self._server)

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(30)

    def finish(self, act: Callable[[FakeAPIServer], Awaitable[Value]]) -> Value:
        """Do something with the server that takes time, in its thread, to the end."""

        async def doing() -> Value:
            return await act(self._server)

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(30)

    def put(self, *objects: dict[str, Any]) -> None:
        self.call(lambda server: server.put(*objects))

    def delete(self, kind: str, name: str, namespace: str = "shop") -> None:
        self.call(lambda server: server.delete(kind, name, namespace))

    def stop(self) -> None:
        """Be away: connections end, and new ones are refused."""
        self.finish(lambda server: server.stop())

    def start(self) -> None:
        """Be there again, at the same address."""
        self.finish(lambda server: server.start())

    def stand_behind_a_proxy(self) -> None:
        """Have a proxy of its own before the server, to which kubeconfigs lead from now on."""
        proxy = self._proxy = FakeProxy(self._server.url)
        self.finish(lambda _: proxy.start())

    def at_proxy(self, act: Callable[[FakeProxy], object]) -> None:
        """Do something with that proxy, in its thread."""
        proxy = self._proxy
        assert proxy is not None
        self.call(lambda _: act(proxy))

    def close(self) -> None:
        """Be gone for good, with the proxy if there is one."""
        if proxy := self._proxy:
            self.finish(lambda _: proxy.stop())
        self.stop()

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig for this server and return its path."""
        leads_to = self._server if self._proxy is None else self._proxy
        return write_kubeconfig(folder, leads_to.url)


def write_kubeconfig(folder: Path, url: str) -> Path:
    """Write a kubeconfig for a server without credentials and return its path."""
    path = folder / "kubeconfig"
    path.write_text(
        "{apiVersion: v1, kind: Config, current-context: here, users: [],\n"
        "contexts: [{name: here, context: {cluster: here}}],\n"
        f"clusters: [{{name: here, cluster: {{server: '{url}'}}}}]}}\n"
    )
    return path


@contextmanager
def api(**options: Any) -> Iterator[API]:
    """Have a server in this thread's network namespace for a while."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = FakeAPIServer(**options)
    made = API(server, loop)
    try:
        made.start()
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def service(name: str, address: str, port: int = 80, **spec: Any) -> dict[str, Any]:
    """Return the manifest of a Service with one port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": address, "ports": [{"port": port}], **spec},
    }


def endpoints(name: str, *addresses: str, port: int = 8080, **metadata: Any) -> dict[str, Any]:
    """Return the manifest of a Service's only EndpointSlice."""
    labels = {"kubernetes.io/service-name": name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": "shop", "labels": labels, **metadata},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


def node(name: str, *addresses: str) -> dict[str, Any]:
    """Return the manifest of a Node."""
    found = [{"type": "InternalIP", "address": address} for address in addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": found},
    }
