"""What every test shares: Hypothesis settings, and the rules for tests marked `kernel`.

As root they all run in a network namespace with loopback and a device that leads nowhere. Tests
marked `ipvs` as well run in a guest, because few machines' kernels have IPVS: two
boot a run, beside the host's own tests, and share the tests between them.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, deque
from collections.abc import Generator, Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings
from pyroute2 import IPRoute

from tests.network import new_network

if TYPE_CHECKING:
    from tests.kernel.uml.guest import Guest

ROOT = Path(__file__).parent.parent
CI = os.environ.get("CI") == "true"

# Timing differs too much between machines for a deadline; CI repeats the same examples, and
# a fuzzer that repeats itself finds nothing.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if CI and "SVCNET_FUZZ" not in os.environ else "default")


def is_there(name: str) -> bool:
    """Return whether this machine has a command, or a library such as ``libatomic.so.1``."""
    library, is_library, _ = name.removeprefix("lib").partition(".so")
    return bool(find_library(library) if is_library else shutil.which(name))


def missing_packages(table: str) -> list[str]:
    """Return Debian's packages that this machine lacks, of those in a table of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return [
        package
        for package, commands in project["tool"]["svcnet"][table].items()
        if not all(map(is_there, commands))
    ]


@functools.cache
def why_no_browser() -> str:
    """Return why tests marked `browser` cannot run on this machine; empty when they can."""
    needs = [f"Debian's package {package}" for package in missing_packages("browser-commands")]
    if importlib.util.find_spec("playwright") is None:
        needs.append("the package playwright, which nox -s browser installs")
    return f"needs {' and '.join(needs)}" if needs else ""


@functools.cache
def why_no_kernel() -> str:
    """Return why tests marked `kernel` cannot run on this machine; empty when they can."""
    missing = missing_packages("kernel-commands")
    needs = ["root"] if os.geteuid() != 0 else []
    if missing:
        needs.append(f"Debian's packages {' '.join(missing)}")
    if needs:
        return f"needs {' and '.join(needs)}"
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return f"needs leave to make network namespaces: {probe.stderr.strip()}"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") and (reason := why_no_kernel()):
        pytest.skip(reason)
    if item.get_closest_marker("browser") and (reason := why_no_browser()):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    found = (name for name in MUST_RUN if item.get_closest_marker(name))
    return must_run(report, next(found, ""))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    found = (name for name in MUST_RUN if collector.path.is_relative_to(ROOT / "tests" / name))
    return must_run(report, next(found, ""))


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


MUST_RUN = ("kernel", "browser")
"""Marks of tests that need what a machine may lack; folders of such tests have the same names."""


def must_run(report: Report, mark: str) -> Report:
    """In CI a test of such a mark that is skipped has failed: CI exists to run it."""
    if CI and mark and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"a {mark} test was skipped in CI. {reason}"
    return report


def in_guest(item: pytest.Item) -> bool:
    """Return whether a test is one that the guest runs for this process."""
    return item.get_closest_marker("ipvs") is not None and "SVCNET_GUEST" not in os.environ


GUESTS = 2
"""So many guests share the tests marked `ipvs`: one for each core of a small machine."""
GROUP = "guests"
"""Where processes share the tests, one has all those that guests run, and waits for them."""


def name_of(item: pytest.Item) -> str:
    """Return how a test is called where tests are in no groups."""
    return item.nodeid.removesuffix(f"@{GROUP}")


