"""What every test shares: Hypothesis settings, and the rules for tests marked `kernel`."""

import functools
import os
import shutil
import subprocess
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
CI = os.environ.get("CI") == "true"

# Timing differs too much between machines for a deadline; CI repeats the same examples.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if CI else "default")


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
