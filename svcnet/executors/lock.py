"""One svcnet at a time changes an IP family of a network namespace.

The lock is a file that is locked with flock(2) in svcnet's own folder. The kernel gives it
back when its holder ends, however that ends, and with it the commands that it had started: these
have the lock too, so that what a killed svcnet began is over before the next one looks.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Self, TypeAlias

from attrs import frozen
from immutables import Map

from svcnet import checks
from svcnet.errors import ApplyError, one_line
from svcnet.family import IPFamily
from svcnet.folder import own_folder, usual_folder

__all__ = ["GRACE_SECONDS", "Busy", "descriptors", "is_free", "lock", "locks"]

GRACE_SECONDS = 5.0
"""How long it is waited for a lock that is taken, while no process that lives says it has it.

It may just be taken, or the commands of a holder that was killed have it still."""

_AGAIN_SECONDS = 0.05
_MOST_BYTES = 4096
_MOST_SHOWN = 200
_NAMESPACE = "/proc/thread-self/ns/net"
_WRITTEN = re.compile(rb"(\d{1,10}) (\d{1,20}) (\d{1,20}) (keeps|changes) (.*)", re.DOTALL)

_Key: TypeAlias = tuple[int, int, IPFamily]

# What is held goes with the context, as a deadline does: threads that are given the context of a
# holder work for it, all others are held off as other processes are.
_HELD: ContextVar[Map[_Key, int]] = ContextVar("held", default=Map())


class Busy(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """Another svcnet has the lock; the text says which."""

    check = checks.BUSY


@contextmanager
def lock(family: IPFamily, *, wait: bool = False, keeps: bool = False) -> Iterator[None]:
    """Keep every other svcnet off the rules of `family` in this network namespace while inside.

    It is for everything from the first look to the last write. Inside another of the same
    family, in the same context (module ``contextvars``), it does nothing. With `wait` it waits for
    as long as it takes. `keeps` says to others that this is ``svcnet run``, which stays.

    Raises :class:`Busy` when another has it, and ApplyError when there is no safe place for it.
    """
    # While it is open, no other namespace gets its number.
    namespace = _open_namespace()
    try:
        identity = os.fstat(namespace)
        key = (identity.st_dev, identity.st_ino, family)
        held = _HELD.get()
        if key in held:
            yield
            return
        path, file = _acquire(key, wait=wait)
        try:
            _Holder.this(keeps=keeps).write(file)
            token = _HELD.set(held.set(key, file))
            try:
                yield
            finally:
                _HELD.reset(token)
                # Who waits for it finds out that it has gone, and makes another.
                if _is_at(path, file):
                    path.unlink(missing_ok=True)
        finally:
            os.close(file)
    finally:
        os.close(namespace)


@contextmanager
def locks(
    families: Iterable[IPFamily], *, wait: bool = False, keeps: bool = False
) -> Iterator[None]:
    """Do what :func:`lock` does, for several families: all of them, or it raises."""
    with ExitStack() as stack:
        # In one order, so that no two wait for each other.
        for family in sorted(set(families)):
            stack.enter_context(lock(family, wait=wait, keeps=keeps))
        yield


def is_free(family: IPFamily) -> bool:
    """Return whether nobody has the lock of `family` now, as far as can be told."""
    found = Path(_NAMESPACE).stat()
    path = usual_folder() / _name((found.st_dev, found.st_ino, family))
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        # Who comes in this very moment finds no name of a holder, and tries again.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def _open_namespace() -> int:
    """Return a descriptor of this network namespace. Raises ApplyError, as without room for it."""
    try:
        return os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ApplyError(f"{_NAMESPACE}: {error.strerror}") from None


def descriptors() -> tuple[int, ...]:
    """Return the descriptors of the locks that are held here, for commands to hold them too."""
    return tuple(_HELD.get().values())


@frozen
class _Holder:
    """Who has a lock, by its own words: a process of a namespace of processes, and its command.

    ``began`` is when the process did, in ticks, 0 if that is not known: another one may have
    its number later.
    """

    process: int
    began: int
    namespace: int
    keeps: bool
    command: str

    @classmethod
    def this(cls, *, keeps: bool) -> Self:
        """Return this process."""
        process, began = os.getpid(), 0
        with suppress(OSError):
            _, began = _process(process)
        return cls(process, began, _process_namespace(), keeps, shlex.join(sys.orig_argv))

    @classmethod
    def read(cls, file: int) -> Self | None:
        """Return who has written itself into the lock; None where nobody has yet."""
        found = _WRITTEN.fullmatch(os.pread(file, _MOST_BYTES, 0))
        if found is None:
            return None
        process, began, namespace, what, command = found.groups()
        told = command.decode("utf-8", "replace")
        return cls(int(process), int(began), int(namespace), what == b"keeps", told)

    def write(self, file: int) -> None:
        """Tell others; where there is no room for it they hear less, and the lock is as good."""
        what = "keeps" if self.keeps else "changes"
        text = f"{self.process} {self.began} {self.namespace} {what} {self.command}"
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, text.encode("utf-8", "surrogateescape")[:_MOST_BYTES], 0)

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended, as far as can be told from here."""
        if self.namespace != _process_namespace():
            return False
        try:
            state, began = _process(self.process)
        except OSError:
            return True
        return state in (b"Z", b"X") or self.began not in (0, began)

    def __str__(self) -> str:
        return f"process {self.process}: {one_line(self.command, _MOST_SHOWN)}"


def _name(key: _Key) -> str:
    return f"net-{key[0]}-{key[1]}-{key[2]}.lock"


def _acquire(key: _Key, *, wait: bool) -> tuple[Path, int]:
    """Return the path and the descriptor of a lock's file, once it is locked."""
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        path = own_folder() / _name(key)
        file = _open(path)
        if file is None:
            continue
        try:
            if _is_taken(file, wait=wait):
                holder = _Holder.read(file)
                is_there = holder is not None and not holder.is_gone
                if is_there or time.monotonic() >= deadline:
                    raise Busy(_who(holder, key[2]))
                time.sleep(_AGAIN_SECONDS)
            elif _is_at(path, file):
                return path, file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _open(path: Path) -> int | None:
    """Return a descriptor of the file at `path`, None if its folder has gone meanwhile.

    Raises ApplyError for a file that somebody else may open, too.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ApplyError(f"{path}: no lock there: {error.strerror}") from None
    found = os.fstat(file)
    is_alone = stat.S_ISREG(found.st_mode) and found.st_nlink < 2
    if is_alone and found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077:
        return file
    os.close(file)
    raise ApplyError(f"{path}: is no lock that svcnet made: remove it")


def _is_taken(file: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return True
    return False


def _is_at(path: Path, file: int) -> bool:
    """Return whether a file is still at its path: who comes next locks what is there."""
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(file))
    return False


def _who(holder: _Holder | None, family: IPFamily) -> str:
    where = f"{family} in this network namespace"
    if holder is None:
        return f"another svcnet changes {where}"
    if holder.is_gone:
        return f"a command of a svcnet that was killed still changes {where} ({holder})"
    if holder.keeps:
        return f"another svcnet run keeps {where} ({holder})"
    return f"another svcnet changes {where} ({holder})"


def _process(number: int) -> tuple[bytes, int]:
    """Return the state of a process and when it began, in ticks (proc_pid_stat(5)).

    Raises OSError where there is none.
    """
    told = Path(f"/proc/{number}/stat").read_bytes().rpartition(b") ")[2].split()
    return told[0], int(told[19])


def _process_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
