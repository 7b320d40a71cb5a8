"""However a command ends, its exit code is one of the contract, and it prints no traceback."""

from __future__ import annotations

import asyncio
import builtins
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest
from attrs import frozen
from click.testing import CliRunner

from svcnet.cli import VERBS, main
from svcnet.cli.dns import VERBS as DNS_VERBS
from svcnet.errors import SvcnetError

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = str(ROOT / "examples/my-service")
SVCNET = (sys.executable, "-m", "svcnet")
PIPE = -signal.SIGPIPE
"""How a process has ended whose output nobody reads any more; a shell says 141."""


IS_ROOT = os.geteuid() == 0


@frozen
class Row:
    """A command line, its exit code, and whether it prints on standard output."""

    arguments: tuple[str, ...]
    code: int
    prints: bool = True


ROWS = (
    Row(("apply", "/none"), 2 if IS_ROOT else 3, prints=False),
    Row(("cleanup", "--family", "x"), 2, prints=False),
    Row(("conntrack", "/none"), 2 if IS_ROOT else 3, prints=False),
    Row(("dns", "diff", EXAMPLE, EXAMPLE), 0, prints=False),
    Row(("dns", "diff", EXAMPLE, str(ROOT / "examples/from-pods")), 1),
    Row(("dns", "lookup", "my-service.default.svc.cluster.local", EXAMPLE), 0),
    Row(("dns", "lookup", "x.example.", EXAMPLE), 1),
    Row(("dns", "push", "--server", "127.0.0.1:1", "/none"), 2, prints=False),
    Row(("dns", "serve", "/none"), 2, prints=False),
    Row(("dns", "zone", EXAMPLE), 0),
    Row(("dns", "zone", EXAMPLE, "--to", "/dev/null/zones"), 3, prints=False),
    Row(("endpoints", EXAMPLE), 0),
    Row(("env", EXAMPLE), 0),
    Row(("explain", EXAMPLE, "--to", "10.96.0.100:80"), 0),
    Row(("explain", EXAMPLE, "--to", "10.96.0.100:99999"), 2, prints=False),
    Row(("golden", "check", "/none"), 2, prints=False),
    Row(("graph", EXAMPLE), 0),
    Row(("help",), 0),
    Row(("help", "dns", "zone"), 0),
    Row(("help", "no-such-verb"), 2, prints=False),
    Row(("-V",), 0),
    Row(("-q", "-v", "graph", EXAMPLE), 2, prints=False),
    Row(("probe", "--help"), 0),
    Row(("render", EXAMPLE), 0),
    Row(("render", EXAMPLE, "--mode", "ipvs"), 0),
    Row(("render", EXAMPLE, "--mode", "userspace"), 0),
    Row(("render", EXAMPLE, "--check", "/dev/stdin"), 2, prints=False),
    Row(("render", EXAMPLE, "--check", str(ROOT / "README.md")), 1),
    Row(("render", "/none"), 2, prints=False),
    Row(("report", EXAMPLE), 0),
    Row(("report", EXAMPLE, "--to", "/none/report.html"), 3, prints=False),
    Row(("run", "--mode", "userspace", "--no-redirect", "/none"), 2, prints=False),
    Row(("status", "--socket", "/none"), 3, prints=False),
    Row(("verify", EXAMPLE, "--rules", f"{EXAMPLE}/iptables-save.txt"), 0),
    Row(("verify", EXAMPLE, "--rules", f"{EXAMPLE}/golden.iptables.txt"), 0),
    Row(("verify", EXAMPLE, "--rules", str(ROOT / "tests/live_node/iptables-save.txt")), 1),
    Row(("report", EXAMPLE, "--rules", str(ROOT / "tests/live_node/iptables-save.txt")), 0),
    Row(("diff", EXAMPLE, EXAMPLE), 0),
    Row(("diff", EXAMPLE, str(ROOT / "examples/from-pods")), 1),
    Row(("diff", EXAMPLE), 2, prints=False),
    Row(("check", EXAMPLE), 0),
    Row(("check", str(ROOT / "examples")), 1),
    Row(("check", EXAMPLE, "-o", "sarif", "--to", "/none/report"), 3, prints=False),
    Row(("check", "/none"), 2, prints=False),
    Row(("rule", "no-pod"), 0),
    Row(("rule", "no-such-rule"), 2, prints=False),
    Row(("verify", EXAMPLE), 2, prints=False),
    Row(("verify", EXAMPLE, "--rules", f"{EXAMPLE}/service.yaml"), 2, prints=False),
    Row(("--help",), 0),
    Row(("--version",), 0),
    Row(("render", "--help"), 0),
    Row(("dns", "--help"), 0),
    Row(("no-such-verb",), 2, prints=False),
    Row(("render", "--no-such-option"), 2, prints=False),
    Row((), 2, prints=False),
)

