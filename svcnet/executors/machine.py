"""What executors need of a machine: programs, netlink, the kernel's files, and a lock.

Nothing else in an executor reaches the machine, so one that is given another machine does its work
there. :data:`svcnet.executors.this_machine.THIS_MACHINE` is the one that svcnet runs on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from svcnet.executors.children import Output
from svcnet.family import IPFamily

__all__ = ["Machine", "Netlink", "Output"]

_Value = TypeVar("_Value")


class Netlink(ABC):
    """A socket of one protocol of netlink, and a context manager that closes it.

    Its methods raise OSError, with the errno of the kernel.
    """

    @abstractmethod
    def enable(self, option: int, value: int = 1) -> None:
        """Turn an option of the level ``SOL_NETLINK`` on, or give it a value."""

    @abstractmethod
    def hold(self, size: int) -> None:
        """Let so many bytes wait to be received, more than the usual ones."""

    @abstractmethod
    def allow(self, size: int) -> None:
        """Let a datagram that is sent have so many bytes, more than the usual ones."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send one datagram of whole messages; the kernel carries them out within the call."""

    @abstractmethod
    def receive(self) -> bytes:
        """Wait for the next datagram of answers; TimeoutError or BlockingIOError without one."""

    @abstractmethod
    def pending(self) -> Iterator[bytes]:
        """Yield the datagrams that the kernel has answered already; wait for none."""

    @abstractmethod
    def close(self) -> None:
        """Close the socket."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Machine(ABC):
    """A machine, as one network namespace of it."""

    @abstractmethod
    def find(self, command: str) -> str | None:
        """Return the path of a command, None where it is not installed."""

    @abstractmethod
    def run(
        self, path: str, *options: str, stdin: str | bytes = b"", seconds: float | None = None
    ) -> Output:
        """Run the program at `path` and return how it ended, whatever way that was.

        `seconds` is how long it may take, by default long enough for much work. Raises
        :class:`svcnet.executors.children.Overdue` after that,
        :class:`svcnet.executors.children.Interruption` where svcnet is to end, and ApplyError where
        it cannot be started.
        """

    @abstractmethod
    def netlink(self, protocol: int) -> Netlink:
        """Open a socket of a protocol of netlink. Raises OSError."""

    @abstractmethod
    def socket_option(self, family: IPFamily, option: int, value: bytearray) -> None:
        """Have ``getsockopt`` of the level of an IP family fill `value`, which has a question.

        That is how the kernel tells of tables of iptables-legacy. Raises OSError.
        """

    @abstractmethod
    def read(self, path: Path) -> str:
        """Return the text of a file of the kernel's, such as below /proc. Raises OSError."""

    @abstractmethod
    def write(self, path: Path, text: str) -> None:
        """Write a file of the kernel's, such as a setting below /proc/sys. Raises OSError."""

    @abstractmethod
    def names(self, folder: Path) -> tuple[str, ...]:
        """Return the names in a folder of the kernel's, in no order. Raises OSError."""

    @abstractmethod
    def lock(
        self, family: IPFamily, *, wait: bool = False, keeps: bool = False
    ) -> AbstractContextManager[None]:
        """Keep every other svcnet off the rules of an IP family while inside.

        Inside another of the same family it does nothing. With `wait` it waits for as long as it
        takes. `keeps` says to others that this is ``svcnet run``, which stays. Raises
        :class:`svcnet.executors.lock.Busy` when another has it, and ApplyError when there is no
        safe place for it.
        """

    @abstractmethod
    def is_free(self, family: IPFamily) -> bool:
        """Return whether nobody has the lock of a family now, as far as can be told."""

    @abstractmethod
    def in_own_namespace(self, work: Callable[[], _Value]) -> _Value:
        """Return what `work` gives while this machine is a new network namespace of itself.

        Nothing of what it does there stays. Raises
        :class:`svcnet.executors.namespace.NoNamespace` without the right to make one.
        """

    @contextmanager
    def locks(
        self, families: Iterable[IPFamily], *, wait: bool = False, keeps: bool = False
    ) -> Iterator[None]:
        """Do what :meth:`lock` does, for several families: all of them, or it raises."""
        with ExitStack() as stack:
            # In one order, so that no two wait for each other.
            for family in sorted(set(families)):
                stack.enter_context(self.lock(family, wait=wait, keeps=keeps))
            yield
