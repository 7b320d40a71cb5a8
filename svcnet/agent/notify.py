"""Telling systemd how it stands: sd_notify(3).

The protocol, which systemd keeps stable, is a datagram of a few lines to a socket that an
environment variable names. That is less than a library to depend on would be. Without that
variable, so everywhere but under systemd, nothing is told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from attrs import frozen

from svcnet.errors import one_line

__all__ = ["MAX_STATUS", "Notify"]

MAX_STATUS = 500
"""Characters of a status: ``systemctl status`` shows it on one line."""


@frozen
class Notify:
    """Tells systemd what a service does; the methods never fail, whatever became of systemd.

    ``watchdog_seconds`` is the time after which systemd takes the service for dead unless
    :meth:`alive` was called, None when it does not watch. Half of it is a good interval.
    """

    address: str = ""
    watchdog_seconds: float | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Notify:
        """Return what systemd asked for; no socket and no watchdog where it asked for nothing."""
        address = environ.get("NOTIFY_SOCKET", "")
        # A path, or a name of Linux's abstract namespace; vsock is for virtual machines.
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, _watchdog(environ))

    def ready(self, status: str = "") -> None:
        """Tell that the service has started, or is done with :meth:`reloading`."""
        self._tell("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """Tell people what the service is doing."""
        self._tell(*_status(text))

    def reloading(self) -> None:
        """Tell that the configuration is being read again; :meth:`ready` ends that."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Tell that the service is ending."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """Tell that the service does what it should."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self.address or not lines:
            return
        # An abstract name begins with a null byte.
        address = f"\0{self.address[1:]}" if self.address[0] == "@" else self.address
        message = "\n".join(lines).encode(errors="surrogateescape")
        # Also that there is no descriptor for it is no reason to end.
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(message, socket.MSG_DONTWAIT, address)


def _status(text: str) -> tuple[str, ...]:
    """Return the line of a status, which could otherwise hold lines that mean something else."""
    return (f"STATUS={one_line(text, MAX_STATUS)}",) if text else ()


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return how many seconds the watchdog waits, None if it is none or another process's."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    process = environ.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return None
    # Of 64 bits, as sd_watchdog_enabled(3) reads it.
    if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) < 20):
        return None
    return int(microseconds) / 1e6 or None
