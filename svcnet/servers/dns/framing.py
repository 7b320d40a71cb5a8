"""Messages in a stream: each with its length before it, in two bytes (RFC 1035, 4.2.2)."""

from __future__ import annotations

LENGTH_BYTES = 2


def frame(message: bytes) -> bytes:
    """Return a message as it is in a stream."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


class Frames:
    """Cuts messages out of what comes, wherever that is cut itself.

    It holds no more than the beginning of one message and what was fed last.
    """

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> None:
        """Take what has come next."""
        self._received += data

    def take(self) -> bytes | None:
        """Return the next message, or None if it has not come as a whole."""
        received = self._received
        if len(received) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + int.from_bytes(received[:LENGTH_BYTES], "big")
        if len(received) < end:
            return None
        message = bytes(received[LENGTH_BYTES:end])
        del received[:end]
        return message
