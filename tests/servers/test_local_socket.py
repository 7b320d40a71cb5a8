"""A socket at a path: whatever is there already, nothing but a dead socket of ours is removed."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.errors import ApplyError
from svcnet.servers import local_socket
from svcnet.servers.local_socket import LocalSocket

STREAM, DATAGRAM, PACKETS = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET
TYPES = (STREAM, DATAGRAM, PACKETS)


def bound(path: Path, kind: int, *, listens: bool = False) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    if listens:
        sock.listen()
    return sock


def dead(path: Path, kind: int = STREAM) -> None:
    bound(path, kind).close()


def a_file(path: Path, stack: ExitStack) -> None:
    path.write_text("mine")


def a_folder(path: Path, stack: ExitStack) -> None:
    path.mkdir()


def a_full_folder(path: Path, stack: ExitStack) -> None:
    path.mkdir()
    (path / "file").write_text("mine")


def a_fifo(path: Path, stack: ExitStack) -> None:
    os.mkfifo(path)


def a_device(path: Path, stack: ExitStack) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        path.symlink_to("/dev/null")


def a_link_to(what: Callable[[Path, ExitStack], None]) -> Callable[[Path, ExitStack], None]:
    def link(path: Path, stack: ExitStack) -> None:
        target = path.with_name("target")
        what(target, stack)
        path.symlink_to(target)

    return link


def a_link_to_nothing(path: Path, stack: ExitStack) -> None:
    path.symlink_to(path.with_name("nowhere"))


def a_dead_socket(path: Path, stack: ExitStack) -> None:
    dead(path)


def a_live_one(kind: int, *, listens: bool) -> Callable[[Path, ExitStack], None]:
    def live(path: Path, stack: ExitStack) -> None:
        stack.enter_context(bound(path, kind, listens=listens))

    return live


def a_crowded_one(path: Path, stack: ExitStack) -> None:
    """A socket whose queue of clients is full."""
    listening = stack.enter_context(bound(path, STREAM))
    listening.listen(0)
    for _ in range(3):
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(str(path))


def a_connected_one(path: Path, stack: ExitStack) -> None:
    """A datagram socket that hears one peer only."""
    one = stack.enter_context(bound(path, DATAGRAM))
    peer = stack.enter_context(bound(path.with_name("peer"), DATAGRAM))
    one.connect(peer.getsockname())


STAYING = {
    "file": a_file,
    "folder": a_folder,
    "full-folder": a_full_folder,
    "fifo": a_fifo,
    "device": a_device,
    "link-to-a-file": a_link_to(a_file),
    "link-to-a-folder": a_link_to(a_folder),
    "link-to-a-fifo": a_link_to(a_fifo),
    "link-to-a-dead-socket": a_link_to(a_dead_socket),
    "link-to-a-live-socket": a_link_to(a_live_one(STREAM, listens=True)),
    "link-to-nothing": a_link_to_nothing,
    "listening-stream": a_live_one(STREAM, listens=True),
    "bound-stream": a_live_one(STREAM, listens=False),
    "datagram": a_live_one(DATAGRAM, listens=False),
    "listening-packets": a_live_one(PACKETS, listens=True),
    "bound-packets": a_live_one(PACKETS, listens=False),
    "crowded": a_crowded_one,
    "connected": a_connected_one,
}


@pytest.fixture(name="path")
def a_path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "socket"
    assert not list(tmp_path.glob(".svcnet-*"))


def here(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the identity of every file below a folder, by its path."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {str(path): (status.st_ino, status.st_mode) for path, status in found.items()}


@pytest.mark.parametrize("what", STAYING)
def test_what_is_no_dead_socket_stays(path: Path, what: str) -> None:
    """The error names the path, and everything is there as it was, with what it holds."""
    with ExitStack() as stack:
        STAYING[what](path, stack)
        before = here(path.parent)
        with pytest.raises(ApplyError, match=f"^{path}: "):
            LocalSocket(path, 8)
        assert here(path.parent) == before
        assert not path.is_file() or path.read_text() == "mine"


@pytest.mark.parametrize("kind", TYPES)
def test_a_dead_socket_is_replaced(path: Path, kind: int) -> None:
    """What a killed process left is no hindrance, and at the end nothing is left."""
    dead(path, kind)
    own = LocalSocket(path, 8)
    with own.listening, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        own.remove()
    assert here(path.parent) == {}


def test_asking_disturbs_nobody(path: Path) -> None:
    """A process that has the path gets no client and no datagram by being asked."""
    for kind, listens in ((STREAM, True), (DATAGRAM, False)):
        with bound(path, kind, listens=listens) as own:
            own.setblocking(False)
            with pytest.raises(ApplyError, match="another process answers there"):
                LocalSocket(path, 8)
            with pytest.raises(BlockingIOError):
                own.accept() if listens else own.recv(1)
        path.unlink()


def test_only_the_owner_can_use_it(path: Path) -> None:
    """The mode is the owner's alone whatever the process's umask, also of what it replaces."""
    for mask in (0, 0o22, 0o77):
        before = os.umask(mask)
        try:
            own = LocalSocket(path, 8)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        own.listening.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_dead_socket_of_another_user_stays(path: Path) -> None:
    """What another user left is that user's to remove."""
    dead(path)
    os.chown(path, 12345, 12345)
    before = here(path.parent)
    with pytest.raises(ApplyError, match="is a socket of another user, uid 12345"):
        LocalSocket(path, 8)
    assert here(path.parent) == before