# Each child is given its streams, and then does what the command does.
TABLE = """
import gc, json, os, sys, tempfile
from click.testing import CliRunner
from svcnet.cli import main

def streams(which):
    if which in ("stdout", "stderr"):
        os.close({"stdout": 1, "stderr": 2}[which])
    elif which == "stdin":
        os.close(0)
    elif which == "all":
        os.closerange(0, 3)
    elif which != "none":
        number, what = which.split()
        if what == "full":
            there = os.open("/dev/full", os.O_WRONLY)
        else:
            unread, there = os.pipe()
            os.close(unread)
        os.dup2(there, int(number))
        os.close(there)

work = json.load(sys.stdin)
for arguments in {tuple(arguments) for arguments, _ in work}:
    CliRunner().invoke(main, arguments)  # what is imported now is not imported by each child
gc.freeze()
ends = []
for arguments, which in work:
    told = tempfile.TemporaryFile()
    if (child := os.fork()) == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(told.fileno(), 2)
        streams(which)
        try:
            main(arguments)
        except SystemExit as end:
            os._exit(end.code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    told.seek(0)
    ends.append((code, told.read().decode()))
json.dump(ends, sys.stdout)
"""

STREAMS = ("none", "stdin", "stdout", "stderr", "all", "1 full", "1 unread", "2 full", "2 unread")


