"""The pytest plugin: the fixture ``svcnet_graph`` and the option ``--svcnet-update``.

It is loaded wherever pytest and svcnet are installed, so it imports nothing of svcnet before a
test asks for the fixture.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcnet.testing.service_graph import ServiceGraph

WRITTEN = pytest.StashKey[list[Path]]()
"""The golden files that a run wrote."""

_OF_WORKER = "svcnet_written"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --svcnet-update."""
    parser.getgroup("svcnet").addoption(
        "--svcnet-update",
        action="store_true",
        help="Write the golden files of assert_same_rules that differ.",
    )


@pytest.fixture(scope="session")
def svcnet_graph(pytestconfig: pytest.Config) -> Callable[..., ServiceGraph]:
    """Return what reads manifests, seen from pytest's rootdir, for a node and a mode."""
    from svcnet.testing.service_graph import read_services

    return partial(
        read_services,
        folder=pytestconfig.rootpath,
        update=pytestconfig.getoption("--svcnet-update"),
        written=pytestconfig.stash.setdefault(WRITTEN, []),
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have a worker of pytest-xdist pass on what it wrote."""
    written = session.config.stash.get(WRITTEN, [])
    if written and hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_OF_WORKER] = [str(file) for file in written]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist wrote."""
    written = node.config.stash.setdefault(WRITTEN, [])
    written += map(Path, getattr(node, "workeroutput", {}).get(_OF_WORKER, ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name the golden files that were written."""
    for file in config.stash.get(WRITTEN, []):
        terminalreporter.write_line(f"svcnet: wrote {file}")
