"""The addresses of a server's name, by look-ups that nobody has to wait for.

The C library has no way to end one, and takes half a minute where no DNS server answers. The
threads in which ``asyncio`` looks names up are waited for at its end; these end with the process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Addresses: TypeAlias = list[ResolveResult]


class Lookups(AbstractResolver):
    """Looks names up as the machine is set up to, each in a thread of its own."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> _Addresses:
        """Return the addresses of a host. Raises OSError, and ValueError for what is no name."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[_Addresses] = loop.create_future()

        def tell(act: Callable[[], object]) -> None:
            # Nobody may wait for it any more, and the loop may have ended.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: found.done() or act())

        def look_up() -> None:
            try:
                addresses = _addresses(host, port, family)
            except (OSError, ValueError) as error:
                reason = error
                tell(lambda: found.set_exception(reason))
            else:
                tell(lambda: found.set_result(addresses))

        Thread(target=look_up, name="lookup", daemon=True).start()
        return await found

    async def close(self) -> None:
        """Wait for nothing: what is still looked for ends by itself."""


def _addresses(host: str, port: int, family: int) -> _Addresses:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=_text(address),
            port=port,
            family=kind,
            proto=protocol,
            flags=_NUMERIC,
        )
        for kind, _, protocol, _, address in found
    ]


def _text(address: tuple[object, ...]) -> str:
    """Return an address, with the interface of one that is only good there."""
    host, _, *rest = address
    scope = rest[1] if len(rest) > 1 else 0
    return f"{host}%{scope}" if scope else str(host)
