"""Requests to an API server, and what each way of failing means to an operator."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Self

import aiohttp
import orjson
from attrs import define, field

from svcnet.sources.kubernetes.backoff import Patience
from svcnet.sources.kubernetes.credentials import Credentials
from svcnet.sources.kubernetes.problems import Absent, Expired, Nonsense, Problem, one_line

MAX_ANSWER = 256 * 1024 * 1024
MAX_EVENT = 16 * 1024 * 1024
"""Bytes of a list and of an event; etcd keeps no object of more than 1.5 MiB."""

MAX_VALUES = 4_000_000
"""Values in one of them: ``[{},{},…`` takes thirty times its text as Python's objects. A page of
200 slices with 1000 endpoints each, the largest that there are, has three million."""

MAX_REASON = 64 * 1024
LONGEST_RETRY_AFTER = 60.0

# A peer that is gone without a word is noticed after a minute.
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


@define
class Client:
    """A client of one server; use it as an asynchronous context.

    Every request raises :class:`Problem`, :class:`Expired` or :class:`Absent`, and nothing else.
    """

    credentials: Credentials
    patience: Patience
    _session: aiohttp.ClientSession = field(init=False)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": "application/json",
                # How large a compressed answer is shows only once it is in memory.
                "Accept-Encoding": "identity",
                "User-Agent": "svcnet",
            },
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON object that is the answer."""
        with _telling():
            async with await self._ask(path, parameters, self.patience.answer) as answer:
                return _json(await _body(answer, MAX_ANSWER))

    @asynccontextmanager
    async def lines(
        self, path: str, parameters: Mapping[str, str], seconds: float
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Give the JSON objects of an answer that has one a line, for `seconds` at most.

        The end of the answer is the end; a line that is cut off is dropped.
        """
        with _telling():
            async with (
                await self._ask(path, parameters, seconds) as answer,
                aclosing(_objects(answer.content)) as objects,
            ):
                yield objects

    async def _ask(
        self, path: str, parameters: Mapping[str, str], seconds: float
    ) -> aiohttp.ClientResponse:
        """Return an answer whose status is 200; its body may take until `seconds` from now."""
        credentials, server = self.credentials, self.credentials.server
        async with asyncio.timeout(self.patience.answer):
            answer = await self._session.get(
                server.url + path,
                params=parameters,
                headers=credentials.headers(),
                ssl=credentials.tls(),
                server_hostname=server.server_name or None,
                proxy=server.proxy or None,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=self.patience.connect),
                allow_redirects=False,  # the token is for this server only
            )
            if answer.status != 200:
                async with answer:
                    raise _refusal(answer, await _body(answer, MAX_REASON))
        return answer


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


async def _objects(content: aiohttp.StreamReader) -> AsyncGenerator[dict[str, Any]]:
    """Yield the object of each line; aiohttp's own reader takes short lines only."""
    rest = bytearray()
    async for chunk in content.iter_any():
        start = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", start)) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            start = 0
            if line.strip():
                yield _json(line)
        if len(rest) > MAX_EVENT:
            raise Nonsense(f"sent an event of more than {MAX_EVENT // 1024} KiB")


def _json(data: bytes) -> dict[str, Any]:
    # Each value but the first of all follows one of these; in text they count as well.
    if sum(map(data.count, (b"{", b"[", b","))) > MAX_VALUES:
        raise Nonsense(f"sent more than {MAX_VALUES} values at once")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Nonsense(f"sends what is no JSON: {error}") from None
    if type(found) is not dict:
        raise Nonsense("sends what is no object of the Kubernetes API")
    return found


def _refusal(answer: aiohttp.ClientResponse, body: bytes) -> Exception:
    """Return what an answer other than 200 means."""
    code = answer.status
    if code == 410:
        return Expired()
    if code == 404:
        return Absent()
    why = f"{code} {one_line(answer.reason or '')}".strip()
    try:
        message = orjson.loads(body).get("message")
    except (orjson.JSONDecodeError, AttributeError):
        message = None
    if type(message) is str and message:
        why += f": {one_line(message)}"
    if code == 429 or code >= 500:
        return Problem("unreachable", why, _retry_after(answer))
    return Problem("refused", why)


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return 0.0
    return min(float(text), LONGEST_RETRY_AFTER)


@contextmanager
def _telling() -> Iterator[None]:
    """Make every error of the network inside the block a :class:`Problem`."""
    try:
        yield
    except TimeoutError as error:
        raise Problem("unreachable", "does not answer in time") from error
    except (aiohttp.ClientError, OSError, UnicodeError) as error:
        raise _problem(error) from error


def _problem(error: BaseException) -> Problem:
    """Tell TLS from the rest, by the innermost error that speaks of it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            break  # the connection was cut, which can happen to any
        if isinstance(found, aiohttp.ClientConnectorCertificateError):
            found = found.certificate_error
        if isinstance(found, ssl.SSLCertVerificationError):
            return Problem("TLS", f"the server's certificate: {one_line(found.verify_message)}")
        if isinstance(found, ssl.SSLError | aiohttp.ClientSSLError):
            return Problem("TLS", one_line(getattr(found, "reason", None) or str(found)))
        found = found.__cause__ or found.__context__
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    why = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        # The event loop puts text of its own where the system's belongs; resolvers do not.
        number = error.errno or 0
        why = os.strerror(number) if number > 0 else error.strerror
    return Problem("unreachable", one_line(why))
