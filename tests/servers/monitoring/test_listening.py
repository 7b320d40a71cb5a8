"""A server and its clients, over real sockets: honest, slow, hostile and broken ones."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnet.errors import ApplyError
from svcnet.servers import clients
from svcnet.servers.monitoring import listening
from svcnet.servers.monitoring.http import HTTPResponse
from svcnet.servers.monitoring.listening import CLIENTS, EXCESS_BYTES, HEAD_BYTES, HTTPServer
from tests.servers.monitoring.serving import (
    LOOPBACK,
    Running,
    free_port,
    get,
    read_all,
    running,
    say,
)

REQUEST = b"GET /x HTTP/1.1\r\nHost: node\r\n\r\n"


def echo(path: str) -> HTTPResponse:
    if path == "/mistake":
        raise ValueError(path)
    return HTTPResponse(200, path.encode())


@pytest.fixture(name="loop", scope="module")
def a_loop() -> Iterator[Running]:
    with running() as loop:
        yield loop


@pytest.fixture(name="port", scope="module")
def serving(loop: Running) -> Iterator[int]:
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), echo))
    yield server.where[1]
    loop.call(server.close)


def connect(port: int) -> socket.socket:
    return socket.create_connection((LOOPBACK, port), timeout=10)


def is_cut_off(client: socket.socket, data: bytes, *, pause: float = 0) -> bool:
    """Whether a client that sends on and on is cut off, which it notices as it sends."""
    try:
        for _ in range(200):
            client.sendall(data)
            time.sleep(pause)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_get_and_head(port: int) -> None:
    """GET gets head and body, HEAD the same head only."""
    status, headers, body = get(port, "/some/path?query")
    assert (status, body) == (200, b"/some/path")
    status, head, body = get(port, "/some/path", method="HEAD")
    assert (status, body) == (200, b"")
    assert head | {"Date": ""} == headers | {"Date": ""}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods(port: int, method: str) -> None:
    """Other methods are not allowed."""
    status, headers, _ = get(port, "/", method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_request_byte_by_byte(port: int) -> None:
    """How the bytes arrive does not matter."""
    with connect(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in REQUEST:
            client.sendall(bytes([byte]))
        assert read_all(client).endswith(b"\r\n\r\n/x")


def test_one_request_a_connection(port: int) -> None:
    """A second request on a connection gets no answer: the first answer says so."""
    assert say(port, REQUEST * 3).count(b"HTTP/1.1") == 1


def test_a_body_does_not_cost_the_answer(port: int) -> None:
    """A client that sends a body along still reads the answer: no reset overtakes it."""
    for _ in range(20):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n"
        assert say(port, head, b"x" * 50000).startswith(b"HTTP/1.1 405 ")


def test_a_head_of_the_longest_length(port: int) -> None:
    """A head may be as long as the limit and not a byte longer."""
    start = b"GET /x HTTP/1.1\r\nHost: node\r\nX: "
    most = start + b"x" * (HEAD_BYTES - len(start))
    assert say(port, most, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert say(port, most, b"x\r\n\r\n").startswith(b"HTTP/1.1 431 ")


def test_a_head_without_end(port: int) -> None:
    """One who sends on and on is refused, and cut off."""
    answer = say(port, *[b"GET /" + b"x" * 100_000] * 50)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    assert get(port)[0] == 200


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\n", REQUEST[:-1], b"\0" * 100])
def test_half_a_request(port: int, part: bytes) -> None:
    """A request that ends too early is a bad one."""
    assert say(port, part).startswith(b"HTTP/1.1 400 ")


def test_nothing_at_all(port: int) -> None:
    """Who connects and leaves gets nothing, as the probes of some load balancers do."""
    assert say(port) == b""


def test_clients_that_reset(port: int) -> None:
    """A reset, before or after the request, troubles nobody."""
    for data in (b"", b"GET", REQUEST):
        client = connect(port)
        client.sendall(data)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    assert get(port)[0] == 200


def test_silence_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who sends no request in time is cut off."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.1)
    with connect(port) as client:
        client.sendall(b"GET / HT")
        assert read_all(client) == b""


def test_a_trickle_is_ended(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the whole request: a byte now and then does not extend it."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.3)
    with connect(port) as client:
        assert is_cut_off(client, b"x", pause=0.05)


def test_a_client_that_never_closes(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its answer a client has a while to close, and no longer."""
    monkeypatch.setattr(listening, "ANSWER_SECONDS", 0.2)
    with connect(port) as client:
        client.sendall(REQUEST)
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
        assert is_cut_off(client, b"x", pause=0.05)


