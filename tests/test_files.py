"""Files that a person names: whatever is there, reading ends, soon and with words."""

from __future__ import annotations

import ast
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcnet
from svcnet.files import KIB, read_beginning, read_small, read_text, write_whole

EXAMPLE = Path(__file__).parent.parent / "examples/my-service"
SECONDS = 30


@pytest.fixture(name="traps")
def paths_that_trap_a_reader(tmp_path: Path) -> dict[str, Path]:
    """Make what a reader would wait for, or read for ever."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket"))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "folder").mkdir()
    names = ("fifo", "socket", "large", "latin", "folder", "nothing")
    return {**{name: tmp_path / name for name in names}, "zero": Path("/dev/zero")}


def test_what_is_there_is_read(tmp_path: Path) -> None:
    """A regular file is read whole, up to the limit and not a byte beyond."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * KIB)
    assert read_small(path, KIB) == b"x" * KIB
    with pytest.raises(OSError, match="it is larger than 1023 bytes"):
        read_small(path, KIB - 1)
    assert read_beginning(path, 3) == b"xxx"
    assert read_beginning("/dev/null", 3, devices=True) == b""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fifo", "it is no regular file"),
        ("socket", "No such device or address"),
        ("large", "it is larger than 16 KiB"),
        ("latin", "it is not text"),
        ("folder", "it is a folder"),
        ("nothing", "No such file"),
        ("zero", "it is no regular file"),
    ],
)
def test_traps(traps: dict[str, Path], name: str, words: str) -> None:
    """Each trap is an error with a reason."""
    with pytest.raises(OSError, match=words) as caught:
        read_text(traps[name], 16 * KIB)
    assert words in (caught.value.strerror or "")


