"""What a change has to pass: `nox` runs it all, `nox -s tests` one session.

What sessions install is locked in pylock.toml, except where they are there to run without it.
"""

import json
import os
import platform
import shutil
import time
import tomllib
from ctypes.util import find_library
from functools import partial
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
# The longest of those that run beside others begins.
nox.options.sessions = ["docs", "lint", "typing", "browser", "dist", "tests", "kernel"]
nox.options.error_on_missing_interpreters = False
nox.options.parallel = "auto"

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

LOCK = "pylock.toml"
DEFAULT = "default"
"""The group of the lock that is installed unasked: what svcnet, its extras and its build need."""

COSTS = ("--durations=10",)
"""Each run says which ten tests took longest."""

TOGETHER = ("-n", "auto", "--maxprocesses=4", "--dist=worksteal")
"""As many processes share the tests as there are cores, each with neighbours of one file.

No more, since some tests take what they can get of descriptors or memory.
"""

BESIDE_GUESTS = ("-n", "3", "--dist=loadgroup")
"""One process waits for the guests, two have the tests of the machine's own kernel."""

FUZZ_SECONDS = 600
"""After so long `fuzz` begins no further round."""

PROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))


beside_others = partial(nox.session, allow_parallel=True)
"""Of a session that others may run beside: it waits for a network or for one process alone.

Those that share their tests between all cores, or measure, have the machine to themselves.
"""


def install(session: nox.Session, group: str, *, library: bool = True) -> None:
    """Install a dependency group as locked and, unless told not to, svcnet itself."""
    groups = [f"--group={LOCK}:{group}"]
    if library:
        session.install("-qq", *groups, "-r", LOCK)
        session.install("--no-build-isolation", "--no-deps", "-e", ".")
    else:
        session.install("-qq", *groups)


@beside_others()
def lint(session: nox.Session) -> None:
    """Style, formatting, and who may import whom."""
    install(session, "lint", library=False)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    session.run("pre-commit", "validate-config")


@beside_others()
def typing(session: nox.Session) -> None:
    """Strict typing of the library and its tests."""
    install(session, "typing")
    session.run("mypy")


def keep_what_is_compiled(session: nox.Session) -> None:
    """Have Python keep the modules that it compiles, whatever the machine's environment says.

    Tests start svcnet some thousands of times, and compiling it takes as long as all that it does.
    """
    session.env["PYTHONDONTWRITEBYTECODE"] = ""


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that needs neither root nor a browser."""
    install(session, "tests")
    install_system_packages(session, "shell-commands")
    run_tests(session)


def run_tests(session: nox.Session, *by: str) -> None:
    """Run them by a program that is told to run a program, or by themselves."""
    keep_what_is_compiled(session)
    choice = ("-m", "not kernel and not browser", *TOGETHER, *COSTS, "--ignore=tests/bench")
    session.run(*by, "pytest", *choice, *session.posargs)


@nox.session
def kernel(session: nox.Session) -> None:
    """Tests with real rules and packets, in network namespaces; root only."""
    install(session, "tests")
    install_system_packages(session, "kernel-commands")
    keep_what_is_compiled(session)
    choice = ("-m", "kernel", *BESIDE_GUESTS, *COSTS, "--ignore=tests/bench", "-rs")
    session.run("pytest", *choice, *session.posargs)


@beside_others()
def browser(session: nox.Session) -> None:
    """The page that `svcnet report` writes, in Chromium."""
    install(session, "browser")
    install_system_packages(session, "browser-commands")
    keep_what_is_compiled(session)
    session.run("pytest", "-m", "browser", *COSTS, "-rs", "tests/browser", *session.posargs)


@beside_others()
def docs(session: nox.Session) -> None:
    """The documentation, where every warning is an error, and the examples in docstrings."""
    install(session, "docs")
    # The second of them reads no page again: what the first has read lies beside both.
    sphinx = ("sphinx-build", "-j2", "-qWn", "-d", "docs/_build/doctrees")
    for builder in ("html", "doctest"):
        session.run(*sphinx, "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session(python=PYTHONS)
def versions(session: nox.Session) -> None:
    """`tests` on each Python that the machine has; not part of the default run."""
    tests(session)


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines and branches of svcnet `tests` reaches, and no fewer than the floor.

    Not part of the default run: the tracer makes the tests take half as long again.
    """
    install(session, "coverage")
    for old in Path().glob(".coverage*"):
        old.unlink()
    run_tests(session, "coverage", "run", "-m")
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def changelog(session: nox.Session) -> None:
    """What the next version's section of the changelog is going to be, or towncrier as told."""
    install(session, "lint")
    session.run("towncrier", *(session.posargs or ("build", "--draft")))


