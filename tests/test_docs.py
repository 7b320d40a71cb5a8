"""Every code block of README.md and docs/ runs, and prints what the page says.

- ``python``: the blocks of a page share one namespace; ``>>>`` lines are compared.
- ``console``: each ``$`` line runs in a shell, and must print the lines that follow it;
  ``...`` stands for anything.
- ``yaml`` and ``toml``: must be well-formed.
- ``sh``: only in README.md, the two commands that ``.ci/run`` runs.
- ``text`` and ``diff`` are no code, and ``{name}`` is for Sphinx.

A block below a line `` `NAME`: `` is written to that file; Python there waits for who runs it.

Pages run in a copy of ``examples/``, and leave it as it is: who reads one page after another finds
what each begins with. A block below ``<!-- kernel -->`` needs root: its
page runs once more, as a kernel test in a network namespace, with that block. One below
``<!-- ipvs -->`` needs a kernel that has IPVS: its page runs so in the guest. What a block
starts in the background goes on until the page ends, and no longer.
"""

import doctest
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
HOW_TOS = [page for page in PAGES if page.parent.name == "howto"]
ORDERS = {
    "as they are named": [ROOT / "README.md", *HOW_TOS],
    "backwards": [*reversed(HOW_TOS), ROOT / "README.md"],
    "from the middle": [*HOW_TOS[4:], ROOT / "README.md", *HOW_TOS[:4]],
}
RULES = sorted(
    path
    for mode in ("iptables", "ipvs", "nftables", "userspace")
    for path in ROOT.glob(f"examples/*/golden.{mode}*.txt")
)
BLOCK = re.compile(
    r"^(?:<!-- (?P<needs>kernel|ipvs) -->\n+|`(?P<file>\S+)`:\n)?"
    r"```(?P<language>\S+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*\n)", re.MULTILINE)
END = "--- end of a command ---"
OPTIONS = doctest.ELLIPSIS


class Block(NamedTuple):
    language: str
    body: str
    page: Path
    line: int
    needs: str | None
    file: str | None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("body"))
        yield Block(match["language"], match["body"], page, line, match["needs"], match["file"])


def pages_with(needs: str) -> list[Path]:
    return [page for page in PAGES if any(block.needs == needs for block in blocks(page))]


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NO_COLOR", "1")
    # As after README's "Try it".
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    # An editable installation knows the entry points of the day that it was made.
    monkeypatch.setenv("PYTEST_PLUGINS", "svcnet.plugin")
    yield tmp_path
    assert files(tmp_path / "examples") == files(ROOT / "examples")


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files in a folder, but for what Python keeps of its own."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_blocks(page: Path, folder: Path) -> None:
    run(block for block in blocks(page) if block.needs is None)


@pytest.mark.parametrize("order", ORDERS)
def test_how_tos_in_any_order(order: str, folder: Path) -> None:
    """Who reads one page after another, in one folder, finds what each begins with."""
    for page in ORDERS[order]:
        run(block for block in blocks(page) if block.needs is None)


@pytest.mark.kernel
@pytest.mark.parametrize("page", pages_with("kernel"), ids=title)
def test_blocks_with_root(page: Path, folder: Path) -> None:
    with namespace() as inside:
        run((block for block in blocks(page) if block.needs != "ipvs"), inside)


@pytest.mark.kernel
@pytest.mark.ipvs
@pytest.mark.parametrize("page", pages_with("ipvs"), ids=title)
def test_blocks_with_ipvs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Plain `iptables` is the legacy one here: the guest's kernel lacks what the other needs.
    (folder / "bin").mkdir()
    (folder / "bin/iptables").symlink_to("/usr/sbin/iptables-legacy")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with namespace() as inside:
        run((block for block in blocks(page) if block.needs != "kernel"), inside)


