"""Hooks, the action and the page's snippet run as their hosts run them, without these hosts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
PAGE = (ROOT / "docs/howto/check-a-repository-in-ci.md").read_text("utf-8")
IDENTITY = (
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"),
    *("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"),
)
TRY_REPO = (sys.executable, "-m", "pre_commit", "try-repo")
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
BAD = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
"""
GOOD = BAD.replace("ports", "selector: {app: web}, ports")


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as CI does, with svcnet in the path."""
    environment = {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **dict.fromkeys(IDENTITY, "svcnet"),
        **variables,
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def commit(folder: Path, files: dict[str, str]) -> str:
    """Commit files to the repository in a folder, which is made; return the commit."""
    run(folder, "git", "init", "--quiet")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    run(folder, "git", "add", "--all")
    assert run(folder, "git", "commit", "--quiet", "--message", "x").returncode == 0
    return run(folder, "git", "rev-parse", "HEAD").stdout.strip()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_runs_as_pre_commit_runs_it(hook: dict[str, Any], tmp_path: Path) -> None:
    """Its entry with its arguments passes what is right, and refuses what is not."""
    assert hook["language"] == "python"
    assert not hook["pass_filenames"]
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/golden.toml").write_text('manifests = ["../web.yaml"]\n')
    (tmp_path / "web.yaml").write_text(GOOD)
    assert run(tmp_path, "svcnet", "golden", "update", "golden").returncode == 0
    command = [*shlex.split(hook["entry"]), *hook["args"]]
    assert run(tmp_path, *command).returncode == 0
    (tmp_path / "web.yaml").write_text(BAD)
    (tmp_path / "golden/node.iptables.ipv4.txt").write_text("")
    assert run(tmp_path, *command).returncode == 1


def test_pre_commit_takes_the_hooks(tmp_path: Path) -> None:
    """pre-commit itself reads them from a repository, and runs them on another."""
    pytest.importorskip("pre_commit")
    hooks, folder = tmp_path / "hooks", tmp_path / "shop"
    hooks.mkdir()
    folder.mkdir()
    # What it would install is installed here.
    text = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    commit(hooks, {".pre-commit-hooks.yaml": text.replace("language: python", "language: system")})
    commit(folder, {"web.yaml": GOOD})
    line = (*TRY_REPO, str(hooks), "svcnet-check", "--all-files")
    done = run(folder, *line)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "web.yaml").write_text(BAD)
    done = run(folder, *line)
    assert done.returncode == 1
    assert "web.yaml:4: warning: Service default/web: spec.selector" in done.stdout


def steps(inputs: dict[str, str], temp: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Return the shell steps of the action that run for inputs: id, script and environment."""
    given = {name: str(each["default"]) for name, each in ACTION["inputs"].items()} | inputs
    known = {f"inputs.{name}": text for name, text in given.items()}
    known["github.action_path"] = str(ROOT)
    found = []
    for step in ACTION["runs"]["steps"]:
        condition = re.fullmatch(r"inputs\.(\S+) != ''", step.get("if", "inputs.paths != ''"))
        assert condition
        if "run" in step and given[condition[1]]:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"], "what others write must not become a script"
            environment = {
                name: re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], text)
                for name, text in step["env"].items()
            }
            environment["RUNNER_TEMP"] = str(temp)
            environment["GITHUB_STEP_SUMMARY"] = str(temp / "summary.md")
            environment["GITHUB_PATH"] = str(temp / "path")
            found.append((step["id"], step["run"], environment))
    return found


def act(folder: Path, temp: Path, **inputs: str) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run the steps of the action, but for the one that installs what is here already."""
    temp.mkdir(exist_ok=True)
    return {
        name: run(folder, *BASH, "-c", script, **variables)
        for name, script, variables in steps(inputs, temp)
        if name != "install"
    }


def test_the_action_annotates_and_tells_what_a_change_does(tmp_path: Path) -> None:
    """Findings are annotations and SARIF, and fail it; the summary says what packets do."""
    folder, temp = tmp_path / "shop", tmp_path / "temp"
    folder.mkdir()
    base = commit(folder, {"deploy/web.yaml": GOOD})
    done = act(folder, temp, paths="deploy")
    assert list(done) == ["check"]
    assert done["check"].returncode == 0
    (folder / "deploy/web.yaml").write_text(BAD.replace("port: 80", "port: 81"))
    (folder / "new").mkdir()
    (folder / "new/api.yaml").write_text(GOOD.replace("web", "api").replace("0.10", "0.11"))
    done = act(folder, temp, paths="deploy new", since=base, sarif="svcnet.sarif")
    assert done["diff"].returncode == 0, done["diff"].stderr
    assert done["check"].returncode == 1
    assert done["check"].stdout.startswith(
        "::warning file=deploy/web.yaml,title=S704 no-endpoints,line=4::Service default/web: "
    )
    assert '"S704"' in (folder / "svcnet.sarif").read_text()
    summary = (temp / "summary.md").read_text()
    assert "10.96.0.10" in summary
    assert "## What becomes of packets: `new`\nIt is new.\n" in summary
    assert run(folder, "git", "worktree", "list").stdout.count("\n") == 1
    done = act(folder, temp, paths="deploy", arguments="--fail-on error")
    assert done["check"].returncode == 0


def test_the_action_says_that_a_file_cannot_be_read(tmp_path: Path) -> None:
    """Neither a difference nor SARIF hides it."""
    folder = tmp_path / "shop"
    folder.mkdir()
    base = commit(folder, {"deploy/web.yaml": GOOD})
    (folder / "deploy/web.yaml").write_text("kind: {")
    done = act(folder, tmp_path / "temp", paths="deploy", since=base, sarif="svcnet.sarif")
    assert done["check"].returncode == 2
    assert "cannot be told" in (tmp_path / "temp/summary.md").read_text()


def test_what_the_action_installs_is_itself() -> None:
    """The version of the action is that of svcnet: it installs the folder that it is in."""
    (script,) = [script for name, script, _ in steps({}, Path("/tmp")) if name == "install"]
    assert '-m pip install --quiet "$ACTION"' in script
    assert {step["id"] for step in ACTION["runs"]["steps"] if "run" in step} == {
        *("install", "diff", "check")
    }


def test_the_lines_for_gitlab_run(tmp_path: Path) -> None:
    """But for the first, which installs; the report is where the job says."""
    block = PAGE.partition("`.gitlab-ci.yml`:\n```yaml\n")[2].partition("```")[0]
    job = yaml.safe_load(block)["services"]
    first, *script = job["script"]
    assert first == "pip install svcnet"
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/web.yaml").write_text(BAD)
    assert [run(tmp_path, "sh", "-c", line).returncode for line in script] == [1]
    assert "<failure" in (tmp_path / job["artifacts"]["reports"]["junit"]).read_text()
