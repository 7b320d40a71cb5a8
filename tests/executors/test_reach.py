"""Executors reach a machine by the one that they are given, and by nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import isfunction, signature
from pathlib import Path

import pytest

import svcnet

SOURCE = Path(svcnet.__file__).parent
ROOMS = (
    "executors/iptables",
    "executors/ipvs",
    "executors/conntrack",
    "executors/nftables",
    "executors/userspace",
    "modes/executor.py",
    "modes/iptables",
    "modes/ipvs",
    "modes/nftables",
    "modes/userspace",
    "executors/commands.py",
    "executors/commits.py",
    "executors/notices.py",
    "executors/netlink.py",
    "executors/links.py",
    "executors/probe.py",
)
"""What works on the machine that it is given."""

MODULES = {"subprocess", "ctypes", "shutil", "fcntl", "select", "selectors", "os", "pyroute2"}
"""Modules of which nothing is for executors, but to ask for words."""
WORDS = {"strerror", "fspath"}

OF_THIS_MACHINE = {
    "svcnet.executors.children",
    "svcnet.executors.lock",
    "svcnet.executors.namespace",
}
"""Modules with which this machine does its work: of them others know what they raise."""

OF_FILES = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "exists", "stat", "lstat"),
    *("is_file", "is_dir", "glob", "rglob", "iterdir", "unlink", "mkdir", "touch", "readlink"),
}


def files() -> Iterator[Path]:
    for room in ROOMS:
        found = [SOURCE / room] if room.endswith(".py") else sorted((SOURCE / room).rglob("*.py"))
        assert found
        yield from found


def reaches(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module reaches around the machine, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found = [one.name for one in names if one.name.partition(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found = [one.name for one in names if is_foreign(module, one.name)]
            case ast.Attribute(value=ast.Name(id="socket"), attr=name) if not name.isupper():
                found = [f"socket.{name}"]
            case ast.Call(func=ast.Attribute(attr=name)) if name in OF_FILES:
                found = [f".{name}()"]
            case ast.Call(func=ast.Name(id="open")):
                found = ["open()"]
            case _:
                found = []
        for each in found:
            yield f"{getattr(node, 'lineno', 0)}: {each}"


def is_foreign(module: str, name: str) -> bool:
    if module in OF_THIS_MACHINE:
        return not name[0].isupper()
    if module == "svcnet.executors":
        return f"{module}.{name}" in OF_THIS_MACHINE
    if module == "socket":
        return not name.isupper()
    return module.partition(".")[0] in MODULES and name not in WORDS


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(SOURCE)))
def test_an_executor_reaches_its_machine_alone(path: Path) -> None:
    """No process, socket, file or lock is taken but from the machine that an executor is given."""
    assert not list(reaches(ast.parse(path.read_text("utf-8"))))


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "import os.path",
        "from os import access",
        "import socket\nsocket.socket()",
        "from socket import socket",
        "from svcnet.executors.lock import lock",
        "from svcnet.executors.children import run_child",
        "from svcnet.executors import namespace",
        "from pathlib import Path\nPath('/proc/self').read_text()",
        "open('/proc/self/status')",
    ],
)
def test_what_reaches_around_is_seen(text: str) -> None:
    """Each way around a machine is one that the test above would find."""
    assert list(reaches(ast.parse(text)))


def test_what_is_said_and_raised_may_be_known() -> None:
    """Constants, words for an errno and errors are no way around."""
    text = """
from os import strerror
from socket import AF_INET
from svcnet.executors.children import Overdue
from svcnet.executors.lock import Busy
"""
    assert not list(reaches(ast.parse(text)))


GIVEN = ("agent", "inputs", "reconciler", "modes")
"""Rooms whose machine may be another than this one."""

AT_THE_ROOT = {
    "agent/run.py": "an agent that is given none is for this machine",
    "modes/executor.py": "and so is an executor",
}
"""Where this machine is chosen."""


def keeps(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module works on this machine, for it is handed none, with its line."""
    known = dict(imported(tree))
    handed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and hands_on(node):
            is_partial = isinstance(node.func, ast.Name) and node.func.id == "partial"
            handed.add(id(node.args[0] if is_partial else node.func))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                found = known.get(name)
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                found = getattr(known.get(module), name, None)
            case _:
                continue
        if isfunction(found) and has_default_machine(found) and id(node) not in handed:
            yield f"{node.lineno}: {name}"


def imported(tree: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield what a module takes from others of svcnet, with its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "svcnet":
            module = import_module(str(node.module))
            for one in node.names:
                yield one.asname or one.name, getattr(module, one.name, None)


def hands_on(call: ast.Call) -> bool:
    """Return whether an argument is a machine, by its name."""
    return any(each.arg == "machine" for each in call.keywords) or any(
        "machine" in ast.unparse(each) for each in call.args
    )


def has_default_machine(function: Callable[..., object]) -> bool:
    asked = signature(function).parameters.get("machine")
    return asked is not None and asked.default is not asked.empty


@pytest.mark.parametrize(
    "path",
    [path for room in GIVEN for path in sorted((SOURCE / room).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_a_machine_that_is_given_is_handed_on(path: Path) -> None:
    """Nobody takes this machine where another may be meant, by its name or by a default."""
    text, name = path.read_text("utf-8"), str(path.relative_to(SOURCE))
    assert ("THIS_MACHINE" in text) == (name in AT_THE_ROOT)
    assert not list(keeps(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "from svcnet.executors.probe import probe\nprobe()",
        "from svcnet.executors.probe import probe\nprobe(tries=False)",
        "from svcnet.executors.probe import probe\nlater(probe)",
        "from svcnet.executors.probe import probe as ask\npartial(ask, tries=False)",
        "from svcnet.executors import iptables\niptables.choose_variant('IPv4')",
    ],
)
def test_a_machine_that_is_not_handed_on_is_seen(text: str) -> None:
    assert list(keeps(ast.parse(text)))