class GuestTests:
    """Runs the tests marked `ipvs` in guests, and hands on what comes of each.

    Each guest is given all of them, and takes file after file that no other has taken. They
    begin with different folders. Where processes share the tests, guests are that one's which is
    given the first test for them.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.shares_tests = hasattr(config, "workerinput")
        self.groups_tests = config.getoption("loadgroup", False)
        self.chosen: list[pytest.Item] = []
        self.guests: list[Guest] = []
        self.claims = ""
        self.reports: dict[str, list[dict[str, Any]]] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if self.groups_tests and in_guest(item):
            # pytest-xdist 3.8 knows a group by the end of the test's name, and writes it where
            # pytest 9.2 does not read it any more.
            from _pytest.nodeid import coerce_node_id

            item._id = coerce_node_id(f"{item.nodeid}@{GROUP}")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # The files with most tests first, so that no guest begins one when the others end.
        sizes = Counter(item.path for item in items)

        def place(item: pytest.Item) -> tuple[object, ...]:
            return (1, item.path.parent, -sizes[item.path], item.path)

        items.sort(key=lambda item: place(item) if in_guest(item) else (0,))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self.config.option.collectonly and not why_no_kernel():
            self.chosen = [item for item in session.items if in_guest(item)]
        if self.chosen and not self.shares_tests:
            self.start()

    def start(self) -> None:
        """Have guests begin with all tests that are theirs."""
        from tests.kernel.uml.guest import Guest

        self.claims = tempfile.mkdtemp(prefix="svcnet-claims-")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in ("CI", "NO_COLOR") or name.startswith("SVCNET_")
        }
        environment["SVCNET_CLAIMS"] = self.claims
        options = ("-p", "no:cacheprovider", "-q", "--tb=short")
        # Each folder has a process of its own, since its tests may leave that as they need it.
        runs = deque(
            shlex.join([sys.executable, "-m", "pytest", *options, *map(name_of, group)])
            for _, group in itertools.groupby(self.chosen, lambda item: item.path.parent)
        )
        for _ in range(min(GUESTS, len({item.path for item in self.chosen}))):
            self.guests.append(Guest.start(["bash", "-c", "\n".join(runs)], environment))
            runs.rotate(-1)

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if not self.chosen or not in_guest(item):
            return None
        if not self.guests:
            self.start()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.reports_of(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def reports_of(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yield a test's reports, once it has ended; a failure where all guests have without it."""
        self.listen()
        while not self.is_complete(item):
            # Asked only after listening: what was told while the host's tests ran counts.
            is_over = all(guest.is_over() for guest in self.guests)
            self.listen()
            if is_over:
                break
            time.sleep(0.05)
        for value in self.reports.get(name_of(item), ()):
            named = {**value, "nodeid": item.nodeid}
            yield self.config.hook.pytest_report_from_serializable(config=self.config, data=named)
        if not self.is_complete(item):
            logs = "\n".join(guest.log()[-5000:] for guest in self.guests)
            problem = f"the guests ended without this test. They printed:\n{logs}"
            yield pytest.TestReport(
                item.nodeid, item.location, dict(item.keywords), "failed", problem, "call"
            )

    def listen(self) -> None:
        """Take in what the guests have told."""
        for guest in self.guests:
            for value in guest.news():
                self.reports.setdefault(value["nodeid"], []).append(value)

    def is_complete(self, item: pytest.Item) -> bool:
        found = self.reports.get(name_of(item))
        return found is not None and found[-1]["when"] == "teardown"

    def pytest_unconfigure(self) -> None:
        for guest in self.guests:
            guest.end()
        if self.claims:
            shutil.rmtree(self.claims)


class GuestReports:
    """Inside a guest: takes files of tests, and writes what comes of each test for the host."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.config = config
        self.file = (folder / "reports").open("a")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        claims = os.environ.get("SVCNET_CLAIMS")
        if claims is None or session.testsfailed:
            return None
        files: dict[Path, list[pytest.Item]] = {}
        for item in session.items:
            files.setdefault(item.path, []).append(item)
        for path, items in files.items():
            try:
                # Of all that makes something new, this the guest's files pass on to the host's.
                Path(claims, str(path.relative_to(ROOT)).replace("/", "-")).mkdir()
            except FileExistsError:
                continue
            for item, following in zip(items, [*items[1:], None], strict=True):
                self.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        value: dict[str, Any] = self.config.hook.pytest_report_to_serializable(
            config=self.config, report=report
        )
        self.file.write(json.dumps(value) + "\n")
        self.file.flush()


def leave_the_network() -> None:
    """Move to a network namespace where nothing is, so that no test can change the machine's rules.

    A test that means to be refused may, by mistake, be obeyed; as root that is no small thing.
    """
    if os.geteuid() != 0:
        return
    try:
        new_network()
    except PermissionError:
        return
    # A machine has an address that is not loopback's; pages of the manual use it.
    with IPRoute() as route:
        route.link("add", ifname="machine", kind="veth", peer="nobody")
        for name in ("nobody", "machine"):
            route.link("set", ifname=name, state="up")
        [machine] = route.link_lookup(ifname="machine")
        route.addr("add", index=machine, address="198.18.0.1", prefixlen=24)


@pytest.fixture(scope="session", autouse=True)
def lock_of_this_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have iptables commands wait for those of this process alone, whose rules are its own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path_factory.mktemp("lock") / "xtables"))
        yield


def pytest_configure(config: pytest.Config) -> None:
    # A script's job in the background ignores SIGINT, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = os.environ.get("SVCNET_GUEST")
    if folder is None:
        leave_the_network()
    config.pluginmanager.register(
        GuestReports(config, Path(folder)) if folder else GuestTests(config)
    )
