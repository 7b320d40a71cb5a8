"""A unix socket that tells whoever connects what the proxy counted, and closes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path

from svcnet.executors.local_socket import LocalSocket

PATIENCE_SECONDS = 5.0
WAITING = 128


class Inquiries:
    """Answers from a thread of its own: a slow reader delays other readers, never traffic.

    The socket is its owner's alone. One that a killed process left is replaced; one that
    somebody answers at raises ApplyError.
    """

    def __init__(self, path: Path, answer: Callable[[], bytes]) -> None:
        self._answer = answer
        self._socket = LocalSocket(path, WAITING)
        self._listening = self._socket.listening
        self._listening.setblocking(True)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more, and remove the socket."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_SECONDS)
        self._socket.remove()
        self._listening.close()

    def _serve(self) -> None:
        # The listener was shut down, or the proxy has ended.
        with suppress(OSError, CancelledError):
            while True:
                asker, _ = self._listening.accept()
                asker.settimeout(PATIENCE_SECONDS)
                with asker, suppress(OSError):
                    asker.sendall(self._answer())
