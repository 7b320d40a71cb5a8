"""What svcnet does without the packages that its extras bring, and what it says instead."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from svcnet.errors import EXTRAS, MissingExtra, UsageError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXAMPLE = str(ROOT / "examples" / "my-service")
PODS = str(ROOT / "examples" / "from-pods")
NAMES = {"dnspython": "dns"}

WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Blocked())
"""

COMMANDS = """
import json
from click.testing import CliRunner
from svcnet.cli import main

found = []
for words in json.loads(sys.argv[2]):
    result = CliRunner().invoke(main, words)
    found.append([result.exit_code, result.stdout, result.stderr])
print(json.dumps(found))
"""


def outcomes(commands: list[list[str]]) -> list[Any]:
    """Run commands in one process that has none of the packages of extras."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + COMMANDS, ",".join(EXTRAS), json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_the_table_is_that_of_the_project() -> None:
    """Each package of an extra is in the table of errors, and none of the core is."""
    extras = PROJECT["optional-dependencies"]
    for name, packages in extras.items():
        for package in packages:
            module = re.split("[>=]", package)[0]
            assert EXTRAS[NAMES.get(module, module)] in extras, package
            assert package in extras[EXTRAS[NAMES.get(module, module)]]
        assert name in EXTRAS.values()
    core = {re.split("[>=]", package)[0] for package in PROJECT["dependencies"]}
    assert not core & {*EXTRAS, "dnspython"}


def test_the_core_needs_no_extra() -> None:
    """What reads, renders, explains and proves works without any of them; so do names."""
    commands = [
        ["render", EXAMPLE],
        *(["render", EXAMPLE, "--mode", mode] for mode in ("ipvs", "nftables", "userspace")),
        ["render", EXAMPLE, "--check", f"{EXAMPLE}/golden.iptables.txt"],
        ["explain", EXAMPLE, "--to", "my-service.default.svc:http"],
        ["explain", EXAMPLE, "--to", "10.96.0.100:80", "-o", "html"],
        ["verify", EXAMPLE, "--rules", f"{EXAMPLE}/iptables-save.txt"],
        ["check", EXAMPLE],
        ["diff", EXAMPLE, EXAMPLE],
        ["report", EXAMPLE],
        ["graph", EXAMPLE],
        ["env", EXAMPLE],
        ["endpoints", PODS],
        ["dns", "lookup", "my-service.default.svc", EXAMPLE],
        ["dns", "diff", EXAMPLE, EXAMPLE],
        ["probe"],
        ["apply", EXAMPLE, "--dry-run"],
        ["cleanup", "--dry-run"],
        ["conntrack", EXAMPLE, "--dry-run"],
    ]
    for words, (code, stdout, stderr) in zip(commands, outcomes(commands), strict=True):
        assert "pip install" not in stdout + stderr, (words, stderr)
        if words[0] in CHANGING:  # as root or not, on a machine with or without the tools
            assert code in (0, 1, 2, 3), (words, stderr)
            continue
        assert code in (0, 1), (words, stderr)
        assert stdout or words[0] in ("check", "diff", "dns") or "--check" in words, words


CHANGING = ("apply", "cleanup", "conntrack")
NEEDS = {
    ("run", EXAMPLE): "structlog is not installed: pip install 'svcnet[run]' brings it",
    ("run", "--kubernetes"): "pip install 'svcnet[run]'",
    ("dns", "serve", EXAMPLE): "pip install 'svcnet[dns]'",
    ("dns", "zone", EXAMPLE): "dnspython is not installed: pip install 'svcnet[dns]' brings it",
    ("dns", "push", EXAMPLE, "--server", "127.0.0.1:1"): "pip install 'svcnet[dns]'",
    ("verify", EXAMPLE, "--dns", "127.0.0.1:1"): "pip install 'svcnet[dns]'",
}


def test_a_verb_says_which_extra_it_lacks() -> None:
    """It is one line with exit code 2, no traceback, and nothing is printed before it."""
    found = outcomes([list(words) for words in NEEDS])
    for (words, told), (code, stdout, stderr) in zip(NEEDS.items(), found, strict=True):
        assert (code, stdout, stderr.count("\n")) == (2, "", 1), (words, stderr)
        assert told in stderr, words


IMPORTS = [
    "svcnet.discovery.dns.zonefile",
    "svcnet.executors.dns.push",
    "svcnet.servers.dns.server",
    "svcnet.servers.monitoring",
    "svcnet.sources.watch",
]


def test_the_library_says_it_too() -> None:
    """Whoever imports what needs an extra is told which, by an error that is an ImportError."""
    program = f"""{WITHOUT}
import importlib
for name in {IMPORTS!r}:
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, ",".join(EXTRAS)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[name, "MissingExtra"] for name in IMPORTS]
    assert all("pip install 'svcnet[" in line for line in lines)


def test_another_missing_module_is_a_fault() -> None:
    """A package that no extra brings is nothing that a user could mend so."""
    error = ModuleNotFoundError("No module named 'svcnet.nothing'", name="svcnet.nothing")
    assert MissingExtra.of(error) is error
    found = MissingExtra.of(ModuleNotFoundError("", name="dns.exception"))
    assert isinstance(found, UsageError)
    with pytest.raises(ImportError):
        raise found
