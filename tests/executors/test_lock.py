"""The lock that keeps two svcnet processes off each other's work."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from svcnet import folder as place
from svcnet.errors import ApplyError
from svcnet.executors.lock import Busy, descriptors, is_free, lock, locks
from svcnet.family import IPFamily
from tests.fuzz import examples


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks are in these tests; it is not made yet."""
    monkeypatch.setattr(place, "FOLDER", tmp_path / "svcnet")
    return tmp_path / "svcnet"


def elsewhere(family: IPFamily = "IPv4") -> str:
    """Return what somebody else is told who wants the lock; empty if he gets it."""

    def attempt() -> str:
        try:
            with lock(family):
                return ""
        except ApplyError as error:
            return str(error)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(attempt).result()


HOLDER = """
import sys, subprocess
from pathlib import Path
from svcnet import folder
from svcnet.executors.lock import descriptors, lock
folder.FOLDER = Path(sys.argv[1])
with lock("IPv4"):
    sleep = ["sleep", sys.argv[2]]
    child = subprocess.Popen(sleep, stdout=subprocess.DEVNULL, pass_fds=descriptors())
    print(child.pid, flush=True)
    sys.stdin.read()
"""


class Holder:
    """A process that has the lock, and has started a command that takes some seconds."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, folder, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.command = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        with self.process:
            pass


def is_at_work(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(") ")[2][0] not in "ZX"


@pytest.fixture
def holder(folder: Path) -> Iterator[Holder]:
    made = Holder(folder, 60)
    yield made
    made.kill()
    os.kill(made.command, signal.SIGKILL)


def test_one_at_a_time(folder: Path) -> None:
    """A second one is told who has it; another family is another lock; nothing is left."""
    assert is_free("IPv4")
    with lock("IPv4"):
        assert not is_free("IPv4")
        told = elsewhere()
        assert told.startswith("another svcnet changes IPv4 in this network namespace (process ")
        assert str(os.getpid()) in told
        assert sys.orig_argv[0] in told
        assert elsewhere("IPv6") == ""
    assert elsewhere() == ""
    assert list(folder.iterdir()) == []


def test_inside_another() -> None:
    """Who has it may take it again, and so may a thread that works for him."""
    with lock("IPv4"):
        with lock("IPv4"), locks(["IPv6", "IPv4"]):
            pass
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(copy_context().run, lambda: lock("IPv4").__enter__())
            assert taken.result() is None
        assert elsewhere() != ""
        assert len(descriptors()) == 1
    assert descriptors() == ()


def test_run_is_told_of_as_such() -> None:
    """That svcnet run keeps the rules is another thing than an apply that is over soon."""
    with lock("IPv4", keeps=True):
        assert elsewhere().startswith("another svcnet run keeps IPv4")


def test_all_or_none() -> None:
    """Of several families that one is taken keeps the others free."""
    with ThreadPoolExecutor(1) as pool, lock("IPv6"):

        def both() -> None:
            with locks(["IPv6", "IPv4"]):
                pass

        with pytest.raises(Busy, match="changes IPv6"):
            pool.submit(both).result()
        assert elsewhere("IPv4") == ""


def test_waiting() -> None:
    """Who waits gets it as soon as it is given back, though its file has gone by then."""
    done: list[str] = []

    def wait() -> None:
        with lock("IPv4", wait=True):
            done.append("waited")

    with lock("IPv4"):
        threads = [threading.Thread(target=wait) for _ in range(5)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert done == []
    for thread in threads:
        thread.join(10)
    assert done == ["waited"] * 5


def test_no_two_ever_have_it() -> None:
    """Many that take it, wait and give it back never meet inside."""
    inside: list[int] = []

    def work(number: int) -> None:
        for _ in range(40):
            with lock("IPv4", wait=True):
                inside.append(number)
                assert inside == [number]
                inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()


def test_the_folder_goes_with_another_service(folder: Path) -> None:
    """systemd removes the folder of a service that ends: who waits there is not alone then."""
    entered = threading.Event()

    def wait() -> None:
        with lock("IPv4", wait=True):
            entered.set()
            assert elsewhere() != ""

    with ThreadPoolExecutor(1) as pool:
        with lock("IPv4"):
            waiting = pool.submit(wait)
            time.sleep(0.1)
            [file] = folder.iterdir()
            file.unlink()
            folder.rmdir()
        waiting.result(10)


def test_commands_of_a_killed_one_have_it_still(folder: Path) -> None:
    """What it had started may still write: it is waited for, for a short while."""
    killed = Holder(folder, 0.5)
    killed.kill()
    with lock("IPv4"):
        assert not is_at_work(killed.command)


def test_a_command_that_goes_on(
    folder: Path, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command of a killed one that does not end is told as what it is."""
    monkeypatch.setattr("svcnet.executors.lock.GRACE_SECONDS", 0.2)
    holder.kill()
    assert elsewhere().startswith("a command of a svcnet that was killed still changes IPv4")


