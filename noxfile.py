"""What a change has to pass: `nox` runs it all, `nox -s tests` one session."""

import os
import shutil
import time
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "tests", "kernel", "docs"]

FUZZ_SECONDS = 600
"""After so long `fuzz` begins no further round."""

PROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))


def install(session: nox.Session, group: str, *, library: bool = True) -> None:
    """Install a dependency group of pyproject.toml and, unless told not to, svcnet itself."""
    session.install(*nox.project.dependency_groups(PROJECT, group))
    if library:
        session.install("-e", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting, and who may import whom."""
    install(session, "lint", library=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Strict typing of the library."""
    install(session, "typing")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that needs no root."""
    install(session, "tests")
    session.run("pytest", "-m", "not kernel", "--ignore=tests/bench", *session.posargs)


@nox.session
def kernel(session: nox.Session) -> None:
    """Tests with real rules and packets, in network namespaces; root only."""
    install(session, "tests")
    install_system_packages(session, "kernel-commands")
    session.run("pytest", "-m", "kernel", "--ignore=tests/bench", "-rs", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, where every warning is an error, and the examples in docstrings."""
    install(session, "docs")
    for builder in ("html", "doctest"):
        session.run("sphinx-build", "-qWnb", builder, "docs", f"docs/_build/{builder}")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Random input for all that reads from outside, in rounds; not part of the default run."""
    install(session, "tests")
    install_system_packages(session, "kernel-commands")
    size = {"SVCNET_FUZZ": os.environ.get("SVCNET_FUZZ", "2000")}
    end = time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < end:
        session.run("pytest", *(session.posargs or ["-x", "tests/fuzz"]), env=size)


@nox.session
def bench(session: nox.Session) -> None:
    """Time and memory, for docs/reference/benchmarks.md; not part of the default run."""
    install(session, "bench")
    install_system_packages(session, "kernel-commands", "bench-commands")
    session.run("pytest", "tests/bench", "--benchmark-only", *session.posargs)


def install_system_packages(session: nox.Session, *tables: str) -> None:
    """Install what tests or benchmarks run, where that is possible: on Debian, as root."""
    missing = [
        package
        for table in tables
        for package, commands in PROJECT["tool"]["svcnet"][table].items()
        if not all(shutil.which(command) for command in commands)
    ]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        session.warn(f"kernel tests will be skipped; Debian's packages: {' '.join(missing)}")
        return
    apt = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
    session.env["DEBIAN_FRONTEND"] = "noninteractive"
    session.run(*apt, "update", external=True)
    session.run(*apt, "install", "-y", "--no-install-recommends", *missing, external=True)
