"""Requests to an API server, and what each way of failing means to an operator."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Self

import aiohttp
import orjson
from attrs import define, field, frozen

from svcnet.sources.kubernetes.contact import Contact
from svcnet.sources.kubernetes.failures import telling
from svcnet.sources.kubernetes.lookups import Lookups
from svcnet.sources.kubernetes.problems import (
    AbsentResource,
    ExpiredVersion,
    Nonsense,
    Problem,
    one_line,
)
from svcnet.sources.stream import json_value

MAX_ANSWER = 256 * 1024 * 1024
MAX_EVENT = 16 * 1024 * 1024
"""Bytes of a list and of an event; etcd keeps no object of more than 1.5 MiB."""

MAX_VALUES = 4_000_000
"""Values in one of them: ``[{},{},…`` takes thirty times its text as Python's objects. A page of
200 slices with 1000 endpoints each, the largest that there are, has three million."""

MAX_EVENT_VALUES = 1_000_000
"""Values in an event, which is one object."""

LARGE = 50_000
"""So many values take so long to be read that it is done beside the event loop."""

MAX_REASON = 64 * 1024
JSON = "application/json"
LONGEST_RETRY_AFTER = 60.0
CLOSE_SECONDS = 1.0
"""So long a connection may take to close that has bytes for a server which takes none."""

# A peer that is gone without a word is noticed after a minute.
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


@frozen
class JSONObject:
    """An object of JSON, and how many values are in it at most."""

    data: dict[str, Any]
    values: int


@define
class APIClient:
    """A client for one kind of objects; use it as an asynchronous context.

    Every request raises :class:`Problem`, :class:`ExpiredVersion` or
    :class:`AbsentResource`, and nothing else.
    """

    contact: Contact
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        self._session = _session()
        return self

    async def __aexit__(self, *_: object) -> None:
        await _close(self._session)

    async def renew(self) -> None:
        """Use none of the connections there are any more.

        One that waits for its next request may be as dead as the one that has just failed.
        """
        old, self._session = self._session, _session()
        await _close(old)

    async def get(self, path: str, parameters: Mapping[str, str]) -> JSONObject:
        """Return the JSON object that is the answer."""
        patience = self.contact.patience
        times = aiohttp.ClientTimeout(
            total=patience.whole, sock_connect=patience.connect, sock_read=patience.answer
        )
        answer = await self._ask(path, parameters, times)
        with telling("answer"):
            async with answer:
                return _json(await _body(answer, MAX_ANSWER), MAX_VALUES, answer.content_type)

    @asynccontextmanager
    async def lines(
        self, path: str, parameters: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[JSONObject]]:
        """Give the JSON objects of an answer that has one a line, as long as they come.

        The end of the answer is the end; a line that is cut off is dropped.
        """
        times = aiohttp.ClientTimeout(total=None, sock_connect=self.contact.patience.connect)
        answer = await self._ask(path, parameters, times)
        with telling("watch"):
            async with answer, aclosing(_objects(answer)) as objects:
                yield objects

    async def _ask(
        self, path: str, parameters: Mapping[str, str], times: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Return an answer whose status is 200, once it has begun."""
        credentials, server = self.contact.credentials, self.contact.server
        with telling(""):
            async with asyncio.timeout(self.contact.patience.answer):
                answer = await self._session.get(
                    server.url + path,
                    params=parameters,
                    headers=credentials.headers(),
                    ssl=credentials.tls(),
                    server_hostname=server.server_name or None,
                    proxy=server.proxy or None,
                    timeout=times,
                    allow_redirects=False,  # the token is for this server only
                )
                if answer.status != 200:
                    async with answer:
                        raise _refusal(answer, await _body(answer, MAX_REASON))
        return answer


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket, resolver=Lookups()),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "Accept": "application/json",
            # How large a compressed answer is shows only once it is in memory.
            "Accept-Encoding": "identity",
            "User-Agent": "svcnet",
        },
        auto_decompress=False,
    )


async def _close(session: aiohttp.ClientSession) -> None:
    """Close connections; what a dead server does not take from one is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await session.close()


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that notices when the other side is gone."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    for level, option, value in KEEPALIVE:
        made.setsockopt(level, option, value)
    return made


async def _body(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    found = bytearray()
    async for chunk in answer.content.iter_any():
        found += chunk
        if len(found) > limit:
            raise Nonsense(f"sent an answer of more than {limit // 1024} KiB")
    return bytes(found)


async def _objects(answer: aiohttp.ClientResponse) -> AsyncGenerator[JSONObject]:
    """Yield the object of each line; aiohttp's own reader takes short lines only."""
    rest = bytearray()
    async for chunk in answer.content.iter_any():
        start = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", start)) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            start = 0
            if line.strip():
                yield _json(line, MAX_EVENT_VALUES, answer.content_type)
        if len(rest) > MAX_EVENT:
            raise Nonsense(f"sent an event of more than {MAX_EVENT // 1024} KiB")


def _json(data: bytes, most: int, content_type: str) -> JSONObject:
    # Each value but the first of all follows one of these; in text they count as well.
    values = 1 + sum(map(data.count, (b"{", b"[", b",")))
    if values > most:
        raise Nonsense(f"sent more than {most} values at once")
    try:
        found = json_value(data)
    except ValueError as error:
        if content_type != JSON:
            raise Nonsense(f"sends {one_line(content_type)}, and no JSON") from None
        raise Nonsense(f"sends what is no JSON: {one_line(str(error))}") from None
    if type(found) is not dict:
        raise Nonsense("sends what is no object of the Kubernetes API")
    return JSONObject(found, values)


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> Exception:
    """Return what an answer other than 200 means."""
    code = answer.status
    if code == 410:
        return ExpiredVersion()
    if code == 404:
        return AbsentResource()
    why = f"{code} {one_line(answer.reason or '')}".strip()
    try:
        message = orjson.loads(body).get("message")
    except (orjson.JSONDecodeError, AttributeError):
        message = None
    if type(message) is str and message:
        why += f": {one_line(message)}"
    if 300 <= code < 400 and (location := answer.headers.get("Location")):
        why += f" (to {one_line(location)}; a token is for one server, so it is not followed)"
    if code == 429 or code >= 500:
        return Problem("unreachable", why, _retry_after(answer))
    return Problem("refused", why)


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    if not (text.isascii() and text.isdigit()):
        return 0.0
    return min(float(text), LONGEST_RETRY_AFTER)