@beside_others()
def dist(session: nox.Session) -> None:
    """Build the wheel, the sdist, svcnet.pyz and the list of what is in it, and use each.

    svcnet.pyz is for this Python and machine; after `-- all` for all that a release is for.
    """
    install(session, "release", library=False)
    session.install("-qq", "-r", LOCK)  # the sdist has a manual page, which verbs make
    shutil.rmtree("dist", ignore_errors=True)
    if session.run("hatchling", "build", silent=True) is None:
        return  # `nox --install-only` runs nothing
    (wheel,) = Path("dist").glob("*.whl")
    (sdist,) = Path("dist").glob("*.tar.gz")
    tmp = Path(session.create_tmp())
    bare = tmp / "bare"
    for built in (wheel_of(session, sdist, tmp), wheel):
        session.run("python", "-m", "venv", "--clear", "--without-pip", str(bare))
        install_bare(session, bare, str(built))
        use_core(session, str(bare / "bin/svcnet"))
    install_bare(session, bare, f"{wheel}[{ALL_EXTRAS}]")
    session.run(str(bare / "bin/svcnet"), "dns", "zone", EXAMPLE, external=True, silent=True)
    zipapp(session, wheel, tmp, everywhere="all" in session.posargs)
    bill_of_materials(session, bare)


EXAMPLE = "examples/my-service"
ALL_EXTRAS = ",".join(PROJECT["project"]["optional-dependencies"])
MACHINES = ("x86_64", "aarch64")


