"""How clients of a listening socket are taken, whatever serves them then.

Only so many come in before others have their turn. Who does not fit waits in the kernel, and
the socket is not looked at meanwhile: it would be ready all the time. So it is when the process
has no descriptor left.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

ADMITTED_AT_ONCE = 32
"""How many clients of one socket are taken before other sockets have their turn."""

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What the kernel says when there are too many descriptors, or no memory for one."""

_GONE = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPIPE,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)
"""What is wrong with one client that has gone again, and with no other (accept(2))."""

Client = TypeVar("Client")


class Door(Protocol[Client]):
    """A listening socket and what becomes of its clients."""

    def has_room(self) -> bool:
        """Return whether one more may come in; a door that has no room asks again by itself."""
        ...

    def take(self) -> Client:
        """Return a client that waits. Raises BlockingIOError when nobody does, and OSError."""
        ...

    def serve(self, client: Client) -> None:
        """Begin to serve a client; this does not wait."""
        ...

    def rest(self) -> None:
        """Look away for a while: clients wait that cannot be taken."""
        ...


def admit(door: Door[Client]) -> None:
    """Take the clients that wait at a door, some of them if there are many."""
    for _ in range(ADMITTED_AT_ONCE):
        if not door.has_room():
            return
        try:
            client = door.take()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _GONE:
                continue
            door.rest()
            return
        door.serve(client)


class Shortage:
    """A time without descriptors: it is over when somebody ends, or a while has passed.

    `look_away` is called when it begins, and `look_again` when it is over. `later` calls what it
    is given after so many seconds, in the thread of the loop.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        look_away: Callable[[], None],
        look_again: Callable[[], None],
    ) -> None:
        self._later = later
        self._look_away = look_away
        self._look_again = look_again
        self._waiting: deque[Callable[[], None]] = deque()
        self._current: object | None = None
        self._is_relieved = False

    def begin(self, seconds: float) -> None:
        """Look away for so long, unless that has begun."""
        if self._current is None:
            self._look_away()
            self._over_in(seconds)

    def wait(self, action: Callable[[], None], seconds: float) -> None:
        """Call `action` when it is over, which may need a descriptor itself."""
        self._waiting.append(action)
        self.begin(seconds)

    def relieve(self) -> None:
        """Hear that a descriptor is free: it is over as soon as what happens now has happened."""
        if self._current is not None and not self._is_relieved:
            self._is_relieved = True
            self._over_in(0)

    def close(self) -> None:
        """Call nobody any more."""
        self._waiting.clear()
        self._current = None

    def _over_in(self, seconds: float) -> None:
        token = self._current = object()

        def over() -> None:
            # One that was relieved, or closed, has another token.
            if self._current is token:
                self._current, self._is_relieved = None, False
                self._look_again()
                for _ in range(len(self._waiting)):
                    self._waiting.popleft()()

        self._later(seconds, over)
