"""So much of HTTP as a fake API server speaks."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import orjson
from attrs import define, field, frozen

MAX_HEAD = 64 * 1024
DRIP_BYTES = 8
"""Bytes of an answer that come at once where it drips."""

Object: TypeAlias = dict[str, Any]


@frozen
class FakeRequest:
    """What was asked for."""

    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)

    @property
    def verb(self) -> Literal["list", "watch"]:
        """The verb, as access rules name it."""
        return "watch" if self.parameters.get("watch") in ("1", "true") else "list"

    @property
    def is_look(self) -> bool:
        """Whether this is a list of one object, which asks for the server's version."""
        given = self.parameters
        return self.verb == "list" and given.get("limit") == "1" and "continue" not in given


async def read_request(reader: asyncio.StreamReader) -> FakeRequest | None:
    """Return the next request, None when there is none or it makes no sense."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").split("\r\n")
    method, _, target = first.partition(" ")
    if method != "GET":
        return None
    parts = urlsplit(target.partition(" ")[0])
    named = (line.partition(":") for line in rest if line)
    headers = {name.lower(): value.strip() for name, _, value in named}
    return FakeRequest(parts.path, dict(parse_qsl(parts.query)), headers)


def reset(writer: asyncio.StreamWriter) -> None:
    """Tear a connection down, so that the other side is told of a reset."""
    if not writer.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@define
class ResponseWriter:
    """Writes the answer to one request; with `drip`, in pieces with so many seconds between."""

    writer: asyncio.StreamWriter
    drip: float = 0.0
    content_type: str = "application/json"

    async def status(self, code: int, *, retry_after: str = "", location: str = "") -> None:
        """Answer with a Status."""
        given = {"Retry-After": retry_after, "Location": location}
        headers = {name: value for name, value in given.items() if value}
        await self.body(code, orjson.dumps(status(code)), headers)

    async def page(self, code: int) -> None:
        """Answer with a page for people, as what stands before a server does."""
        self.content_type = "text/html"
        phrase = HTTPStatus(code).phrase
        text = f"<html>\r\n<head><title>{code} {phrase}</title></head>\r\n</html>\r\n"
        await self.body(code, text.encode())

    async def body(
        self, code: int, body: bytes, headers: Mapping[str, str] | None = None, *, cut: bool = False
    ) -> None:
        """Answer with a body of known length, of which only half comes if `cut`."""
        self._head(code, {"Content-Length": str(len(body)), **(headers or {})})
        await self.raw(body[: len(body) // 2] if cut else body, chunked=False)

    async def begin(self) -> None:
        """Begin an answer that has one object a line."""
        self._head(200, {"Transfer-Encoding": "chunked"})
        await self.writer.drain()

    async def line(self, item: Object) -> None:
        """Send an object."""
        await self.raw(orjson.dumps(item) + b"\n")

    async def cut(self, item: Object) -> None:
        """Send half an object in a chunk that never ends."""
        line = orjson.dumps(item) + b"\n"
        self.writer.write(b"%x\r\n" % len(line))
        await self.raw(line[: len(line) // 2], chunked=False)

    async def end(self) -> bool:
        """End an answer of lines in order; the connection can be used for another."""
        await self.raw(b"")
        return True

    async def raw(self, data: bytes, *, chunked: bool = True) -> None:
        """Send bytes."""
        data = b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
        size = DRIP_BYTES if self.drip else max(len(data), 1)
        for start in range(0, len(data), size):
            self.writer.write(data[start : start + size])
            await self.writer.drain()
            if self.drip:
                await asyncio.sleep(self.drip)

    def _head(self, code: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", f"Content-Type: {self.content_type}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))


def status(code: int) -> Object:
    """Return a Status, the API's object for what went wrong."""
    reasons = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 410: "ExpiredVersion"}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"the fake says {code}",
        "reason": reasons.get(code, ""),
        "code": code,
    }
