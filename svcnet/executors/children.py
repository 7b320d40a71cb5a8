"""One way to run a child process, which neither hangs nor floods whoever started it."""

from __future__ import annotations

import os
import select
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from math import inf
from time import monotonic, sleep
from typing import IO

from attrs import define, field, frozen

from svcnet.errors import ApplyError, SvcnetError, one_line
from svcnet.executors.lock import descriptors

SECONDS = 300.0
"""How long a child may take, whatever it is asked: to list the rules of 50,000 Services takes
``iptables-nft-save`` half a minute on a machine that does nothing else."""

SECONDS_A_MEBIBYTE = 60.0
"""What each MiB of its input adds. ``iptables-nft-restore`` was seen to need 45 s a MiB where a
transaction is large, the legacy one and ``ipset restore`` need less than one."""

GRACE_SECONDS = 10.0
"""What is left to children once svcnet is told to end. The change of a table is all or nothing,
and one of 10,000 Services is through in this time."""

LAST_SECONDS = 60.0
"""What is left to children for removing rules when svcnet ends."""

MOST_OUTPUT = 512 << 20
"""Bytes of its output that are taken, some 100,000 Services' rules; a child that prints more is
ended."""

MOST_COMPLAINT = 64 << 10
"""Bytes of its standard error that are kept; what is more is read and thrown away."""

_CHUNK = 1 << 18
_LOOK_SECONDS = 0.2
"""How often a child that keeps its pipes open is looked at: has it ended, is it to end?"""
_DEATH_SECONDS = 5.0
"""How long a killed child may take to go; one that waits inside the kernel is left behind."""


class Overdue(ApplyError):  # noqa: N818  (a state of the machine, not a mistake)
    """A child took longer than it may, or printed more, and was killed."""


class Interruption(SvcnetError):  # noqa: N818
    """svcnet is to end, so a child was killed, or not started.

    The machine has refused nothing, so this is no ApplyError.
    """

    exit_code = 3


class Deadline:
    """The time at which the children of some work are ended; without `seconds` never, as yet."""

    def __init__(self, seconds: float = inf) -> None:
        self._at = monotonic() + seconds

    def set(self, seconds: float = GRACE_SECONDS) -> None:
        """Have it come in so many seconds, if it does not come sooner. May be called anywhere."""
        self._at = min(self._at, monotonic() + seconds)

    @property
    def seconds_left(self) -> float:
        """How many seconds are left."""
        return self._at - monotonic()


_DEADLINE: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def under(deadline: Deadline) -> Iterator[None]:
    """Have `deadline` hold for the children that are started inside, in place of any other.

    It goes with the context (:mod:`contextvars`): ``asyncio.to_thread`` takes it along.
    """
    token = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def deadline() -> Deadline:
    """Return the deadline that holds here; where there is none, one that is nobody else's."""
    return _DEADLINE.get() or Deadline()


@frozen
class Output:
    """How a child ended. ``code`` is negative for the number of the signal that killed it.

    Bytes that are no UTF-8 are surrogates in both texts, so that they can be written as they
    were. ``complaint`` is standard error as one line.
    """

    code: int
    text: str
    complaint: str

    def __str__(self) -> str:
        """Say what was wrong, in the child's own words if it has any."""
        if self.code < 0:
            killed = f"killed by {_signal_name(-self.code)}"
            return f"{killed}: {self.complaint}" if self.complaint else killed
        return self.complaint or f"exit code {self.code}"


def run_child(
    path: str, *options: str, stdin: str | bytes = b"", seconds: float | None = None
) -> Output:
    """Run the program at `path` and return how it ended, whatever way that was.

    `seconds` is how long it may take, by default what :data:`SECONDS` says. It has a process
    group of its own, all of which is killed when it takes longer, prints too much, or a deadline
    comes. Raises :class:`Overdue`, :class:`Interruption`, or ApplyError where it cannot be started.
    """
    given = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
    name = os.path.basename(path)  # noqa: PTH119  (a path that was found, and its last part)
    ends = deadline()
    if ends.seconds_left <= 0:
        raise Interruption(f"{name}: not started, because svcnet ends")
    if seconds is None:
        seconds = SECONDS + SECONDS_A_MEBIBYTE * len(given) / (1 << 20)
    started = monotonic()
    with _start(path, options) as child:
        output, complaint = _Exchange(name, child, given, seconds, ends, started).finish()
        code = child.returncode
    text = output.decode("utf-8", "surrogateescape")
    words = complaint.decode("utf-8", "surrogateescape").split()
    return Output(code, text, one_line(" ".join(words), 2000))


