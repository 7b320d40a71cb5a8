"""One process a network namespace and IP family."""

from __future__ import annotations

import socket

from svcnet.errors import ApplyError


def lock(family: str) -> socket.socket:
    """Return a socket whose name only one process of a network namespace can have.

    Close it to give the name back; the kernel does that when its owner ends, however that
    ends. Raises ApplyError when another process has it.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(f"\0svcnet-run-{family}")
    except OSError:
        sock.close()
        raise ApplyError(f"another svcnet run keeps {family} in this network namespace") from None
    return sock