def test_a_stranger_with_the_number_of_a_killed_one(
    folder: Path, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has begun later is not the one that wrote its number into the lock."""
    monkeypatch.setattr("svcnet.executors.lock.GRACE_SECONDS", 0.2)
    assert elsewhere().startswith("another svcnet changes IPv4")
    [file] = folder.iterdir()
    _, began, rest = file.read_text().split(" ", 2)
    file.write_text(f"{os.getpid()} {began} {rest}")
    holder.kill()
    assert elsewhere().startswith("a command of a svcnet that was killed still changes IPv4")


def test_the_folder_is_its_owners_alone(folder: Path) -> None:
    """It is made for one user; one where anybody may write is closed."""
    with lock("IPv4"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        [file] = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    folder.chmod(0o1777)
    with lock("IPv4"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with lock("IPv4"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("what", ["link", "second name", "folder", "pipe", "open to all"])
def test_what_is_no_lock_is_refused(folder: Path, tmp_path: Path, what: str) -> None:
    """A file that leads elsewhere, or that others may lock, is told of and not touched."""
    with lock("IPv4"):
        [file] = folder.iterdir()
    precious = tmp_path / "precious"
    precious.write_text("precious")
    precious.chmod(0o600)
    match what:
        case "link":
            file.symlink_to(precious)
        case "second name":
            file.hardlink_to(precious)
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file, 0o600)
        case _:
            file.touch(0o666)
            file.chmod(0o666)
    with pytest.raises(ApplyError, match=r"\.lock: ") as refused, lock("IPv4"):
        pass
    assert "\n" not in str(refused.value)
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("what", ["link", "file", "nothing above"])
def test_no_folder(
    folder: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there can be no folder of svcnet's own, the error says what is needed."""
    match what:
        case "link":
            (tmp_path / "other").mkdir()
            folder.symlink_to(tmp_path / "other")
        case "file":
            folder.touch()
        case _:
            monkeypatch.setattr(place, "FOLDER", tmp_path / "none" / "svcnet")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no such folder"))
    with pytest.raises(ApplyError, match="svcnet locks there what it changes"), lock("IPv4"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a folder another user's")
def test_a_folder_of_another_user(folder: Path) -> None:
    """Somebody else could keep svcnet off with a folder of his own: it is not used."""
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(ApplyError, match="belongs to another user, uid 65534"), lock("IPv4"):
        pass


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
@example(b"12 0 34 keeps \x1b[2J\n\xff")
@example(b"99999999999999999999 1 1 keeps x")
@example(b"4294967295 1 1 keeps x")
def test_whatever_the_file_says(folder: Path, data: bytes) -> None:
    """What is in the file is shown as one line, whatever it is, and nothing is believed of it."""
    with pytest.MonkeyPatch.context() as patch, lock("IPv4"):
        patch.setattr("svcnet.executors.lock.GRACE_SECONDS", 0.0)
        [file] = folder.iterdir()
        file.write_bytes(data)
        told = elsewhere()
    assert "IPv4 in this network namespace" in told
    assert told.isprintable()
    assert len(told) < 400