def wheel_of(session: nox.Session, sdist: Path, tmp: Path) -> Path:
    """Build the wheel as whoever installs the sdist does."""
    folder = tmp / "from-sdist"
    shutil.rmtree(folder, ignore_errors=True)
    pip = ("python", "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    session.run(*pip, "-w", str(folder), str(sdist))
    (built,) = folder.glob("*.whl")
    return built


def constraints(session: nox.Session) -> str:
    """Return a file that has pip take the releases of the lock."""
    packages = tomllib.loads(Path(LOCK).read_text("utf-8"))["packages"]
    file = Path(session.create_tmp()) / "constraints.txt"
    lines = [f"{each['name']}=={each['version']}\n" for each in packages if each.get("version")]
    file.write_text("".join(lines), "utf-8")
    return str(file)


def install_bare(session: nox.Session, bare: Path, what: str) -> None:
    """Install a wheel with what it asks for, and nothing else, into an environment."""
    pip = ("python", "-m", "pip", "--python", str(bare / "bin/python"), "install", "-qq")
    session.run(*pip, "-c", constraints(session), what)


def use_core(session: nox.Session, *svcnet: str) -> None:
    """Do what the core is for, and see what it says of the rest."""

    def run(*words: str, code: int = 0) -> None:
        session.run(*svcnet, *words, external=True, silent=True, success_codes=[code])

    run("--version")
    run("render", EXAMPLE, "--check", f"{EXAMPLE}/golden.iptables.txt")
    run("explain", EXAMPLE, "--to", "my-service.default.svc:http", "-o", "html")
    run("verify", EXAMPLE, "--rules", f"{EXAMPLE}/iptables-save.txt")
    run("check", EXAMPLE)
    run("dns", "zone", EXAMPLE, code=2)


def zipapp(session: nox.Session, wheel: Path, tmp: Path, *, everywhere: bool) -> None:
    """Make svcnet.pyz, and run it where there is no other package.

    It is for each Python and machine that a release is for, or for those that run here.
    """
    here = (".".join(platform.python_version_tuple()[:2]), platform.machine())
    released = [each for each in PYTHONS if f"Python :: {each}" in str(PROJECT["project"])]
    targets = [(each, on) for on in MACHINES for each in released] if everywhere else [here]
    whole = tmp / "site"
    shutil.rmtree(whole, ignore_errors=True)
    for number, (python, machine) in enumerate(targets):
        part = tmp / f"site-{number}"
        shutil.rmtree(part, ignore_errors=True)
        libc = [f"--platform=manylinux_2_{n}_{machine}" for n in (17, 26, 27, 28)]
        pip = (
            "python",
            "-m",
            "pip",
            "install",
            "-qq",
            "--no-compile",
            "--only-binary=:all:",
            *libc,
        )
        session.run(
            *(*pip, f"--python-version={python}", f"--target={part}", "-c", constraints(session)),
            f"{wheel}[{ALL_EXTRAS}]",
        )
        merge(session, part, whole, f"cpython-{python.replace('.', '')}-{machine}-linux-gnu")
    session.run(
        *("shiv", "--site-packages", str(whole), "--entry-point=svcnet.__main__:main"),
        *("--python=/usr/bin/env python3", "--preamble=.ci/preamble.py", "--compressed"),
        *("--reproducible", "--output-file=dist/svcnet.pyz"),
    )
    session.env["SHIV_ROOT"] = str(tmp / "shiv")
    shutil.rmtree(tmp / "shiv", ignore_errors=True)
    alone = ("python", "-I", "-S", "dist/svcnet.pyz")
    check = ("--check", f"{EXAMPLE}/golden.iptables.txt")
    session.run(*alone, "render", EXAMPLE, *check)
    session.run(*alone, "dns", "zone", EXAMPLE, silent=True)


def merge(session: nox.Session, part: Path, whole: Path, tag: str) -> None:
    """Put packages for one Python and machine beside those for others.

    Modules in C have both in their names, or are given them. What else differs has no place.
    """
    for unused in (part / "bin", part / "ryml/lib64"):  # commands, and what is for C programs
        shutil.rmtree(unused, ignore_errors=True)
    for file in part.rglob("*"):
        target = whole / file.relative_to(part)
        if file.suffix == ".so" and "cpython-" not in file.name:
            target = target.with_name(f"{file.name.partition('.')[0]}.{tag}.so")
        if file.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            shutil.copy2(file, target)
        elif target.read_bytes() != file.read_bytes() and ".dist-info/" not in str(file):
            session.error(f"{file.relative_to(part)} is not the same everywhere")


def bill_of_materials(session: nox.Session, bare: Path) -> None:
    """Write what svcnet brings along, with licences, as CycloneDX; see that all is as locked."""
    file = Path("dist/svcnet.cdx.json")
    session.run(
        *("cyclonedx-py", "environment", str(bare / "bin/python")),
        *("--output-reproducible", "--validate", f"--output-file={file}"),
    )
    packages = tomllib.loads(Path(LOCK).read_text("utf-8"))["packages"]
    locked = {(each["name"], each.get("version")) for each in packages}
    listed = json.loads(file.read_text("utf-8"))["components"]
    found = {(each["name"].lower().replace("_", "-"), each["version"]) for each in listed}
    own = {each for each in found if each[0] == "svcnet"}
    if odd := found - locked - own:
        session.error(f"not as locked: {sorted(odd)}")


@nox.session
def pages(session: nox.Session) -> None:
    """Run every code block of the pages by what `dist` built, where the source is out of reach."""
    install(session, "tests", library=False)
    session.install("-qq", "-r", LOCK)
    tracked = session.run("git", "ls-files", "-z", external=True, silent=True)
    for built in sorted(Path("dist").resolve().glob("svcnet-*")):
        session.install("-qq", "--no-build-isolation", "--no-deps", "--force-reinstall", str(built))
        folder = Path(session.create_tmp()) / built.name
        shutil.rmtree(folder, ignore_errors=True)
        for name in tracked.rstrip("\0").split("\0"):
            if not name.startswith("svcnet/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(name, folder / name)
        with session.chdir(folder):
            session.run("svcnet", "--version")
            pages = ["tests/test_docs.py"]
            if built.suffix != ".whl":
                pages += ["-k", "getting-started or golden"]
            session.run("pytest", "-m", "not kernel", *pages)


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


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests that need no root, with the oldest releases that pyproject.toml allows."""
    requirements = [
        *PROJECT["project"]["dependencies"],
        *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
        *nox.project.dependency_groups(PROJECT, "tests"),
    ]
    session.install("-e", ".", *(one.replace(">=", "==") for one in requirements))
    run_tests(session)


@nox.session
def newest(session: nox.Session) -> None:
    """The tests that need no root, with the newest releases there are."""
    requirements = nox.project.dependency_groups(PROJECT, "tests")
    project = f".[{','.join(PROJECT['project']['optional-dependencies'])}]"
    session.install("--upgrade", "--upgrade-strategy=eager", "-e", project, *requirements)
    run_tests(session)


@nox.session
def lock(session: nox.Session) -> None:
    """Renew pylock.toml: of all that pyproject.toml asks for the newest release."""
    install(session, "lock", library=False)
    groups = {name: [f"--only-group={name}"] for name in PROJECT["dependency-groups"]}
    groups[DEFAULT] = ["--group=build", "--all-extras", "--no-emit-project"]
    export = ("uv", "export", "--frozen", "--no-header", "--format=pylock.toml")
    solution = Path("uv.lock")
    solution.unlink(missing_ok=True)
    session.run("uv", "lock", "--quiet")
    whole = session.run(*export, "--all-groups", "--all-extras", "--no-emit-project", silent=True)
    parts = {name: session.run(*export, *choice, silent=True) for name, choice in groups.items()}
    solution.unlink()
    Path(LOCK).write_text(with_groups(whole, parts), "utf-8")


def with_groups(whole: str, parts: dict[str, str]) -> str:
    """Return a lock whose packages say which groups they are in; `parts` has the lock of each.

    The format has a place for groups, which uv leaves empty: what it exports is one choice.
    """
    markers: dict[tuple[str, str], list[str]] = {}
    for group, text in sorted(parts.items()):
        for package in tomllib.loads(text)["packages"]:
            member = f"'{group}' in dependency_groups and ({package['marker']})"
            markers.setdefault((package["name"], package["version"]), []).append(member)
    head, *blocks = whole.split("[[packages]]\n")
    head += f"dependency-groups = {json.dumps(sorted(parts.keys() - {DEFAULT}))}\n"
    head += f"default-groups = {json.dumps([DEFAULT])}\n\n"
    for block in blocks:
        package = tomllib.loads(block)
        marker = " or ".join(markers[package["name"], package["version"]])
        head += "[[packages]]\n" + block.replace(package["marker"], marker, 1)
    return head


def is_there(name: str) -> bool:
    """Return whether this machine has a command, or a library such as ``libatomic.so.1``."""
    library, is_library, _ = name.removeprefix("lib").partition(".so")
    return bool(find_library(library) if is_library else shutil.which(name))


def install_system_packages(session: nox.Session, *tables: str) -> None:
    """Install what tests or benchmarks run, where that is possible: on Debian, as root."""
    missing = [
        package
        for table in tables
        for package, commands in PROJECT["tool"]["svcnet"][table].items()
        if not all(map(is_there, commands))
    ]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        session.warn(f"tests will be skipped; Debian's packages: {' '.join(missing)}")
        return
    apt = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
    session.env["DEBIAN_FRONTEND"] = "noninteractive"
    session.run(*apt, "update", external=True)
    session.run(*apt, "install", "-y", "--no-install-recommends", *missing, external=True)
