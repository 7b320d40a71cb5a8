"""A unix socket at a path: how it comes there, and how it goes, without harm to what is not ours.

A path that somebody names may be anything: a file, a folder, the socket of a program that is
alive. Removed is nothing but a socket that no process has any more, and is this user's.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from svcnet.errors import ApplyError

Identity: TypeAlias = tuple[int, int]
"""What tells a file from every other: its device and its inode."""

_NOT_BLOCKING = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class LocalSocket:
    """A stream socket that listens at `path`, its owner's alone.

    ``listening`` does not block, and is the caller's to close. `waiting` is how many clients
    may wait to be taken. A socket that a killed process left is replaced. Raises ApplyError
    where another process has the path, where something else is there, and where no socket can
    be made.
    """

    def __init__(self, path: Path, waiting: int) -> None:
        self._path = path
        try:
            _remove_dead(path)
            self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | _NOT_BLOCKING)
            try:
                self._listen(waiting)
            except BaseException:
                self.listening.close()
                raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise ApplyError(f"{path}: no socket there: {reason}") from None

    def _listen(self, waiting: int) -> None:
        # The file of the socket gets this mode, so at no time is it anybody else's.
        os.fchmod(self.listening.fileno(), 0o600)
        self.listening.bind(str(self._path))
        self._made = _identity(self._path)
        self.listening.listen(waiting)

    def remove(self) -> None:
        """Remove the socket from its path if it is still this one.

        To be called before it is closed: after that its inode may be that of another file.
        """
        with suppress(OSError, ApplyError):
            if _identity(self._path) == self._made:
                _remove(self._path, self._made)


def _remove_dead(path: Path) -> None:
    """Make way at `path`. Raises ApplyError when what is there must stay, and OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ApplyError(f"{path}: is there, and is no socket")
    if found.st_uid != os.geteuid():
        raise ApplyError(f"{path}: is a socket of another user, uid {found.st_uid}")
    if not _is_dead(path):
        raise ApplyError(f"{path}: another process answers there")
    _remove(path, (found.st_dev, found.st_ino))


def _is_dead(path: Path) -> bool:
    """Return whether the socket at `path` is no process's any more.

    Asked is by a datagram socket. It disturbs nobody: one for streams would be a client of the
    process, and could not tell a dead socket from one that is bound and does not listen yet.
    To any socket of another type the kernel says EPROTOTYPE (unix_find_bsd in net/unix).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | _NOT_BLOCKING) as asking:
        return asking.connect_ex(str(path)) == errno.ECONNREFUSED


def _remove(path: Path, identity: Identity) -> None:
    """Remove the file `identity` from `path`; what came there in its place stays.

    It gets a name that nobody else knows first: looked at and removed under the same name, it
    could be replaced in between. Raises ApplyError when it was, and OSError.
    """
    aside = path.with_name(f".svcnet-{secrets.token_hex(8)}")
    path.rename(aside)
    if _identity(aside) != identity:
        _put_back(aside, path)
        raise ApplyError(f"{path}: another process answers there")
    aside.unlink()


def _put_back(aside: Path, path: Path) -> None:
    """Give a file its name back. Raises ApplyError where the name has a new owner already."""
    try:
        # A link does not replace what has come there since.
        path.hardlink_to(aside)
    except FileExistsError:
        raise ApplyError(f"{path}: was replaced twice; what was there is {aside}") from None
    except OSError:  # a folder, or a file that may have no second name
        aside.rename(path)
    else:
        aside.unlink()


def _identity(path: Path) -> Identity:
    found = path.lstat()
    return found.st_dev, found.st_ino
