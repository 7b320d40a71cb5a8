"""What has no effect says so, and with --strict that is an error."""

from __future__ import annotations

import re
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from svcnet.cli import main
from tests.fuzz.documents import as_yaml
from tests.fuzz.outcomes import tries
from tests.fuzz.test_manifests import objects


def run(verb: str, text: bytes) -> Result:
    return CliRunner().invoke(main, verb.split(), input=text)


WARNING = re.compile(r"(^|: )warning: ")
VERBS = ("render -", "render - --from-pods", "endpoints -", "env - --namespace shop")


@tries(60)
@given(documents=objects, verb=st.sampled_from(VERBS))
def test_strict(documents: list[Any], verb: str) -> None:
    """With --strict warnings are errors of the same words; without any, nothing is different."""
    text = "\n---\n".join(map(as_yaml, documents)).encode("utf-8", "surrogatepass")
    plain, strict = run(verb, text), run(f"{verb} --strict", text)
    if plain.exit_code:
        assert strict.exit_code == plain.exit_code
        return
    warnings = [line for line in plain.stderr.splitlines() if WARNING.search(line)]
    if not warnings:
        assert (strict.exit_code, strict.stdout) == (0, plain.stdout)
        return
    assert (strict.exit_code, strict.stdout) == (2, "")
    errors = {line for line in strict.stderr.splitlines() if "error: " in line}
    assert errors
    assert errors <= {WARNING.sub(r"\1error: ", line, count=1) for line in warnings}