def test_a_pipe_of_a_shell_is_read_once() -> None:
    """It is waited for as standard input is; what gives nothing is no empty file."""
    reading, writing = os.pipe()
    try:
        with subprocess.Popen(["sh", "-c", "sleep 0.1; echo here"], stdout=writing):
            os.close(writing)
            assert read_text(f"/dev/fd/{reading}", KIB) == "here\n"
        with pytest.raises(OSError, match="nothing comes through the pipe"):
            read_text(f"/dev/fd/{reading}", KIB)
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("render <(sed -s '1i---' {example}/*.yaml) --check <({svcnet} render {example})", 0, ""),
        ("render {example} --config <(echo '{config}')", 0, ""),
        ("render <(false)", 2, "nothing comes through the pipe"),
    ],
)
def test_a_verb_that_is_given_a_pipe(command: str, status: int, words: str) -> None:
    """What a shell makes of ``<(command)`` is read like a file, unless the command fails."""
    config = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration"
    svcnet = f"{sys.executable} -m svcnet"
    line = command.format(example=EXAMPLE, svcnet=svcnet, config=config)
    done = subprocess.run(
        ["bash", "-c", f"{svcnet} {line}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr


def test_no_path() -> None:
    """A path that can be none is an error like the others."""
    with pytest.raises(OSError, match="null") as caught:
        read_small("a\0b", KIB)
    assert caught.value.strerror


PUSH = ("dns", "push", EXAMPLE, "--server", "127.0.0.1:9", "--tsig-file")
CHECK = ("render", EXAMPLE, "--check")


@pytest.mark.parametrize(
    ("trap", "command"),
    [
        ("fifo", ("render",)),
        ("fifo", ("render", EXAMPLE, "--config")),
        ("fifo", CHECK),
        ("zero", CHECK),
        ("fifo", PUSH),
        ("zero", PUSH),
    ],
)
def test_a_verb_that_is_given_a_trap(
    traps: dict[str, Path], trap: str, command: tuple[str | Path, ...]
) -> None:
    """The verb ends at once with exit code 2 and one line that names the file."""
    done = subprocess.run(
        [sys.executable, "-m", "svcnet", *command, traps[trap]],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 2
    assert str(traps[trap]) in done.stderr
    assert len(done.stderr.splitlines()) == 1


METHODS = {"open", "read_text", "read_bytes"}
OF_THE_KERNEL = {
    "executors/this_machine.py",
    "servers/descriptors.py",
}
"""Modules that read below /proc and /sys only, under names that no person gives."""

OF_OUR_OWN = {"files.py", "cli/streams.py", "executors/lock.py", "folder.py"}


def openers(path: Path) -> Iterator[int]:
    """Yield the lines that open a file or read one whole."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            if (isinstance(function, ast.Name) and function.id == "open") or (
                isinstance(function, ast.Attribute) and function.attr in METHODS
            ):
                yield node.lineno


def test_nothing_else_opens_what_a_person_names() -> None:
    """Each module that reads a file a person may name does it by `svcnet.files`."""
    root = Path(svcnet.__file__).parent
    found = {
        f"{file.relative_to(root)}:{line}"
        for file in root.rglob("*.py")
        if str(file.relative_to(root)) not in OF_THE_KERNEL | OF_OUR_OWN
        for line in openers(file)
    }
    assert not found


OLD, NEW = "old\n", "new\n" * 50_000


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_replaced_by_its_like(tmp_path: Path) -> None:
    """A file that is written keeps its mode and attributes, a link its target; nothing is left."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text(OLD)
    file.chmod(0o640)
    link.symlink_to("file")
    number = file.stat().st_ino
    with file.open() as reader:
        write_whole(link, NEW)
        assert reader.read() == OLD
    assert (file.read_text(), link.is_symlink()) == (NEW, True)
    assert file.stat().st_mode & 0o7777 == 0o640
    assert file.stat().st_ino != number
    assert files_below(tmp_path) == ["file", "link"]


def test_a_new_file_has_the_mode_of_new_files(tmp_path: Path) -> None:
    """The umask decides of a file that was not there; a link that leads nowhere leads to it."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "link", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_text() == NEW
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "link").is_symlink()


def test_a_name_of_several_stays_one_of_them(tmp_path: Path) -> None:
    """A file that has another name too is written as it is."""
    (tmp_path / "one").write_text(OLD * 3)
    os.link(tmp_path / "one", tmp_path / "two")
    write_whole(tmp_path / "one", "x")
    assert (tmp_path / "two").read_text() == "x"
    assert files_below(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.EBUSY, errno.EPERM])
def test_a_file_that_cannot_be_replaced_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """A folder that takes no file, or a file that is a mount, is no reason to write nothing."""

    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    (tmp_path / "file").write_text(OLD)
    monkeypatch.setattr(Path, "replace", refuse)
    write_whole(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_text() == NEW
    assert files_below(tmp_path) == ["file"]


ENDS = {
    "full": "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))",
    "killed": "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)",
    "interrupted": "os.fsync = lambda _: signal.raise_signal(signal.SIGINT)",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_file_that_is_not_written_whole_is_as_it_was(tmp_path: Path, end: str) -> None:
    """A disk that is full, a signal and a kill leave the old file, and none but a kill another."""
    (tmp_path / "rules").write_text(OLD)
    program = f"import os, resource, signal; from svcnet.cli import main; {ENDS[end]}; main()"
    command = [sys.executable, "-c", program, "render", str(EXAMPLE), "--to", "rules"]
    # Coverage has no room for its own file either, and would say so.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=own,
    )
    told = "rules: cannot be written: File too large [S907 output]\n"
    assert (done.returncode, done.stdout, done.stderr) == {
        "full": (3, "", told),
        "killed": (-signal.SIGKILL, "", ""),
        "interrupted": (-signal.SIGINT, "", "\n"),
    }[end]
    assert (tmp_path / "rules").read_text() == OLD
    assert end == "killed" or files_below(tmp_path) == ["rules"]


def test_a_descriptor_is_written_where_it_stands(tmp_path: Path) -> None:
    """Of /dev/stdout and the like nothing is cut off or replaced: it may be the end of a file."""
    write = "from pathlib import Path; from svcnet.files import write_whole; write_whole"
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"):
        (tmp_path / "log").write_text(OLD)
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("/dev/stdout")
        program = f"{write}(Path({name!r}), 'more')"
        with (tmp_path / "log").open("a") as log:
            subprocess.run([sys.executable, "-c", program], stdout=log, cwd=tmp_path, check=True)
        assert (tmp_path / "log").read_text() == OLD + "more"
        piped = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, cwd=tmp_path, check=True
        )
        assert piped.stdout == b"more"


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """A FIFO and a device stay what they are."""
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE) as reader:
        write_whole(tmp_path / "fifo", OLD)
        assert reader.communicate()[0] == OLD.encode()
    write_whole(Path("/dev/null"), NEW)
    with pytest.raises(OSError, match="No space left"):
        write_whole(Path("/dev/full"), NEW)
    assert Path("/dev/null").is_char_device()
    assert files_below(tmp_path) == ["fifo"]
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path, NEW)
