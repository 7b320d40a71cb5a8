"""The command itself, on any text: a process that ends with 0 or 2, and keeps its outputs apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.documents import CONFIGURATION, HOST, bent
from tests.fuzz.outcomes import told, tries
from tests.fuzz.test_configurations import texts
from tests.fuzz.test_manifests import manifests

EXAMPLE = str(Path(__file__).parents[2] / "examples/my-service")
SECONDS = 60
"""No text takes so long, whatever else the machine does."""

MEMORY = 1 << 28
"""Twice what a process has that reads such texts."""

# Each child does what `python -m svcnet` does, from its streams to the end of the interpreter.
# Nothing is read of standard input before: each has one of its own.
SERVER = f"""
import gc, json, os, resource, runpy, sys
from click.testing import CliRunner
from svcnet.cli import main

requests, answers = (os.fdopen(int(number), mode) for number, mode in zip(sys.argv[1:], "rw"))
for mode in ("iptables", "ipvs", "userspace"):
    CliRunner().invoke(main, ("render", {EXAMPLE!r}, "--mode", mode))
gc.freeze()
for line in requests:
    arguments, *streams = json.loads(line)
    if not (child := os.fork()):
        for number, (path, flags) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY] * 2))):
            os.dup2(os.open(path, flags | os.O_CREAT | os.O_TRUNC * bool(number)), number)
        resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
        sys.argv[1:] = arguments
        runpy.run_module("svcnet", run_name="__main__", alter_sys=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)
"""


@define
class Command:
    """The command line, as a process each time, that a server makes."""

    folder: Path
    requests: int
    answers: int

    def run(self, arguments: list[str], text: bytes) -> tuple[int, str, str]:
        """Return exit code, standard output and standard error; standard input is `text`."""
        streams = [self.folder / name for name in ("input", "output", "error")]
        streams[0].write_bytes(text)
        request = json.dumps([arguments, *map(str, streams)])
        os.write(self.requests, f"{request}\n".encode())
        code = int(os.read(self.answers, 100))
        output, error = (stream.read_bytes().decode() for stream in streams[1:])
        return code, output, error


@pytest.fixture(name="command", scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("process")
    theirs, requests = os.pipe()
    answers, written = os.pipe()
    arguments = [sys.executable, "-c", SERVER, str(theirs), str(written)]
    with subprocess.Popen(arguments, pass_fds=(theirs, written), cwd=folder) as server:
        os.close(theirs)
        os.close(written)
        try:
            yield Command(folder, requests, answers)
        finally:
            os.close(requests)
            os.close(answers)
            server.kill()


@pytest.fixture(autouse=True)
def bound_of_time() -> Iterator[None]:
    """End a test that waits for a process for ever."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


WAYS = (
    *(["render", "-"], ["render"], ["render", "input"], ["render", "/dev/stdin"]),
    *(["render", "-", "--mode", "ipvs"], ["render", "-", "--mode", "userspace"]),
    *(["render", "-", "--from-pods"], ["render", "-", "--strict"], ["render", EXAMPLE, "-"]),
    ["render", EXAMPLE, "--since", "-"],
)
manifest_texts = st.one_of(
    st.sampled_from(manifests()).flatmap(bent), st.binary(max_size=200), st.text().map(str.encode)
)
works = st.one_of(
    st.tuples(st.sampled_from(WAYS), manifest_texts),
    st.tuples(st.just(["render", EXAMPLE, "--config", "input"]), texts(CONFIGURATION)),
    st.tuples(st.just(["render", EXAMPLE, "--host", "input"]), texts(HOST)),
)


@tries(40)
@given(work=works)
@example(work=(["render", "-"], b"a: [" * 100_000))
@example(work=(["render", "-"], b'{"a":' * 100_000))
@example(work=(["render", "-"], "a: \udcff".encode("utf-8", "surrogateescape")))
@example(work=(["render", EXAMPLE, "--config", "input"], b"\xff\xfe\0"))
def test_a_process_ends_with_0_or_2(command: Command, work: tuple[list[str], bytes]) -> None:
    """Whatever it reads: refused input prints nothing, and is told in lines for people."""
    arguments, text = work
    signal.alarm(SECONDS)
    code, output, error = command.run(arguments, text)
    told(error.splitlines())
    assert code in (0, 2)
    if code == 0:
        assert output.isascii()
        assert output.endswith("\n")
    else:
        assert output == ""
        assert error.endswith("\n")


def test_the_process_is_the_command(command: Command) -> None:
    """The server's children do what the command does that anybody starts."""
    text = manifests()[0]
    for arguments in (["render", "-"], ["render", "-", "--mode", "nothing"], ["render", "/none"]):
        argv = [sys.executable, "-m", "svcnet", *arguments]
        done = subprocess.run(argv, input=text, capture_output=True, check=False)
        found = (done.returncode, done.stdout.decode(), done.stderr.decode())
        signal.alarm(SECONDS)
        assert command.run(arguments, text) == found
