"""The checks: their names and numbers, and the page that has a section and an example of each."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from svcnet import checks
from svcnet.check.registry import RULES
from svcnet.checks import Check
from svcnet.discovery.endpoints import remarks, with_slices
from svcnet.errors import Diagnostic, InputError
from svcnet.sources import load, load_host, open_config
from svcnet.sources.kubernetes.kubeconfig import load_kubeconfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/checks.md").read_text("utf-8")
SECTION = re.compile(r"^### (S\d{3} [a-z0-9-]+)\n\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^(?:`(\S+)`:\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\[(S\d{3} [a-z0-9-]+)\]")
EVERY = checks.every()


class Block(NamedTuple):
    file: str
    language: str
    body: str


def sections() -> dict[str, str]:
    return dict(SECTION.findall(PAGE))


def blocks(section: str) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(section)]


def test_numbers_and_names_are_unique_and_in_order() -> None:
    """A number and a name are of one check each, and the table is in the order of numbers."""
    assert len({check.number for check in EVERY}) == len(EVERY)
    assert len({check.name for check in EVERY}) == len(EVERY)
    table = [value for value in vars(checks).values() if isinstance(value, Check)]
    assert [check.number for check in table] == sorted(check.number for check in table)
    for constant, check in vars(checks).items():
        if isinstance(check, Check):
            assert constant == check.name.upper().replace("-", "_")
            assert re.fullmatch(r"S[1-9]\d\d", check.number)
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+){0,3}", check.name)
            assert check.reason[0].isalnum()
            assert check.reason.endswith(".")


def test_the_page_has_a_section_on_each() -> None:
    """Number, name, severity and reason are those of the table; what to do follows."""
    assert [str(check) for check in EVERY] == SECTION_TITLES
    for check in EVERY:
        reason, remedy, *_ = sections()[str(check)].split("\n\n")
        assert reason == f"**{check.severity.capitalize()}.** {check.reason}"
        assert remedy[0].isalnum(), f"{check}: what is one to do?"


SECTION_TITLES = [title for title, _ in SECTION.findall(PAGE)]


@pytest.mark.parametrize("check", EVERY, ids=lambda check: check.name)
def test_the_example_gives_the_check(check: Check, tmp_path: Path) -> None:
    """An example gives its check and no other, as often as it likes."""
    # What mends an example is no example; tests/check holds it to that.
    found = [block for block in blocks(sections()[str(check)]) if block.language != "diff"]
    shown = [block for block in found if block.language in ("console", "python")]
    if shown:  # tests/test_docs.py runs it, and compares what it prints
        assert {name for block in shown for name in NAMED.findall(block.body)} == {str(check)}
        return
    (block,) = found
    if not block.file:  # it takes a machine: the test of what tells it demands the text
        assert set(NAMED.findall(block.body)) == {str(check)}
        assert check in TOLD_BY_MACHINES
        return
    diagnostics = told(block, tmp_path, endpoints=check.number.startswith("S8"))
    if check in FOUND_BY_CHECK_ALONE:
        return
    assert {str(one.check) for one in diagnostics} == {str(check)}
    assert {one.severity for one in diagnostics} == {check.severity}
    assert all(one.line for one in diagnostics if check not in WITHOUT_LINE)


TOLD_BY_MACHINES = {
    checks.HEALTH_CHECK_PORT,
    checks.MACHINE,
    checks.BUSY,
    checks.NOT_INSTALLED,
    checks.NOT_PERMITTED,
    checks.REFUSED_RULE,
    checks.MISSING_MODULE,
    checks.FAMILY_LEFT_OUT,
    checks.MACHINE_STATE,
}
FOUND_BY_CHECK_ALONE = {
    *(rule.check for rule in RULES if rule.find),
    *(checks.UNUSED_IGNORE, checks.OLD_MODE),
} - {checks.NO_POD, checks.NO_TARGET_PORT}
WITHOUT_LINE = {checks.ONE_DOCUMENT, checks.ALIASES}


def told(block: Block, folder: Path, *, endpoints: bool) -> tuple[Diagnostic, ...]:
    file = folder / block.file
    file.write_text(block.body, "utf-8")
    try:
        match block.file:
            case "config.yaml":
                return open_config(file).warnings
            case "host.yaml":
                load_host(file)
            case "kubeconfig":
                found: list[Diagnostic] = []
                load_kubeconfig([file], tell=found.extend)
                return tuple(found)
            case "manifests.yaml" if endpoints:
                loaded = load([file], complete=with_slices)
                return (*loaded.warnings, *loaded.locate_remarks(remarks(loaded.state)))
            case "manifests.yaml":
                return load([file], workloads=True).warnings
    except InputError as error:
        return error.diagnostics
    return ()


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in svcnet's sources, with its place."""
    for path in sorted((ROOT / "svcnet").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_check_is_used_as_what_it_is() -> None:
    """Each check of the table is told somewhere; one told as a warning is a warning there too."""
    used = set()
    for path in sorted((ROOT / "svcnet").rglob("*.py")):
        if "catalogue" not in path.parts:
            used |= set(re.findall(r"\bchecks\.([A-Z_]+)\b", path.read_text("utf-8")))
    assert used == {check.name.upper().replace("-", "_") for check in EVERY}
    for place, call in calls():
        if not (isinstance(call.func, ast.Attribute) and call.args):
            continue
        first, method = call.args[0], call.func.attr
        if isinstance(first, ast.Attribute) and ast.unparse(first).startswith("checks."):
            severity = getattr(checks, first.attr).severity
            if method.startswith(("error", "warning", "file_error")):
                wanted = "warning" if method.startswith("warning") else "error"
                assert severity == wanted, f"{place}: {first.attr} is told as {wanted}"
