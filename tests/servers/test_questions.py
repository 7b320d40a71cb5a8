"""The unix socket of status and of statistics, and who asks there: greedy, slow and hostile."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from svcnet.errors import ApplyError
from svcnet.servers import questions
from svcnet.servers.questions import CLIENTS, Answers, ask
from tests.servers.exhaustion import no_descriptors
from tests.servers.monitoring.serving import Running, running

LARGE = b"x" * (8 << 20)


@pytest.fixture
def no_greedy_one_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest client that is served only after others' time is up is not served here."""
    monkeypatch.setattr(questions, "QUESTION_SECONDS", 600.0)
    monkeypatch.setattr(questions, "ANSWER_SECONDS", 600.0)
    monkeypatch.setattr(questions, "PATIENCE_SECONDS", 20.0)


@pytest.fixture(name="loop", scope="module")
def a_loop() -> Iterator[Running]:
    with running() as loop:
        yield loop


@pytest.fixture(name="path", params=[True, False], ids=["status", "statistics"])
def answering(request: pytest.FixtureRequest, loop: Running, tmp_path: Path) -> Iterator[Path]:
    """A socket where a large answer is given, whether anything is asked or not."""
    path = tmp_path / "socket"
    asks: bool = request.param

    def answer(question: bytes) -> bytes:
        return LARGE if question == (b"what" if asks else b"") else b"no"

    answers = loop.call(lambda: Answers(path, answer, asks=asks))
    yield path
    loop.call(answers.close)
    assert not path.exists()


def connected(path: Path, say: bytes = b"") -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    with suppress(OSError):
        sock.sendall(say)
    return sock


@pytest.mark.usefixtures("no_greedy_one_goes_by_itself")
def test_clients_that_read_nothing_do_not_hold_up_others(path: Path) -> None:
    """However many take no answer, an honest client has its own, whole."""
    with ExitStack() as stack:
        for _ in range(3 * CLIENTS):
            stack.enter_context(connected(path, b"what\n"))
        assert ask(path, b"what") == LARGE


@pytest.mark.usefixtures("no_greedy_one_goes_by_itself")
def test_silent_clients_do_not_hold_up_others(path: Path) -> None:
    """However many say nothing, or half a question, an honest client has its answer."""
    with ExitStack() as stack:
        for number in range(3 * CLIENTS):
            stack.enter_context(connected(path, b"wh" if number % 2 else b""))
        assert ask(path, b"what") == LARGE


def test_a_process_without_descriptors_answers(path: Path) -> None:
    """The descriptors that are kept back let one client after the other in."""
    with no_descriptors(left=1):
        for _ in range(5):
            assert ask(path, b"what") == LARGE


def test_other_users_get_nothing(path: Path) -> None:
    """Who is neither the owner nor root has no answer, even where the mode would let it in."""
    if subprocess.run(["id", "-u"], capture_output=True, check=True).stdout != b"0\n":
        pytest.skip("only root can be another user")
    path.chmod(0o666)
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)
    script = (
        "import socket, sys\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(sys.argv[1])\n"
        "try:\n    sock.sendall(b'what\\n'); print(len(sock.recv(10)))\n"
        "except OSError:\n    print(0)\n"
    )
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*other, "/usr/bin/python3", "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n"
    assert ask(path, b"what") == LARGE


def test_one_answer_is_made_at_a_time(loop: Running, tmp_path: Path) -> None:
    """However fast clients come and have to go, no second thread makes an answer meanwhile."""
    making = [0]
    most = [0]

    def answer(_: bytes) -> bytes:
        making[0] += 1
        most[0] = max(most[0], making[0])
        time.sleep(0.02)
        making[0] -= 1
        return b"it"

    path = tmp_path / "socket"
    answers = loop.call(lambda: Answers(path, answer, asks=False))
    with ExitStack() as stack:
        for _ in range(5 * CLIENTS):
            stack.enter_context(connected(path))
        assert ask(path, b"") == b"it"
    loop.call(answers.close)
    assert most == [1]


def test_a_mistake_of_ours_is_told_and_others_are_answered(loop: Running, tmp_path: Path) -> None:
    """An answer that cannot be made costs its client the answer, and no other."""

    def answer(question: bytes) -> bytes:
        if question == b"mistake":
            raise ValueError(question)
        return b"it"

    path = tmp_path / "socket"
    answers = loop.call(lambda: Answers(path, answer))
    with pytest.raises(ApplyError):
        ask(path, b"mistake")
    assert ask(path, b"what") == b"it"
    loop.call(answers.close)
    assert {str(trouble["exception"]) for trouble in loop.troubles} == {"b'mistake'"}
    loop.troubles.clear()


Talk = Callable[[socket.socket], None]


@pytest.fixture(name="listening")
def another_program(tmp_path: Path) -> Iterator[Callable[[Talk], Path]]:
    """Return what has another program listen at a path, whatever it says there."""
    path = tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve(talk: Talk) -> None:
            with suppress(OSError), listening.accept()[0] as connection:
                talk(connection)

        def begin(talk: Talk) -> Path:
            threads.append(threading.Thread(target=serve, args=(talk,), daemon=True))
            threads[0].start()
            return path

        threads: list[threading.Thread] = []
        yield begin
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def test_an_answer_without_end_is_read_up_to_a_length(
    listening: Callable[[Talk], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends on and on does not fill the memory of who asks."""
    monkeypatch.setattr(questions, "ANSWER_BYTES", 4 << 20)

    def endless(connection: socket.socket) -> None:
        while True:
            connection.sendall(bytes(1 << 16))

    with pytest.raises(ApplyError, match="an answer of more than 4 MiB"):
        ask(listening(endless), b"what")


@pytest.mark.parametrize("trickle", [b"", b"x"])
def test_an_answer_that_never_ends_is_waited_for_only_so_long(
    trickle: bytes, listening: Callable[[Talk], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is for the whole: a byte now and then does not extend it."""
    monkeypatch.setattr(questions, "PATIENCE_SECONDS", 0.5)

    given_up = threading.Event()

    def slow(connection: socket.socket) -> None:
        while not given_up.wait(0.05):
            connection.sendall(trickle)

    try:
        with pytest.raises(ApplyError, match="no svcnet run answers there: "):
            ask(listening(slow), b"what")
    finally:
        given_up.set()


def test_an_end_without_an_answer(listening: Callable[[Talk], Path]) -> None:
    """Whoever is let in and gets nothing is told whose it is to ask."""
    with pytest.raises(ApplyError, match="its owner's and root's to ask"):
        ask(listening(lambda _: None), b"what")