def test_excess_is_bounded(port: int) -> None:
    """What is sent beyond the request is read up to a limit only."""
    with connect(port) as client:
        client.sendall(REQUEST)
        assert is_cut_off(client, b"x" * EXCESS_BYTES)


def test_a_client_that_reads_nothing(loop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who does not take its answer is left, and does not hold up others."""
    monkeypatch.setattr(listening, "ANSWER_SECONDS", 0.3)
    server = loop.call(
        lambda: HTTPServer((LOOPBACK, 0), lambda _: HTTPResponse(200, b"x" * 50_000_000))
    )
    try:
        with connect(server.where[1]) as client:
            client.sendall(REQUEST)
            time.sleep(0.6)
            assert len(read_all(client)) < 50_000_000
    finally:
        loop.call(server.close)


def test_silent_clients_do_not_keep_out_honest_ones(port: int) -> None:
    """However many say nothing, one more is answered; those there longest have to go."""
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(CLIENTS + 20)]
        assert get(port)[0] == 200
        assert silent[0].recv(1) == b""
        silent[-1].sendall(REQUEST)
        assert read_all(silent[-1]).startswith(b"HTTP/1.1 200 ")


def test_descriptors_that_run_out(loop: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without descriptors a server looks away for a while, and then answers who waits."""
    monkeypatch.setattr(clients, "PAUSE_SECONDS", 0.1)
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), echo))
    left = [3]

    class Exhausted(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    def replace() -> None:
        # As a real socket in everything but accept: the loop knows it by its descriptor.
        listener = server._listener
        loop.loop.remove_reader(listener._socket)
        listener._socket = Exhausted(fileno=listener._socket.detach())
        loop.loop.add_reader(listener._socket, listener._accept)

    loop.call(replace)
    try:
        assert get(server.where[1])[0] == 200
        assert left == [0]
    finally:
        loop.call(server.close)


def test_a_mistake_of_ours(loop: Running, port: int) -> None:
    """A responder that raises is told to the loop's owner, and the client gets 500."""
    assert get(port, "/mistake")[0] == 500
    (trouble,) = loop.troubles
    loop.troubles.clear()
    assert isinstance(trouble["exception"], ValueError)


def test_closing_ends_connections(loop: Running) -> None:
    """Closed, a server ends the connections that are open, and its port is free."""
    server = loop.call(lambda: HTTPServer((LOOPBACK, 0), echo))
    where = server.where
    with connect(where[1]) as client:
        assert get(where[1])[0] == 200
        loop.call(server.close)
        assert read_all(client) == b""
    again = loop.call(lambda: HTTPServer(where, echo))
    loop.call(again.close)


def test_a_port_that_is_taken(loop: Running) -> None:
    """An address that another has is an error that names it."""
    with socket.create_server((LOOPBACK, free_port())) as other:
        where = other.getsockname()
        with pytest.raises(ApplyError, match=rf"127.0.0.1 port {where[1]}: cannot be listened on"):
            loop.call(lambda: HTTPServer(where, echo))


def test_ipv6(loop: Running) -> None:
    """An IPv6 address is listened on as well as one of IPv4."""
    server = loop.call(lambda: HTTPServer(("::1", 0), echo))
    try:
        assert get(server.where[1], address="::1")[0] == 200
    finally:
        loop.call(server.close)


PIECES = st.sampled_from(
    [
        *(b"GET /", b"HEAD / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"Host: node\r\n", b"\r\n"),
        *(b"\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"x" * 5000),
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=50)), max_size=8))
def test_raw_bytes_of_any_kind(port: int, parts: list[bytes]) -> None:
    """Whatever a client sends, it gets one well-formed answer, or none if it sent nothing."""
    answer = say(port, *parts)
    if not b"".join(parts):
        assert answer == b""
        return
    head, end, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    status = int(lines[0].removeprefix("HTTP/1.1 ")[:3])
    assert end
    assert status in {200, 400, 405, 431, 505}
    length = next(line for line in lines if line.startswith("Content-Length: "))
    assert len(body) in {0, int(length.split()[1])}


def test_nothing_is_left_behind(loop: Running, port: int) -> None:
    """When clients are gone no task is left."""
    get(port)

    async def tasks() -> int:
        deadline = loop.loop.time() + 10
        while len(asyncio.all_tasks()) > 1 and loop.loop.time() < deadline:
            await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    assert asyncio.run_coroutine_threadsafe(tasks(), loop.loop).result(20) == 1
