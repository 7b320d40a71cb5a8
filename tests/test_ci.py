"""What CI relies on: its script runs the README's commands, and no kernel test is skipped there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SKIPPED_TEST = """
import pytest

@pytest.mark.kernel
def test_packets():
    pytest.skip("no packets here")

@pytest.mark.kernel
@pytest.mark.skipif(True, reason="no packets here")
def test_more_packets(): ...
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


@pytest.mark.parametrize(("ci", "closing"), [("true", "1 failed, 2 errors"), ("", "3 skipped")])
def test_a_skipped_kernel_test_fails_in_ci_only(tmp_path: Path, ci: str, closing: str) -> None:
    folder = tmp_path / "tests" / "kernel"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "tests")
    (folder / "test_packets.py").write_text(SKIPPED_TEST)
    (folder / "test_module.py").write_text(SKIPPED_MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--continue-on-collection-errors"],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"= {closing} in " in done.stdout
    assert ("a kernel test was skipped in CI" in done.stdout) == bool(ci)
