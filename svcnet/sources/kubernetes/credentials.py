"""Credentials as they are now: files are read again once they have been replaced."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

from attrs import define

from svcnet.files import KIB, read_text
from svcnet.sources.kubernetes.problems import Problem
from svcnet.sources.kubernetes.server import PEM, APIServer

MOST_BYTES = 1024 * KIB
"""The largest file with a token or certificates; a bundle of authorities has some 250 KiB."""

Seen = tuple[tuple[int, int, int] | None, ...]


@define
class Credentials:
    """What a server is told of us, and how we know it."""

    server: APIServer
    _context: ssl.SSLContext | None = None
    _seen: Seen = ()

    def headers(self) -> dict[str, str]:
        """Return the headers that say who we are.

        A file with a token is read each time: the kubelet replaces it every hour, and requests
        are few.
        """
        token = _content(self.server.token, "token").strip()
        if not token:
            return {}
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise Problem("refused", "the token is no token: it has characters that none may have")
        return {"Authorization": f"Bearer {token}"}

    def tls(self) -> ssl.SSLContext:
        """Return how to be sure of the server: the same value until a file was replaced."""
        server = self.server
        files = (server.authority, server.certificate, server.key)
        seen = tuple(_stat(file) if isinstance(file, Path) else None for file in files)
        if self._context is None or seen != self._seen:
            try:
                self._context = _context(server)
            except (ssl.SSLError, ValueError) as error:
                raise Problem(
                    "TLS", f"a certificate or key cannot be used: {_why(error)}"
                ) from error
            self._seen = seen
        return self._context


def _context(server: APIServer) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif server.authority is None:
        context.load_default_certs()
    else:
        text = _content(server.authority, "authority")
        # Text between certificates, such as their owners' names, may be in any language.
        context.load_verify_locations(cadata=text.encode("ascii", "replace").decode())
    if server.certificate is not None and server.key is not None:
        _load_chain(context, server.certificate, server.key)
    return context


def _load_chain(context: ssl.SSLContext, certificate: PEM, key: PEM) -> None:
    """Load a certificate with its key, by a file of our own: ``ssl`` takes nothing else."""
    both = f"{_content(certificate, 'certificate')}\n{_content(key, 'key')}"
    # Made with mode 0600.
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(both)
        file.flush()
        # Without this a key with a passphrase would ask the terminal for it.
        context.load_cert_chain(file.name, password="")


def _why(error: ssl.SSLError | ValueError) -> str:
    """Return what is wrong in words; Python's have places in its source."""
    if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
        return "they do not belong together"
    return "it is not in PEM, or has a passphrase"


def _content(pem: PEM, what: str) -> str:
    if isinstance(pem, str):
        return pem
    try:
        return read_text(pem, MOST_BYTES)
    except OSError as error:
        raise Problem("refused", f"the {what} {pem} cannot be read: {error.strerror}") from error


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
