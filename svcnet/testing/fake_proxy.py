"""A TCP proxy before a server, such as a load balancer, that does its work badly."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from attrs import define, field

from svcnet.testing.fake_http import reset

PIECE = 64 * 1024
DAY_SECONDS = 86400.0


@define(eq=False)
class ProxyLink:
    """One connection through a proxy: a client's side and a server's, and when bytes last came."""

    sides: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    flows: asyncio.Event
    moved: float


@define(eq=False)
class FakeProxy:
    """A TCP proxy on a port of 127.0.0.1 that leads to the server at `to`, a URL.

    Use it as an asynchronous context, and call its methods in the same thread. What is encrypted
    passes as it is. With ``drip_seconds`` what the server sends comes in
    pieces of ``drip_bytes`` with so long between.
    """

    to: str
    drip_seconds: float = 0.0
    drip_bytes: int = 1
    _links: dict[asyncio.Task[None], ProxyLink] = field(factory=dict, init=False)
    _idle_seconds: float = field(default=float("inf"), init=False)
    _idle_set: asyncio.Event = field(factory=asyncio.Event, init=False)
    _freezes_new: bool = field(default=False, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)
    _port: int = field(default=0, init=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The address; it stays over :meth:`stop` and :meth:`start`."""
        return f"{urlsplit(self.to).scheme}://127.0.0.1:{self._port}"

    @property
    def connections(self) -> int:
        """How many connections there are, frozen ones too."""
        return len(self._links)

    async def start(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and tear down those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._links)
        self.reset()
        await asyncio.gather(*tasks, return_exceptions=True)

    def freeze(self, *, new: bool = False) -> None:
        """Keep the connections there are, and forward nothing; with `new`, of new ones too.

        The machine of a proxy that hangs goes on to acknowledge what is sent to it. A handshake
        of TLS through one that freezes new connections hangs.
        """
        self._freezes_new = new
        for link in self._links.values():
            link.flows.clear()

    def thaw(self, *, new_only: bool = False) -> None:
        """Forward again, first what has been held back; with `new_only` in new connections."""
        self._freezes_new = False
        for link in self._links.values():
            if not new_only:
                link.flows.set()

    def close_idle(self, seconds: float) -> None:
        """From now on close connections that are without a byte for so long."""
        self._idle_seconds = seconds
        now = asyncio.get_running_loop().time()
        for link in self._links.values():
            link.moved = now
        self._idle_set.set()
        self._idle_set = asyncio.Event()

    def close(self) -> None:
        """Close all connections in order."""
        for link in self._links.values():
            _close(link)

    def reset(self) -> None:
        """Tear all connections down."""
        for task, link in self._links.items():
            for side in link.sides:
                reset(side)
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection to the end of either side."""
        task = asyncio.current_task()
        assert task is not None
        target = urlsplit(self.to)
        try:
            other_reader, other_writer = await asyncio.open_connection(target.hostname, target.port)
        except OSError:
            writer.transport.abort()
            return
        now = asyncio.get_running_loop().time()
        link = ProxyLink((writer, other_writer), asyncio.Event(), now)
        if not self._freezes_new:
            link.flows.set()
        self._links[task] = link
        try:
            # Whichever ends first ends the others; a half-closed connection is of no use here.
            ways = (
                self._forward(link, reader, other_writer, drips=False),
                self._forward(link, other_reader, writer, drips=True),
                self._idle(link),
            )
            tasks = [asyncio.ensure_future(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            pass  # the stream's own task handling would report it
        finally:
            del self._links[task]
            _close(link)

    async def _forward(
        self,
        link: ProxyLink,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        drips: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while True:
                drip = drips and self.drip_seconds > 0
                data = await reader.read(self.drip_bytes if drip else PIECE)
                link.moved = loop.time()
                await link.flows.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
                if drip:
                    await asyncio.sleep(self.drip_seconds)

    async def _idle(self, link: ProxyLink) -> None:
        """Return once the connection was without a byte for too long."""
        loop = asyncio.get_running_loop()
        while (end := link.moved + self._idle_seconds) > loop.time():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(end - loop.time(), DAY_SECONDS)):
                    await self._idle_set.wait()


def _close(link: ProxyLink) -> None:
    for side in link.sides:
        side.close()
