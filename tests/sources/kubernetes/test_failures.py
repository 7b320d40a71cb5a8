"""What breaks in a connection is told in plain words, whatever it is called inside."""

from __future__ import annotations

import errno
import inspect
import re
import socket
import ssl
from typing import Any
from unittest.mock import MagicMock

import aiohttp
import pytest
from aiohttp import http_exceptions

from svcnet.sources.kubernetes.failures import Part, problem

PYTHON = re.compile(r"Error|Exception|[<>{}]|b'|\[Errno|\(|None|object at")
"""What only a programmer reads."""


def aiohttp_errors() -> list[type[BaseException]]:
    modules = (aiohttp.client_exceptions, http_exceptions)
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, BaseException)
    ]
    network = (aiohttp.ClientError, http_exceptions.BadHttpMessage, OSError)
    # There are no servers at unix sockets.
    kinds = {kind for kind in found if issubclass(kind, network) and "Unix" not in kind.__name__}
    return sorted(kinds, key=lambda kind: kind.__name__)


def made(kind: type[BaseException]) -> BaseException:
    """Return an error of a kind, with whatever it wants to know."""
    key = MagicMock(host="a", port=1, ssl=True)
    os_error = OSError(errno.ECONNREFUSED, "Connection refused")
    for given in (
        (),
        ("x",),
        (key, os_error),
        (key, ssl.SSLError(1, "[SSL] x")),
        (MagicMock(), ()),
    ):
        try:
            return kind(*given)
        except TypeError:
            continue
    arguments: dict[str, Any] = {"expected": b"x", "got": b"y", "host": "a", "port": 1}
    names = inspect.signature(kind).parameters
    return kind(**{name: arguments.get(name, MagicMock()) for name in names})


@pytest.mark.parametrize("part", ["", "answer", "watch"])
@pytest.mark.parametrize("kind", aiohttp_errors(), ids=lambda kind: kind.__name__)
def test_errors_of_the_client(kind: type[BaseException], part: Part) -> None:
    """None of aiohttp's errors is told as Python has it."""
    told = problem(made(kind), part)
    assert told.why
    assert not PYTHON.search(told.why), told.why


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=errno.errorcode.get)
def test_errors_of_the_system(number: int) -> None:
    """Each is told in the system's words, or ours."""
    for error in (
        OSError(number, "Connect call failed ('192.0.2.1', 6443)"),
        aiohttp.ClientConnectorError(MagicMock(), OSError(number, "x")),
        aiohttp.ClientOSError(number, "x"),
    ):
        told = problem(error, "")
        assert told.why
        assert not PYTHON.search(told.why.replace("(", "", 1)), told.why


@pytest.mark.parametrize(
    ("error", "part", "state", "why"),
    [
        (
            aiohttp.ClientPayloadError("Response payload is not completed: <TransferEncodingError"),
            "watch",
            "unreachable",
            "the connection was closed in the middle of the watch",
        ),
        (
            ConnectionResetError(errno.ECONNRESET, "x"),
            "watch",
            "unreachable",
            "the connection was reset in the middle of the watch",
        ),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"),
            "",
            "unreachable",
            "the connection was reset before an answer",
        ),
        (
            aiohttp.ServerDisconnectedError(),
            "",
            "unreachable",
            "the connection was closed before an answer",
        ),
        (
            aiohttp.ConnectionTimeoutError(),
            "",
            "unreachable",
            "no connection can be made in time",
        ),
        (TimeoutError(), "answer", "unreachable", "does not answer in time"),
        (
            aiohttp.ClientConnectorDNSError(MagicMock(), OSError(None, "no such host")),
            "",
            "unreachable",
            "the server's name is not known",
        ),
        (socket.gaierror(-2, "x"), "", "unreachable", "the server's name is not known"),
        (http_exceptions.BadStatusLine("x"), "", "unreachable", "sends what is no HTTP"),
        (OSError(errno.EMFILE, "x"), "", "unreachable", "Too many open files"),
        (RuntimeError("x"), "", "unreachable", "the connection failed"),
    ],
)
def test_the_words(error: BaseException, part: Part, state: str, why: str) -> None:
    """The common ones are told as people say them."""
    told = problem(error, part)
    assert (told.state, told.why) == (state, why)
