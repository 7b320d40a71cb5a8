"""Each form of an environment, read by the program that it is for."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import yaml
from attrs import evolve
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.discovery.environment import (
    ContainerEnvironment,
    KernelLimits,
    Override,
    Variable,
    dotenv,
    env_list,
    notes,
    shell,
    size_of,
)
from svcnet.models import NamespacedName

HOSTILE = {
    "APOSTROPHES": "it's '' \"",
    "BACKSLASHES": "\\ \\n \\' \\\\",
    "COMMANDS": "$(touch owned) `touch owned` ; touch owned\ntouch owned & #",
    "EMPTY": "",
    "END": "trailing newlines\n\n",
    "GLOB": "* ? [a-z] ~ {a,b} ! !!",
    "OPTION": "-n",
    "PORT": "tcp://[fd00::1]:80",
    "REFERENCES": "$(PORT) $$(PORT) $PORT ${PORT} $$$",
    "SPACE": "  a\tb \r ",
    "TYPES": "0x1f",
    "UNICODE": "é 日本 \N{GRINNING FACE} \x85 \x7f \x1b",
    "YES": "yes",
    "_1": "10:80",
}
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
environments = st.dictionaries(st.from_regex(r"\A[A-Z][A-Z0-9_]{3,9}\Z"), values, max_size=6)


def evaluated(text: str, folder: Path, interpreter: str) -> dict[str, str]:
    """Return the environment of a program that a shell starts after it read `text`."""
    (folder / "variables.sh").write_text(text, "utf-8", newline="")
    script = '. ./variables.sh; exec "$0" -c "$1"'
    child = "import os, json; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        ["env", "-i", interpreter, "-eu", "-c", script, sys.executable, child],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    # What the shells and Python's own start-up add.
    added = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    return {name: value for name, value in json.loads(done.stdout).items() if name not in added}


@pytest.mark.parametrize("interpreter", ["sh", "bash"])
def test_a_shell_gets_exactly_the_values(interpreter: str, tmp_path: Path) -> None:
    """A real shell evaluates the commands to the same values, and runs nothing in them."""
    assert evaluated(shell(HOSTILE), tmp_path, interpreter) == HOSTILE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["variables.sh"]


def test_a_shell_passes_over_notes(tmp_path: Path) -> None:
    """What a container's value holds stays in the comment that tells of it."""
    overrides = tuple(
        Override(Variable("A", "", NamespacedName("shop", "a")), value)
        for value in (*HOSTILE.values(), "\ntouch owned\n")
    )
    text = notes([ContainerEnvironment("app", overrides, env_from=True, values={})])
    assert evaluated(shell({"A": "1"}) + text, tmp_path, "sh") == {"A": "1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["variables.sh"]


@settings(max_examples=25)
@given(variables=environments)
def test_a_shell_gets_any_value(
    variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever text a value is, the shell ends up with it."""
    folder = tmp_path_factory.mktemp("shell")
    assert evaluated(shell(variables), folder, "sh") == variables


def test_what_no_shell_can_read_is_left_out(tmp_path: Path) -> None:
    """A name that is no shell name is not in the commands, whatever it would do there."""
    text = shell({"1WEB_PORT": "1", "A": "2", "B=$(touch owned)": "3", "": "4", "É": "5"})
    assert evaluated(text, tmp_path, "sh") == {"A": "2"}


def test_dotenv_needs_no_quotes_for_services() -> None:
    """What Services set is in plain lines, which every reader of .env files takes alike."""
    variables = {"WEB_PORT": "tcp://[fd00:10:96::a]:80", "WEB_SERVICE_HOST": "10.96.0.10"}
    assert dotenv(variables) == ("WEB_PORT=tcp://[fd00:10:96::a]:80\nWEB_SERVICE_HOST=10.96.0.10\n")


@given(variables=environments | st.just(HOSTILE))
def test_dotenv_gives_any_value_back(variables: dict[str, str]) -> None:
    """python-dotenv reads the same values."""
    assert dotenv_values(stream=StringIO(dotenv(variables)), interpolate=False) == variables


@given(variables=environments | st.just(HOSTILE))
def test_the_env_list_gives_any_value_back(variables: dict[str, str]) -> None:
    """What YAML reads and the kubelet expands is the same text, without a reference in it."""
    [(key, listed)] = yaml.safe_load(env_list(variables)).items()
    assert key == "env"
    assert all(type(item["value"]) is str for item in listed)
    found = {item["name"]: item["value"].replace("$$", "\0") for item in listed}
    assert all("$" not in value for value in found.values())
    assert {name: value.replace("\0", "$") for name, value in found.items()} == variables


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_kubectl_takes_both_forms(tmp_path: Path) -> None:
    """A manifest with the env list is one for kubectl, and ``kubectl set env -`` takes dotenv."""
    variables = {"WEB_PORT": "tcp://[fd00::1]:80", "WEB_PORT_80_TCP_PORT": "80"}
    container = {"name": "app", "image": "app"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    bare = tmp_path / "bare.yaml"
    bare.write_text(json.dumps({**pod, "spec": {"containers": [container]}}))
    whole = tmp_path / "whole.yaml"
    fields = {**container, **yaml.safe_load(env_list(variables))}
    whole.write_text(json.dumps({**pod, "spec": {"containers": [fields]}}))
    for command in (
        ["kubectl", "set", "env", "--local", "-f", str(bare), "-o", "json", "-"],
        ["kubectl", "label", "--local", "-f", str(whole), "-o", "json", "a=b"],
    ):
        done = subprocess.run(
            command, input=dotenv(variables) + "# A=b\n", capture_output=True, text=True, check=True
        )
        env = json.loads(done.stdout)["spec"]["containers"][0]["env"]
        assert {item["name"]: item["value"] for item in env} == variables


MIB = 1024**2
_, HARD_LIMIT = resource.getrlimit(resource.RLIMIT_STACK)
LIMITS = KernelLimits(2 * MIB, string=32 * os.sysconf("SC_PAGE_SIZE"))


def starts(variables: dict[str, str], stack: int = 8 * MIB) -> bool:
    """Return whether the kernel starts a program with this environment, and a limit of stack."""
    try:
        subprocess.run(
            ["/bin/true"],
            env=variables,
            check=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (stack, HARD_LIMIT)),
        )
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        return False
    return True


@pytest.mark.parametrize(("stack", "total"), [(2, 0.5), (8, 2), (16, 4), (64, 6)])
def test_size_is_what_execve_counts(stack: int, total: float) -> None:
    """The kernel takes a quarter of the stack's limit, 6 MiB at most, and not one byte more."""
    if HARD_LIMIT != resource.RLIM_INFINITY and stack * MIB > HARD_LIMIT:
        pytest.skip("the stack's limit may not be raised here")
    limits = evolve(LIMITS, total=int(total * MIB))
    # The program's name is there as the file's and as argument 0, with a pointer to it.
    program = 2 * len("/bin/true\0") + limits.pointer
    variables = {f"V{number:03}": "x" * 100_000 for number in range(limits.total // 101_000)}
    variables["LAST"] = ""
    room = limits.total - size_of(variables, limits).total - program
    assert 4096 < room < limits.string
    # What the kernel itself adds is less than a page.
    assert starts({**variables, "LAST": "x" * (room - 4096)}, stack * MIB)
    assert not starts({**variables, "LAST": "x" * (room + 1)}, stack * MIB)


@pytest.mark.parametrize(("more", "expected"), [(0, True), (1, False)])
def test_the_longest_string(more: int, expected: bool) -> None:
    """The kernel takes a string of MAX_ARG_STRLEN bytes with its NUL, and none longer."""
    variables = {"LONG": "x" * (LIMITS.string - len("LONG=\0") + more), "SHORT": ""}
    size = size_of(variables, LIMITS)
    assert (size.longest, size.longest_name) == (LIMITS.string + more, "LONG")
    assert starts(variables) == expected
    assert bool(size.warnings(LIMITS)) == (not expected)


def test_bytes_are_counted_and_not_characters() -> None:
    """A character of three bytes counts three."""
    size = size_of({"A": "日本", "B": ""}, KernelLimits(100))
    assert (size.count, size.total, size.longest) == (2, 9 + 3 + 2 * LIMITS.pointer, 9)
    # The kubelet makes U+FFFD of a surrogate without its other half.
    assert size_of({"A": "\ud800"}, LIMITS) == size_of({"A": "\ufffd"}, LIMITS)


def test_an_empty_environment() -> None:
    """Nothing takes no room."""
    assert size_of({}, KernelLimits(100)).total == 0


def test_a_quarter_is_too_much() -> None:
    """Above a quarter of ARG_MAX there is a warning, at a quarter none."""
    size = size_of({"A": "x" * 13}, KernelLimits(100))
    assert size.total == 24
    assert size.warnings(KernelLimits(96)) == ()
    [warning] = size.warnings(KernelLimits(95))
    assert warning.startswith("the environment takes 24 bytes, 25 % of ARG_MAX (95)")
