"""A unix socket that tells whoever connects what the proxy counted, and closes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

from svcnet.errors import ApplyError

PATIENCE_SECONDS = 5.0


class Inquiries:
    """Answers from a thread of its own: a slow reader delays other readers, never traffic.

    The socket is its owner's alone. One that a killed process left is replaced; one that
    somebody answers at raises ApplyError.
    """

    def __init__(self, path: Path, answer: Callable[[], bytes]) -> None:
        self._path = path
        self._answer = answer
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(path)
            before = os.umask(0o177)
            try:
                self._sock.bind(str(path))
            finally:
                os.umask(before)
            self._sock.listen()
        except OSError as error:
            self._sock.close()
            raise ApplyError(f"{path}: no socket there: {error.strerror or error}") from None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and remove the socket."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_SECONDS)
        self._sock.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        # The listener was shut down, or the proxy has ended.
        with suppress(OSError, CancelledError):
            while True:
                asker, _ = self._sock.accept()
                asker.settimeout(PATIENCE_SECONDS)
                with asker, suppress(OSError):
                    asker.sendall(self._answer())


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except FileNotFoundError:
            pass
        else:
            raise ApplyError(f"{path}: another process answers there")