@pytest.mark.parametrize("what", [*STAYING, "dead"])
def test_at_the_end_only_our_own_is_removed(path: Path, what: str) -> None:
    """What has come to the path in the place of the socket stays when svcnet ends."""
    with ExitStack() as stack:
        own = LocalSocket(path, 8)
        stack.enter_context(own.listening)
        path.unlink()
        {**STAYING, "dead": a_dead_socket}[what](path, stack)
        before = here(path.parent)
        own.remove()
        assert here(path.parent) == before


@pytest.mark.parametrize("what", STAYING)
def test_what_comes_between_a_look_and_the_removal_stays(
    path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program that replaces a dead socket just now does not lose what it put there."""
    is_dead = local_socket._is_dead
    with ExitStack() as stack:
        before: dict[str, tuple[int, int]] = {}

        def replaced(asked: Path) -> bool:
            found = is_dead(asked)
            asked.unlink()
            # Else the file may get the inode that has just become free.
            stack.enter_context((path.parent / "other").open("w"))
            STAYING[what](path, stack)
            before.update(here(path.parent))
            return found

        monkeypatch.setattr(local_socket, "_is_dead", replaced)
        dead(path)
        with pytest.raises(ApplyError, match="another process answers there"):
            LocalSocket(path, 8)
        assert here(path.parent) == before


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=2, max_size=5))
def test_of_many_at_once_one_has_the_path(
    tmp_path_factory: pytest.TempPathFactory, lives: list[bool]
) -> None:
    """Whoever comes while one has the path is refused; after it has gone the next has it."""
    path = tmp_path_factory.mktemp("many") / "socket"
    holder: LocalSocket | None = None
    for goes_well in lives:
        try:
            new = LocalSocket(path, 8)
        except ApplyError:
            assert holder is not None
        else:
            assert holder is None
            holder = new
        if holder is not None and not goes_well:
            holder.listening.close()  # as a killed process leaves it
            holder = None
    if holder is not None:
        holder.remove()
        holder.listening.close()
        assert not path.exists()


@pytest.mark.parametrize("where", ["", "a/b/c", "x" * 200, "file/socket"])
def test_a_path_where_no_socket_can_be(tmp_path: Path, where: str) -> None:
    """A folder that is missing, a name that is too long and the like are errors with the path."""
    (tmp_path / "file").write_text("mine")
    before = here(tmp_path)
    with pytest.raises(ApplyError):
        LocalSocket(tmp_path / where, 8)
    assert here(tmp_path) == before