def ends_of(work: Sequence[tuple[Sequence[str], str]]) -> list[tuple[int, str]]:
    """Return how each command line ends with its streams: the exit code and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", TABLE],
        input=json.dumps(work),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(code, told) for code, told in json.loads(done.stdout)]


def test_every_verb_with_every_stream_broken() -> None:
    """Output that cannot be written is 3, or SIGPIPE; nothing else that breaks changes a code.

    Whatever goes wrong is told with its check.
    """
    work = [(row, streams) for row in ROWS for streams in STREAMS]
    ends = ends_of([(row.arguments, streams) for row, streams in work])
    for (row, streams), (code, told) in zip(work, ends, strict=True):
        wanted = row.code
        if row.prints and streams in ("stdout", "all", "1 full"):
            wanted = 3
        elif row.prints and streams == "1 unread":
            wanted = PIPE
        assert (code, row, streams) == (wanted, row, streams), told
        assert "Traceback" not in told, (row, streams)
        if code in (2, 3) and streams in ("none", "stdin"):
            assert re.search(r" \[S\d{3} [a-z-]+\]$", told, re.MULTILINE), (row, told)
        assert "Exception ignored" not in told, (row, streams)
        if streams in ("stdout", "1 full") and row.prints:
            assert re.search(r"^standard output cannot be written: .+\n\Z", told, re.MULTILINE)


def test_the_table_has_every_verb() -> None:
    begins = {row.arguments[:length] for row in ROWS for length in (1, 2)}
    verbs = {(verb,) for verb in VERBS} | {("dns", verb) for verb in DNS_VERBS}
    assert verbs <= begins


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (
            "render EX >/dev/full",
            3,
            "standard output cannot be written: No space left on device [S907 output]\n",
        ),
        ("render EX >&-", 3, "standard output cannot be written: it is closed [S907 output]\n"),
        ("render EX >&- 2>&- <&-", 3, ""),
        (
            "--help >/dev/full",
            3,
            "standard output cannot be written: No space left on device [S907 output]\n",
        ),
        ("render EX --check /etc/hostname >/dev/full", 3, "standard output cannot be written: "),
        ("render - <&-", 2, "<stdin>: error: cannot be read: Bad file descriptor"),
        (
            "render EX --to /dev/full",
            3,
            "/dev/full: cannot be written: No space left on device [S907 output]\n",
        ),
        (
            "render EX --to /none/x",
            3,
            "/none/x: cannot be written: No such file or directory [S907 output]\n",
        ),
    ],
)
def test_streams_of_a_process(command: str, code: int, told: str) -> None:
    """What Python makes of a broken stream, at its start and its end, is told in a line too."""
    script = f"{sys.executable} -m svcnet {command.replace('EX', EXAMPLE)}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if told else 0), done.stderr
    assert done.stderr.startswith(told)


@pytest.mark.parametrize("program", [SVCNET, (str(Path(sys.executable).parent / "svcnet"),)])
def test_nobody_reads(program: tuple[str, ...]) -> None:
    """A process whose reader has gone ends by SIGPIPE, without a word."""
    unread, there = os.pipe()
    os.close(unread)
    done = subprocess.run(
        [*program, "render", EXAMPLE], stdout=there, stderr=subprocess.PIPE, check=False
    )
    os.close(there)
    assert (done.returncode, done.stderr) == (PIPE, b"")


def test_output_that_does_not_wait() -> None:
    """Where another process has a full pipe not wait, svcnet waits all the same."""
    ours, there = os.pipe()
    os.set_blocking(there, False)
    fcntl.fcntl(there, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen([*SVCNET, "render", EXAMPLE], stdout=there) as process:
        os.close(there)
        time.sleep(0.5)  # it has filled the pipe; if it has not, this proves less
        with os.fdopen(ours, "rb") as output:
            text = output.read()
    assert process.returncode == 0
    assert text.endswith(b"COMMIT\n")


def test_ctrl_c_while_input_is_read() -> None:
    """SIGINT ends it as the signal does, so that a shell's loop ends too, without a traceback."""
    command = [*SVCNET, "render", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"#" * 200_000)  # more than a pipe takes: it has begun to read
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert (process.returncode, told.strip()) == (-signal.SIGINT, b"")


AS_IT_STARTS = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["svcnet", "--version"]
IGNORED
runpy.run_module("svcnet", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("ignored", "code"),
    [("", -signal.SIGINT), ("signal.signal(signal.SIGINT, signal.SIG_IGN)", 0)],
    ids=["heeded", "ignored"],
)
def test_ctrl_c_while_the_command_is_imported(ignored: str, code: int) -> None:
    """SIGINT ends it without a traceback, unless whoever started it had that ignored."""
    program = AS_IT_STARTS.replace("IGNORED", ignored)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", ""],
        ["render", "-", ""],
        ["render", EXAMPLE, "--to", ""],
        ["render", EXAMPLE, "--check", ""],
        ["render", EXAMPLE, "--config", ""],
        ["render", EXAMPLE, "--host", ""],
        ["render", EXAMPLE, "--since", ""],
        ["dns", "zone", EXAMPLE, "--to", ""],
        ["run", EXAMPLE, "--no-redirect", "--stats", ""],
        ["status", "--socket", ""],
    ],
    ids=" ".join,
)
def test_a_name_that_is_empty(arguments: list[str]) -> None:
    """A script's variable without a value is not the folder that we are in."""
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the name is empty" in result.stderr