@contextmanager
def _start(path: str, options: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child that has ended, or is killed, when the block is left.

    Ctrl-C waits until the child is in somebody's hands: an exception while it starts, which may
    run already, would leave it behind.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        child = subprocess.Popen(
            [path, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            pass_fds=descriptors(),
        )
    except (OSError, ValueError) as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise ApplyError(f"{path}: {error}") from None
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield child
    finally:
        _end(child)


@define
class _Exchange:
    """Feeds a child and reads it, so that neither side ever waits for the other."""

    name: str
    child: subprocess.Popen[bytes]
    given: bytes
    seconds: float
    ends: Deadline
    started: float
    sent: int = 0
    output: bytearray = field(factory=bytearray)
    complaint: bytearray = field(factory=bytearray)

    def finish(self) -> tuple[bytearray, bytearray]:
        """Return what the child printed on both pipes, when it has ended."""
        with selectors.DefaultSelector() as pipes:
            self._open(pipes)
            while pipes.get_map():
                ready = pipes.select(min(self._seconds_left(), _LOOK_SECONDS))
                for key, _ in ready:
                    if not key.data():
                        pipes.unregister(key.fileobj)
                if not ready and _has_ended(self.child):
                    # What it started holds the pipes open, maybe for ever.
                    _kill(self.child)
                    break
        self._wait()
        return self.output, self.complaint

    def _open(self, pipes: selectors.BaseSelector) -> None:
        stdin, stdout, stderr = self.child.stdin, self.child.stdout, self.child.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        for pipe in (stdin, stdout, stderr):
            os.set_blocking(pipe.fileno(), False)
        pipes.register(stdout, selectors.EVENT_READ, lambda: self._take(stdout))
        pipes.register(stderr, selectors.EVENT_READ, lambda: self._note(stderr))
        if self.given:
            pipes.register(stdin, selectors.EVENT_WRITE, lambda: self._give(stdin))
        else:
            stdin.close()

    def _give(self, pipe: IO[bytes]) -> bool:
        """Return whether there is more to give; a child need not read what it is given."""
        try:
            self.sent += os.write(pipe.fileno(), memoryview(self.given)[self.sent :][:_CHUNK])
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self.sent = len(self.given)
        if self.sent == len(self.given):
            with suppress(OSError):
                pipe.close()
            return False
        return True

    def _take(self, pipe: IO[bytes]) -> bool:
        data = _read(pipe)
        self.output += data
        if len(self.output) > MOST_OUTPUT:
            raise Overdue(f"{self.name}: killed, for it printed more than {MOST_OUTPUT} bytes")
        return bool(data)

    def _note(self, pipe: IO[bytes]) -> bool:
        data = _read(pipe)
        self.complaint += data[: MOST_COMPLAINT - len(self.complaint)]
        return bool(data)

    def _seconds_left(self) -> float:
        """Return how long the child may still take. Raises Overdue and Interruption."""
        if self.ends.seconds_left <= 0:
            raise Interruption(f"{self.name}: killed, because svcnet ends and it did not")
        left = self.started + self.seconds - monotonic()
        if left <= 0:
            raise Overdue(f"{self.name}: killed, for it had not ended after {self.seconds:.0f} s")
        return min(left, self.ends.seconds_left)

    def _wait(self) -> None:
        """Wait for the end of a child whose pipes are closed, which is close by."""
        with _end_of(self.child) as ended:
            while self.child.poll() is None:
                ended(min(self._seconds_left(), _LOOK_SECONDS))


@contextmanager
def _end_of(child: subprocess.Popen[bytes]) -> Iterator[Callable[[float], object]]:
    """Give what waits for the end of a child for some seconds at most."""
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:
        # Linux before 5.3: a millisecond is no long wait.
        yield lambda left: sleep(min(left, 0.001))
        return
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        yield lambda left: waiting.poll(left * 1000)
    finally:
        os.close(descriptor)


def _read(pipe: IO[bytes]) -> bytes:
    return os.read(pipe.fileno(), _CHUNK)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Return whether a child has ended; its number stays its own until it is waited for."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the pipes, and kill a child that has not been waited for, with all it started."""
    if child.returncode is None:
        _kill(child)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_DEATH_SECONDS)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that has not been waited for, and what is left of all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
