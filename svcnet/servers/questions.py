"""A unix socket where a running svcnet answers its owner, and how to ask there.

A question is one line, the answer all that comes until the end; where there is one answer only,
nothing is asked. The socket is its owner's alone: by its mode, and by what the kernel says of who
has connected. A client has a few seconds.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.folder import usual_folder
from svcnet.servers.clients import Acceptor, ClientConnection, Clients, user_of
from svcnet.servers.descriptors import affordable
from svcnet.servers.local_socket import LocalSocket

PROXY_TABLE = "proxy-table"
"""The question for what a userspace proxy serves."""

CLIENTS = 16
"""How many clients may be connected at a time."""

WAITING = 1024
"""How many more may wait to be taken."""

QUESTION_BYTES = 4096
QUESTION_SECONDS = 5.0
"""How long a question may be, and how long a client may take to send it."""

ANSWER_SECONDS = 30.0
"""How long a client may take to read the answer."""

ANSWER_BYTES = 256 << 20
ANSWER_CHUNK = 1 << 20
PATIENCE_SECONDS = 60.0
"""How much the asker reads, how much at a time, and how long it waits for all of it."""

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.02
"""How long the asker waits to be let in, and how often it tries."""


def usual_path() -> Path:
    """Return where the svcnet of this network namespace answers unless told otherwise.

    The folder is that of :func:`svcnet.folder.usual_folder`. Raises ApplyError where
    there is no /proc to tell the namespace by.
    """
    namespace = Path("/proc/thread-self/ns/net")
    try:
        number = namespace.stat().st_ino
    except OSError as error:
        raise ApplyError(f"{namespace}: {error.strerror}") from None
    return usual_folder() / f"net-{number}.sock"


class Answers:
    """Answers from the moment it is made in a running event loop until closed.

    `answer` is called in a thread, for one client at a time. Without `asks` clients say nothing,
    and its argument is empty. A socket that a killed process left is replaced. Raises ApplyError
    where another process answers, or no socket can be made.
    """

    def __init__(self, path: Path, answer: Callable[[bytes], bytes], *, asks: bool = True) -> None:
        self._answer = answer
        self._asks = asks
        self._one_at_a_time = asyncio.Lock()
        with suppress(OSError):  # what follows says why there is no folder
            path.parent.mkdir(mode=0o700, exist_ok=True)
        self._socket = LocalSocket(path, WAITING)
        self._clients = Clients(affordable(CLIENTS))
        self._listener = Acceptor(self._socket.listening, self._converse, self._clients)

    def close(self) -> None:
        """Answer no more, and remove the socket if it is still this one."""
        self._socket.remove()
        self._listener.close()
        self._clients.close()

    async def _converse(self, client: ClientConnection) -> None:
        """Answer once; who may not ask, is too slow or has gone gets no answer."""
        loop, connection = asyncio.get_running_loop(), client.connection
        if user_of(connection) not in (0, os.geteuid()):
            return
        # The end of a time limit is an OSError as well.
        with suppress(OSError):
            question = b""
            if self._asks:
                async with asyncio.timeout(QUESTION_SECONDS):
                    question = await _line(connection)
            answer = await self._make(question)
            async with asyncio.timeout(ANSWER_SECONDS):
                await loop.sock_sendall(connection, answer)

    async def _make(self, question: bytes) -> bytes:
        """Have a thread make the answer; while one does, no other begins.

        That a client has to go ends its wait, but no thread: so that is what the next waits for.
        """
        await self._one_at_a_time.acquire()
        making = asyncio.get_running_loop().run_in_executor(None, self._answer, question)
        making.add_done_callback(self._is_made)
        try:
            return await asyncio.shield(making)
        except Exception:
            return b""

    def _is_made(self, making: asyncio.Future[bytes]) -> None:
        self._one_at_a_time.release()
        error = None if making.cancelled() else making.exception()
        if error is not None:
            # Our own mistake: it is told where the loop's owner looks.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a question could not be answered", "exception": error}
            )


def ask(path: Path, question: bytes) -> bytes:
    """Return what the svcnet that listens at `path` answers. Raises ApplyError.

    Whoever listens there may be another program: what it says is read up to a length and for a
    time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE_SECONDS)
        try:
            _connect(asking, path)
            with suppress(BrokenPipeError, ConnectionResetError):
                asking.sendall(question + b"\n")
            answer = _whole(asking, deadline)
        except OSError as error:
            reason = error.strerror or error
            told = f"{path}: no svcnet run answers there: {reason}"
            raise ApplyError(told, checks.NOT_RUNNING) from None
    if not answer:
        raise ApplyError(f"{path}: svcnet run gives no answer: it is its owner's and root's to ask")
    if len(answer) > ANSWER_BYTES:
        raise ApplyError(f"{path}: an answer of more than {ANSWER_BYTES >> 20} MiB")
    return bytes(answer)


def proxy_tables(path: Path) -> str:
    """Return the tables of the userspace proxy of the svcnet at `path`, as JSON documents.

    They are one after the other, and none if it has no such proxy. Raises ApplyError where no
    svcnet answers, or something else.
    """
    answer = ask(path, orjson.dumps({"ask": PROXY_TABLE}))
    try:
        return "".join(str(each["text"]) for each in orjson.loads(answer)["texts"])
    except (ValueError, LookupError, TypeError):
        raise ApplyError(f"{path}: the answer is not one of svcnet run") from None


def _whole(asking: socket.socket, deadline: float) -> bytearray:
    """Return all that comes until the end, or too much of it. Raises OSError."""
    answer = bytearray()
    while len(answer) <= ANSWER_BYTES:
        asking.settimeout(max(deadline - time.monotonic(), RETRY_SECONDS))
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end of the answer within {PATIENCE_SECONDS:g} s")
        try:
            data = asking.recv(ANSWER_CHUNK)
        except ConnectionResetError:
            break
        if not data:
            break
        answer += data
    return answer


def _connect(asking: socket.socket, path: Path) -> None:
    """Connect, also where many wait: the kernel then refuses who has a time limit at once."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            asking.connect(str(path))
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


async def _line(connection: socket.socket) -> bytes:
    """Return what a client sends up to the end of its line, or too much of it."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while b"\n" not in received and len(received) <= QUESTION_BYTES:
        data = await loop.sock_recv(connection, QUESTION_BYTES)
        if not data:
            break
        received += data
    return bytes(received[:QUESTION_BYTES]).partition(b"\n")[0]