@pytest.mark.parametrize("asked", ["x", "tcsh_source", "bash_x", "bash_complete", "fish_complete"])
def test_completion_that_click_does_not_know(asked: str) -> None:
    """A shell that is not known is told so, and not that something differs."""
    result = CliRunner().invoke(main, env={"_SVCNET_COMPLETE": asked})
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert "_SVCNET_COMPLETE must be" in result.stderr or "completion needs COMP_" in result.stderr


ARGUMENTS = {
    "UnicodeDecodeError": ("utf-8", b"x", 0, 1, "x"),
    "UnicodeEncodeError": ("utf-8", "x", 0, 1, "x"),
    "UnicodeTranslateError": ("x", 0, 1, "x"),
    "ExceptionGroup": ("x", [OSError()]),
    "BaseExceptionGroup": ("x", [OSError()]),
    "IncompleteReadError": (b"", 1),
}


def exceptions() -> list[type[BaseException]]:
    """Return what Python itself raises; but for what would end this process by a signal."""
    found = {each for each in vars(builtins).values() if isinstance(each, type)}
    made = {each for each in found if issubclass(each, BaseException)} - {KeyboardInterrupt}
    others = (asyncio.CancelledError, asyncio.IncompleteReadError, click.FileError)
    return sorted({*made, *others}, key=lambda kind: kind.__name__)


def raising(kind: type[BaseException]) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise kind(*ARGUMENTS.get(kind.__name__, ("x\ny",)))

    return fail


@pytest.mark.parametrize("kind", exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a verb raises, there is a code for it, and one line that asks for a report."""
    monkeypatch.setattr("svcnet.cli.env.load_manifests", raising(kind))
    result = CliRunner().invoke(main, ["env", "-"])
    known = {"SystemExit": 0, "MemoryError": 3, "FileError": 2}
    assert result.exit_code == known.get(kind.__name__, 70)
    assert result.stdout == ""
    if result.exit_code == 70:
        [line] = result.stderr.strip().splitlines()
        assert line.startswith("a fault of svcnet's own, please report it: ")


def test_no_error_of_ours_has_the_code_of_a_difference() -> None:
    """1 says that two things differ, so what went wrong never ends with it."""
    found, kinds = [SvcnetError], []
    while found:
        kinds.append(found.pop())
        found += kinds[-1].__subclasses__()
    assert {kind.exit_code for kind in kinds} <= {2, 3, 70}


WARNED = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
"""
REFUSED = (
    ("render", "--to", "FILE"),
    ("render", "--mode", "ipvs", "--to", "FILE"),
    ("render", "--mode", "userspace", "--to", "FILE"),
    ("render", "--check", "FILE"),
    ("graph",),
    ("explain", "--all"),
    ("explain", "--to", "10.96.0.10:80"),
    ("report", "--to", "FILE"),
    ("env",),
    ("endpoints",),
    ("dns", "zone", "--to", "FOLDER"),
    ("dns", "lookup", "web"),
)


@pytest.mark.parametrize("verb", REFUSED, ids=" ".join)
@pytest.mark.parametrize("why", ["--strict", "wrong"])
def test_a_refusal_writes_nothing(verb: tuple[str, ...], why: str, tmp_path: Path) -> None:
    """What is refused, by --strict too, leaves standard output empty and files as they were."""
    file, folder = tmp_path / "rules", tmp_path / "zones"
    file.write_text("before")
    (tmp_path / "web.yaml").write_text(WARNED if why == "--strict" else "kind: Service")
    names = {"FILE": str(file), "FOLDER": str(folder)}
    arguments = [names.get(word, word) for word in verb]
    options = ["--strict"] if why == "--strict" else []
    result = CliRunner().invoke(main, [*arguments, *options, str(tmp_path / "web.yaml")])
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert result.stderr
    assert file.read_text() == "before"
    assert not folder.exists()