@contextmanager
def namespace() -> Iterator[tuple[str, ...]]:
    """Yield what a command begins with to run in a network namespace of its own."""
    name = f"svcnet-docs-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        yield inside
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.parametrize("golden", RULES, ids=title)
def test_golden_file(golden: Path, folder: Path) -> None:
    mode, *layout = golden.name.split(".")[1:-1]
    command = f"svcnet render {golden.parent.relative_to(ROOT)} --mode {mode} --check {golden}"
    if golden.parent.name == "from-pods":
        command += " --from-pods"
    if layout:
        command += f" --layout {layout[0]}"
    assert shell([command]) == [""]


def test_commands_of_the_readme_work_as_they_stand() -> None:
    """After "Try it" nothing has to be put on the PATH first: each begins with what it made."""
    consoles = [block for block in blocks(ROOT / "README.md") if block.language == "console"]
    commands = [command for block in consoles for command in COMMAND.findall(block.body)]
    assert commands
    assert all(command.startswith(".venv/bin/svcnet ") for command in commands)


@pytest.mark.parametrize("name", ["pictures", "charts"])
def test_pictures_are_as_they_are_drawn(name: str) -> None:
    """Each of docs/pictures is what docs/pictures.py draws, for a light page and a dark one.

    So it is with docs/charts.
    """
    drawn = runpy.run_path(str(ROOT / f"docs/{name}.py"))["files"]()
    found = (ROOT / "docs" / name).iterdir()
    assert {path.name: path.read_text("utf-8") for path in found} == drawn


def test_pictures_show_the_graph(folder: Path) -> None:
    [text] = shell(["svcnet graph examples/my-service -o dot"])
    picture = (ROOT / "docs/explanation/my-service.svg").read_text("utf-8")
    labels = re.findall(r'label="(.*?)"', text)
    words = {word for label in labels for word in re.split(r"\s|\\n", label)}
    assert words
    assert {word for word in words if word not in picture.replace("&#45;", "-")} == set()


def run(page: Iterable[Block], inside: tuple[str, ...] = ()) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    with process_group() as group:
        for block in page:
            if block.file:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.body, "utf-8")
            if block.language == "python" and not block.file:
                run_python(block, namespace)
            elif block.language == "console":
                run_console(block, inside, group)
            elif block.language == "yaml":
                assert all(document is not None for document in yaml.safe_load_all(block.body))
            elif block.language == "toml":
                tomllib.loads(block.body)
            else:
                readme = block.page.name == "README.md"
                known = block.file or block.language in (
                    "text",
                    "diff",
                    "sh" if readme else "text",
                )
                assert known or block.language.startswith("{"), f"{block.language}: not run"


@contextmanager
def process_group() -> Iterator[int]:
    """Yield a process group; all that is left of it at the end is killed."""
    leader = subprocess.Popen(["sleep", "infinity"], process_group=0)
    try:
        yield leader.pid
    finally:
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()


def run_python(block: Block, namespace: dict[str, object]) -> None:
    if ">>> " not in block.body:
        exec(compile("\n" * block.line + block.body, block.page, "exec"), namespace)
        return
    name = title(block.page)
    test = doctest.DocTestParser().get_doctest(block.body, {}, name, name, block.line)
    test.globs = namespace
    report: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=OPTIONS).run(
        test, out=report.append, clear_globs=False
    )
    assert not report, "".join(report)


def run_console(block: Block, inside: tuple[str, ...], group: int) -> None:
    _, *parts = COMMAND.split(block.body)
    commands, wanted = parts[::2], parts[1::2]
    assert commands, f"{title(block.page)}:{block.line}: no line starts with $"
    checker = doctest.OutputChecker()
    for command, want, got in zip(commands, wanted, shell(commands, inside, group), strict=True):
        if not checker.check_output(want, got, OPTIONS):
            example = doctest.Example(command, want)
            pytest.fail(command + checker.output_difference(example, got, OPTIONS), pytrace=False)


def shell(commands: list[str], inside: tuple[str, ...] = (), group: int | None = None) -> list[str]:
    """Run commands in one shell; return what each printed, standard error included."""
    script = "".join(
        f"{command}\nstatus=$?; echo '{END}'; (exit $status)\n" for command in commands
    )
    done = subprocess.run(
        [*inside, "bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
        process_group=group,
    )
    return done.stdout.split(f"{END}\n")[:-1]
