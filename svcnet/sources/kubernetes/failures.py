"""What each way in which a request fails means to an operator, in plain words."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage

from svcnet.sources.kubernetes.problems import Problem, one_line

Part: TypeAlias = Literal["", "answer", "watch"]
"""What had begun when it failed: nothing, an answer, or a watch."""

WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "no connection can be made in time"),
    (TimeoutError, "does not answer in time"),
    (aiohttp.ClientConnectorDNSError, "the server's name is not known"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ServerDisconnectedError, "the connection was closed"),
    (aiohttp.ClientPayloadError, "the connection was closed"),
    (aiohttp.ClientConnectionResetError, "the connection was reset"),
    (ssl.SSLEOFError, "the connection was closed"),
    (ssl.SSLZeroReturnError, "the connection was closed"),
    (aiohttp.InvalidURL, "the server's address is no URL that can be asked"),
    (aiohttp.ClientResponseError, "sends what is no HTTP"),
    (BadHttpMessage, "sends what is no HTTP"),
    (UnicodeError, "the server's name is none that can be looked up"),
)
"""By the type of an error, the first that fits: what has happened."""

CUT = {
    errno.ECONNRESET: "the connection was reset",
    errno.ECONNABORTED: "the connection was closed",
    errno.EPIPE: "the connection was closed",
}
"""By the system's number of an error: how a connection ended, whatever type has the number."""

TLS_WORDS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS",
    "HTTP_REQUEST": "the server does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the server speaks a version of TLS that is too old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the server wants another version of TLS",
    "NO_PROTOCOLS_AVAILABLE": "this machine allows no version of TLS",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not know who has signed our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server does not take our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, says the server",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server finds no way to agree on",
}
"""By OpenSSL's name of a reason: what it means. Of others the name is shown."""


@contextmanager
def telling(part: Part) -> Iterator[None]:
    """Make every error of the network inside the block a :class:`Problem`."""
    try:
        yield
    except (aiohttp.ClientError, BadHttpMessage, OSError, ValueError) as error:
        raise problem(error, part) from error


def problem(error: BaseException, part: Part) -> Problem:
    """Return what an error means that came when `part` had begun."""
    found = _of_tls(error)
    if found is not None:
        return Problem("TLS", found)
    why = _why(error)
    if why.startswith("the connection was "):
        why += f" in the middle of the {part}" if part else " before an answer"
    return Problem("unreachable", why, is_silence=isinstance(error, TimeoutError))


def _of_tls(error: BaseException | None) -> str | None:
    """Return what the innermost error says that speaks of TLS, None if that is not the matter."""
    while error is not None:
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return None  # the connection was cut, which can happen to any
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            error = error.certificate_error
        elif isinstance(error, aiohttp.ClientConnectorError):
            error = error.os_error
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the server's certificate: {one_line(error.verify_message)}"
        if isinstance(error, ssl.SSLError):
            reason = error.reason or "without a reason"
            return TLS_WORDS.get(reason) or one_line(reason.lower().replace("_", " "))
        if isinstance(error, ssl.CertificateError):
            return "the server's certificate is of another"
        error = error.__cause__ or error.__context__
    return None


def _why(error: BaseException) -> str:
    """Return what has happened; of what the table does not have, what the system calls it."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses: {error.status} {one_line(error.message)}".strip()
    if isinstance(error, OSError) and error.errno in CUT:
        return CUT[error.errno]
    for kind, words in WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, socket.gaierror):
        return "the server's name is not known"
    if isinstance(error, OSError) and (error.errno or error.strerror):
        # The event loop puts text of its own where the system's belongs.
        number = error.errno or 0
        return one_line(os.strerror(number) if number > 0 else str(error.strerror))
    return "the connection failed"
