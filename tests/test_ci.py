"""What CI relies on: its script runs the README's commands, and no kernel test is skipped there."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.dependency_groups import resolve_dependency_groups
from packaging.markers import default_environment
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = tomllib.loads((ROOT / "pylock.toml").read_text("utf-8"))
PYTHONS = ("3.11.2", "3.11.15", "3.12.1", "3.13.0", "3.14.0")

SKIPPED_TEST = """
import pytest

@pytest.mark.kernel
def test_packets():
    pytest.skip("no packets here")

@pytest.mark.kernel
@pytest.mark.skipif(True, reason="no packets here")
def test_more_packets(): ...
"""
SKIPPED_LOOK = """
import pytest

@pytest.mark.browser
def test_page():
    pytest.skip("nothing to see")
"""
SKIPPED_MODULE = """
import pytest

pytest.skip("no packets here", allow_module_level=True)
"""


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"^```sh\n(.*)\n```$", readme, re.MULTILINE)
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert len(commands) == 2
    for command in commands:
        assert command in script


@pytest.mark.parametrize(
    ("ci", "closing"),
    # Where no such test can run, the one that skips itself is not asked.
    [("true", "(2 failed, 2 errors|1 failed, 3 errors|4 errors)"), ("", "4 skipped")],
)
@pytest.mark.parametrize("processes", [0, 2])
def test_a_skipped_test_of_kernel_or_browser_fails_in_ci_only(
    tmp_path: Path, ci: str, closing: str, processes: int
) -> None:
    folder = tmp_path / "tests" / "kernel"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    (folder / "test_packets.py").write_text(SKIPPED_TEST)
    (folder / "test_module.py").write_text(SKIPPED_MODULE)
    (tmp_path / "tests/test_look.py").write_text(SKIPPED_LOOK)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--continue-on-collection-errors", f"-n{processes}"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(f"= {closing} in ", done.stdout)
    for mark in ("kernel", "browser"):
        assert (f"a {mark} test was skipped in CI" in done.stdout) == bool(ci)


def locked(group: str, python: str) -> dict[str, Version]:
    """Return what a group of the lock installs under a Python release, by name."""
    environment = default_environment()
    environment["python_full_version"] = python
    environment["python_version"] = python.rpartition(".")[0]
    chosen = Pylock.from_dict(LOCK).select(environment=environment, dependency_groups=[group])
    return {package.name: package.version for package, _ in chosen if package.version}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("group", ["default", *PROJECT["dependency-groups"]])
def test_the_lock_has_what_the_project_asks_for(group: str, python: str) -> None:
    project = PROJECT["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    groups = {**PROJECT["dependency-groups"], "default": [*project["dependencies"], *extras]}
    asked = [Requirement(one) for one in resolve_dependency_groups(groups, group)]
    if group == "default":
        asked += [Requirement(one) for one in PROJECT["build-system"]["requires"]]
    found = locked(group, python)
    for requirement in asked:
        assert found[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_knows_each_file_by_its_hash_and_public_place() -> None:
    for package in LOCK["packages"]:
        for file in (*package["wheels"], *filter(None, [package.get("sdist")])):
            assert file["url"].startswith("https://files.pythonhosted.org/")
            assert file["hashes"]["sha256"]
