"""HTTP/1.1 as far as probes and scrapes need it: bytes to a request, an answer to bytes.

One request a connection, GET or HEAD, without a body. What RFC 9112 lets a server refuse is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias

from attrs import frozen

METHODS = ("GET", "HEAD")
END = b"\r\n\r\n"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.[0-9]" % _TOKEN)
_FIELD = re.compile(rb"(%b):[\t\x20-\x7e\x80-\xff]*" % _TOKEN)
_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)

PLAIN_TEXT = "text/plain; charset=utf-8"
NOSNIFF = ("X-Content-Type-Options", "nosniff")


@frozen
class HTTPResponse:
    """What a client is told. ``headers`` come beside those that every answer has."""

    status: int
    body: bytes
    content_type: str = PLAIN_TEXT
    headers: tuple[tuple[str, str], ...] = (NOSNIFF,)


@frozen
class HTTPRequest:
    """What a client asks for; ``path`` is without the query, and not decoded."""

    method: str
    path: str


Responder: TypeAlias = Callable[[str], HTTPResponse]
"""Answers a path. It must neither block nor raise."""


class HTTPError(Exception):
    """A request that is not answered by a responder, with what is answered instead."""

    def __init__(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        super().__init__(status.phrase)
        self.answer = plain(status, *headers)


def plain(status: HTTPStatus, *headers: tuple[str, str]) -> HTTPResponse:
    """Return an answer that says no more than its status."""
    body = f"{status.value} {status.phrase}\n".encode()
    return HTTPResponse(status.value, body, headers=(NOSNIFF, *headers))


def parse(head: bytes) -> HTTPRequest:
    """Return the request of `head`, all before the empty line. Raises Refusal."""
    line, *fields = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    method, target, major = (part.decode("ascii") for part in match.groups())
    if major != "1":
        raise HTTPError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    names = [_field_name(field) for field in fields]
    # Without it nobody knows whom a request is for (RFC 9112, 3.2).
    if names.count(b"host") != 1 and (b"host" in names or not line.endswith(b"1.0")):
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    if method not in METHODS:
        raise HTTPError(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", ", ".join(METHODS)))
    return HTTPRequest(method, _path(target))


def _field_name(field: bytes) -> bytes:
    match = _FIELD.fullmatch(field)
    if match is None:
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    return match[1].lower()


def _path(target: str) -> str:
    absolute = _ABSOLUTE.match(target)
    path = (target[absolute.end() :] or "/") if absolute else target
    if absolute and path.startswith("?"):
        path = "/"
    if not path.startswith("/"):
        raise HTTPError(HTTPStatus.BAD_REQUEST)
    return path.partition("?")[0]


def encode(answer: HTTPResponse, *, body: bool = True) -> bytes:
    """Return the bytes of an answer, without its body when the client asked for the head."""
    fields = (
        ("Content-Type", answer.content_type),
        *answer.headers,
        ("Date", formatdate(usegmt=True)),
        ("Content-Length", str(len(answer.body))),
        ("Connection", "close"),
    )
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join(lines).encode("ascii") + END + (answer.body if body else b"")
