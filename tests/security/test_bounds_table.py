"""The table of bounds on the security page has every server, and names tests that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs/explanation/security.md"
CODE = TESTS.parent / "svcnet"
SERVERS = {
    "servers/dns/datagrams.py": ("`dns serve`, UDP",),
    "servers/dns/sockets.py": ("`dns serve`, UDP", "`dns serve`, TCP"),
    "servers/dns/server.py": ("`dns serve`, TCP", "`dns serve --forward`"),
    "servers/local_socket.py": ("`status`, by a unix socket", "statistics, by a unix socket"),
    "servers/questions.py": ("`status`, by a unix socket", "statistics, by a unix socket"),
    "servers/monitoring/listening.py": (
        "health: `/healthz`, `/livez`, `/readyz`",
        "metrics: `/metrics`",
    ),
    "servers/monitoring/service_health.py": ("health-check node ports",),
    "servers/userspace/engine.py": ("userspace proxy, TCP", "userspace proxy, UDP"),
    "servers/userspace/entrance.py": ("userspace proxy, TCP",),
    "servers/userspace/proxy.py": ("userspace proxy, TCP", "userspace proxy, UDP"),
    "servers/userspace/sockets.py": ("userspace proxy, TCP", "userspace proxy, UDP"),
}
"""The rows that a module is in, of those that listen, or take what comes to a bound socket."""

KERNEL = {"executors/this_machine.py"}
"""Modules that bind sockets to which only the kernel speaks."""

LISTENING = {"listen", "bind", "Acceptor", "StreamListener", "DatagramListener", "start_server"}


def rows() -> list[str]:
    section = PAGE.read_text().partition("## What bounds each server\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert lines[0] == "| server | bound | when it is full | test |"
    return lines[2:]


@pytest.mark.parametrize("row", rows())
def test_each_bound_has_a_test(row: str) -> None:
    """Each row has four cells, and the last names one test or several that exist."""
    cells = row.strip("|").split("|")
    assert len(cells) == 4
    names = re.findall(r"`(test_\w+)`", cells[3])
    assert names
    written = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    for name in names:
        assert f"def {name}(" in written


def calls(path: Path) -> Iterator[str]:
    """Yield the name of everything that a module calls, without what it is a part of."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def test_every_server_is_in_the_table() -> None:
    """A module that begins to listen needs a row, and tests that fill it."""
    found = {
        path.relative_to(CODE).as_posix()
        for folder in ("executors", "servers")
        for path in (CODE / folder).rglob("*.py")
        if LISTENING & set(calls(path))
    }
    wanted = {*SERVERS, *KERNEL}
    assert found == wanted
    named = {row.strip("|").split("|")[0].strip() for row in rows()} - {""}
    assert named == {name for names in SERVERS.values() for name in names}


def test_nothing_else_listens() -> None:
    """But for executors, servers, and what tests are given, nothing in svcnet listens."""
    names = LISTENING - {"Acceptor"}
    others = {
        path.relative_to(CODE).as_posix()
        for path in CODE.rglob("*.py")
        if path.relative_to(CODE).parts[0] not in {"executors", "servers", "testing"}
        and names & set(calls(path))
    }
    assert others <= {"cli/monitoring.py"}
