"""What has no effect says so: a field by nearly its name; with --strict that is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.errors import InputError
from svcnet.sources import load_bytes
from tests.fuzz.documents import FULL, Pairs, as_yaml, changed, pairs_of, places
from tests.fuzz.outcomes import tries
from tests.fuzz.test_manifests import objects

FREE = ("labels", "annotations", "selector")
"""Mappings whose keys are anybody's."""


def fields(value: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the place and the name of each field whose name the API gives."""
    for path in places(value):
        inner, free = value, False
        for index in path:
            free = free or (isinstance(inner, Pairs) and inner[index][0] in FREE)
            inner = inner[index][1] if isinstance(inner, Pairs) else inner[index]
        if isinstance(inner, Pairs) and not free:
            yield from (((*path, index), key) for index, (key, _) in enumerate(inner))


def renamed(value: Any, place: tuple[int, ...], name: str) -> Any:
    """Return a document in which the field at a place is called `name`."""
    *path, index = place

    def change(inner: Any) -> Any:
        return Pairs([*inner[:index], (name, inner[index][1]), *inner[index + 1 :]])

    return changed(value, tuple(path), change)


@pytest.mark.parametrize("kind", FULL)
def test_a_field_by_nearly_its_name(kind: str) -> None:
    """Cut, in lower case or longer: it is missed, or told of by its name and at its line."""
    whole = pairs_of(FULL[kind])
    for place, name in fields(whole):
        if name in ("kind", "apiVersion"):
            continue
        for wrong in {name[:-1], name.lower(), name + name[-1]} - {name, "ip", "a"}:
            text = as_yaml(renamed(whole, place, wrong))
            line = next(n for n, line in enumerate(text.splitlines(), 1) if f'"{wrong}":' in line)
            try:
                warnings = load_bytes(text.encode(), "x.yaml").warnings
            except InputError:
                continue
            told_of = [one.line for one in warnings if one.field.endswith(wrong)]
            assert line in told_of, (wrong, line, warnings)


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
