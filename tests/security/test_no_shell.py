"""No shell anywhere: programs are started with lists of words, by executors only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import svcnet
from svcnet.executors.this_machine import THIS_MACHINE

SOURCE = Path(svcnet.__file__).parent
FORBIDDEN = {
    "os.system",
    "os.popen",
    "os.putenv",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell",
    "eval",
    "exec",
}
STARTS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output"}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield every call in svcnet's source: its file, what is called, and the call."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield str(file.relative_to(SOURCE)), ast.unparse(node.func), node


def test_no_shell() -> None:
    """Nothing calls a shell, or makes a program of text."""
    for file, name, call in calls():
        assert name not in FORBIDDEN, f"{file}: {name}"
        assert not name.startswith(("os.exec", "os.spawn", "os.posix_spawn")), f"{file}: {name}"
        assert not any(keyword.arg == "shell" for keyword in call.keywords), file


def test_programs_get_words_and_our_own_environment() -> None:
    """Programs are started in one place, with a list that begins with a path that was found."""
    found = [(file, call) for file, name, call in calls() if name in STARTS]
    assert found
    for file, call in found:
        assert file == "executors/children.py"
        words = call.args[0]
        assert isinstance(words, ast.List)
        assert ast.unparse(words.elts[0]) == "path"
        assert not {"env", "executable", "preexec_fn"} & {word.arg for word in call.keywords}


def test_the_working_folder_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the working folder is not found, even if PATH asks for it."""
    tool = tmp_path / "svcnet-tool"
    tool.write_text("#!/bin/true\n")
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", "./", ":"):
        monkeypatch.setenv("PATH", path)
        assert THIS_MACHINE.find("svcnet-tool") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert THIS_MACHINE.find("svcnet-tool") == str(tool)
    monkeypatch.delenv("PATH")
    assert THIS_MACHINE.find("sh") is not None
