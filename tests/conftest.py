"""What every test shares: Hypothesis settings, and the rules for tests marked `kernel`.

As root they all run in a network namespace with loopback and a device that leads nowhere. Tests
marked `ipvs` as well run in a guest, because few machines' kernels have IPVS: it
boots once a run, beside the host's own tests, and runs them with a pytest of its own.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Generator, Iterator
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


@functools.cache
def why_no_kernel() -> str:
    """Return why tests marked `kernel` cannot run on this machine; empty when they can."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    missing = [
        package
        for package, commands in project["tool"]["svcnet"]["kernel-commands"].items()
        if not all(shutil.which(command) for command in commands)
    ]
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return must_run(report, bool(item.get_closest_marker("kernel")))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return must_run(report, collector.path.is_relative_to(ROOT / "tests/kernel"))


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def must_run(report: Report, kernel: bool) -> Report:
    """In CI a kernel test that is skipped has failed: CI exists to run it."""
    if CI and kernel and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"a kernel test was skipped in CI. {reason}"
    return report


def in_guest(item: pytest.Item) -> bool:
    """Return whether a test is one that the guest runs for this process."""
    return item.get_closest_marker("ipvs") is not None and "SVCNET_GUEST" not in os.environ


class GuestTests:
    """Runs the tests marked `ipvs` in guests, one a folder, and hands on what comes of each."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.guests: dict[Path, Guest] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=in_guest)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        chosen = [item for item in session.items if in_guest(item)]
        if not chosen or self.config.option.collectonly or why_no_kernel():
            return
        from tests.kernel.uml.guest import Guest

        options = ("-p", "no:cacheprovider", "-q", "--tb=short")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in ("CI", "NO_COLOR") or name.startswith("SVCNET_")
        }
        for folder in dict.fromkeys(item.path.parent for item in chosen):
            tests = [item.nodeid for item in chosen if item.path.parent == folder]
            command = [sys.executable, "-m", "pytest", *options, *tests]
            self.guests[folder] = Guest.start(command, environment)

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        guest = self.guests.get(item.path.parent)
        if guest is None or not in_guest(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.reports(item, guest):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def reports(self, item: pytest.Item, guest: Guest) -> Iterator[pytest.TestReport]:
        """Yield a test's reports from its guest; a failure where the guest ended without it."""
        for value in guest.reports():
            if value["nodeid"] == item.nodeid:
                yield self.config.hook.pytest_report_from_serializable(
                    config=self.config, data=value
                )
                if value["when"] == "teardown":
                    return
        problem = f"the guest ended without this test. It printed:\n{guest.log()[-5000:]}"
        yield pytest.TestReport(
            item.nodeid, item.location, dict(item.keywords), "failed", problem, "call"
        )

    def pytest_unconfigure(self) -> None:
        for guest in self.guests.values():
            guest.end()


class GuestReports:
    """Inside the guest: writes what comes of each test where the host reads it."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.config = config
        self.file = (folder / "reports").open("a")

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


def pytest_configure(config: pytest.Config) -> None:
    folder = os.environ.get("SVCNET_GUEST")
    if folder is None:
        leave_the_network()
    config.pluginmanager.register(
        GuestReports(config, Path(folder)) if folder else GuestTests(config)
    )
