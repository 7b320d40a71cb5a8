"""YAML and JSON mean what they mean to kubectl, whatever the size of the text.

``kubectl/`` has what kubectl 1.36 makes of each text, as
``kubectl create --dry-run=client -o json`` tells it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from svcnet.errors import InputError
from svcnet.sources import document, load_bytes
from svcnet.sources.objects import is_passed_over
from svcnet.sources.parse import ParseError, parse
from svcnet.sources.positions import duplicates, lines_of
from tests.sources.test_validation import SERVICE, SLICE

ANSWERS = Path(__file__).parent / "kubectl"
SCALARS = [
    tuple(line.split("\t"))
    for line in (ANSWERS / "scalars.tsv").read_text("utf-8").splitlines()
    if not line.startswith("# ")
]
DOCUMENTS = list(map(json.loads, (ANSWERS / "documents.jsonl").read_text("utf-8").splitlines()))
PARSE = importlib.import_module("svcnet.sources.parse")


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have text be read as small text is, and as large text is."""
    monkeypatch.setattr(PARSE, "FAST_BYTES", 0 if request.param == "large" else math.inf)


def same(found: Any, answer: Any) -> bool:
    """Return whether a value is the answer; Go has more than 64 bits as a float."""
    if type(found) is bool or type(answer) is bool:
        return found is answer
    if isinstance(found, int | float) and isinstance(answer, int | float):
        return found == answer or (abs(found) >= 1 << 63 and float(found) == float(answer))
    if isinstance(found, dict) and isinstance(answer, dict):
        return found.keys() == answer.keys() and all(same(found[k], answer[k]) for k in found)
    if isinstance(found, list) and isinstance(answer, list):
        return len(found) == len(answer) and all(map(same, found, answer))
    return type(found) is type(answer) and bool(found == answer)


def read(data: bytes) -> list[Any] | None:
    """Return the documents with content, None where text is refused or is no object."""
    try:
        documents = [document for document in parse(data).documents if document is not None]
    except ParseError:
        return None
    return documents if all(type(document) is dict and document for document in documents) else None


@pytest.mark.usefixtures("size")
def test_scalars() -> None:
    """Each scalar is what it is to kubectl, as a value and as a key."""
    assert len(SCALARS) >= 150
    for text, value, key in SCALARS:
        for line, answer, name in ((f"a: {text}", value, "a"), (f"{text}: x", key, "key")):
            found = read(f"kind: K\n{line}\n".encode())
            if answer == "refused":
                assert found is None or text == "<<", line
            elif name == "a":
                assert found is not None, line
                assert same(found[0]["a"], json.loads(answer)), line
            else:
                assert found == [{"kind": "K", json.loads(answer): "x"}], line


@pytest.mark.usefixtures("size")
def test_documents() -> None:
    """Each form of a document is taken or refused as by kubectl, and is the same then."""
    assert len(DOCUMENTS) >= 60
    for row in DOCUMENTS:
        data = row["text"].encode() if "text" in row else bytes.fromhex(row["bytes"])
        found, answer = read(data), row.get("documents")
        assert same(found, answer), (data, found, answer)


def test_a_syntax_error_has_its_line() -> None:
    """Whatever is wrong with a document of a stream, the line is that of the file."""
    for broken, line in (
        (b"a: b: c", 4),
        (b"a: \x01", 4),
        (b"b: 1\na: \x01", 5),
        (b"b: 1\na: '", 6),
        (b"a: [b?c]", 4),
        (b"a: *x", 4),
        (b"a: !!int x", 4),
        (b"b: 2\n{{ .Values.name }}: c", 5),
        (b"a: .nan", 4),
        (b"a: \xc2\x85\n~: 1", 5),
    ):
        data = b"x: 1\n# \xe2\x80\xa8\n---\n" + broken + b"\n"
        with pytest.raises(ParseError) as caught:
            parse(data)
        assert caught.value.line == line, (broken, caught.value.message)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize(
    "text", ["x: 1\n---\n\ufeff\ufeff{}: b\ncd: d\n", "\ufeff\ufeff\ufeff{}: b\ncd: d\n"]
)
def test_two_byte_order_marks_are_refused(text: str) -> None:
    """kubectl leaves out the first letter of each line then, so that ``cd`` is ``d``."""
    with pytest.raises(ParseError, match="two byte order marks"):
        parse(text.format("a").encode())


def test_a_template_is_refused_in_plain_words() -> None:
    """Helm's braces are a mapping as a key to YAML."""
    with pytest.raises(ParseError, match="a mapping or a list cannot be the key of a mapping"):
        parse(b"metadata:\n  name: {{ .Release.Name }}\n")


ODD = b"""\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: =, x: !Ref x, y: <<, <<: {a: 1}}
spec: &s [{pattern: "^a$", 0x10: y}, *t]
status: *s
""".replace(b"*t", b"&t [x]")


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("is_list", [False, True])
def test_kinds_passed_over_are_not_built(is_list: bool) -> None:
    """Of an object whose kind means nothing here the kind is all that is kept."""
    data = ODD
    if is_list:
        member = ODD.replace(b"\n", b"\n  ").rstrip()
        data = b"apiVersion: v1\nitems:\n- " + member + b"\nkind: List\n"
    (document,) = parse(data, is_passed_over).documents
    found = document["items"][0] if is_list else document
    assert found.keys() == {"apiVersion", "kind"}
    loaded = load_bytes(f"{SERVICE}---\n".encode() + data)
    assert loaded.skipped == {"CustomResourceDefinition": 1}
    assert len(loaded.objects) == 1


OTHER = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db}\n"


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("texts", [(SERVICE, OTHER), (OTHER, SERVICE), (OTHER, OTHER)])
def test_files_joined_without_a_separator(texts: tuple[str, str]) -> None:
    """Two objects that became one are an error, also where that is of a kind passed over."""
    joined = '{"kind": "K",\n"kind": "L", "items": [1]}'
    for data, line in (("".join(texts), texts[0].count("\n") + 2), (joined, 2)):
        with pytest.raises(InputError) as caught:
            load_bytes(data.encode())
        (found,) = caught.value.diagnostics
        assert (found.check.name, found.field, found.line) == ("joined-documents", "kind", line)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("broken", ["a: b: c", "~: x", "a: *x", "a: .nan", "a: !!int x", "a: {"])
def test_what_is_passed_over_is_still_yaml(broken: str) -> None:
    """kubectl refuses it too, whatever the kind."""
    with pytest.raises(ParseError):
        parse(
            f"kind: Deployment\napiVersion: apps/v1\nspec:\n  {broken}\n".encode(), is_passed_over
        )


REPEATED: tuple[tuple[bytes, list[Any]], ...] = (
    (b"a: 1\na: 2\n", [(0, ("a",), 2)]),
    (b"a: 1\n---\nb:\n- {c: 1,\n   c: 2}\n", [(1, ("b", 0, "c"), 5)]),
    (b"1: a\n'1': b\n", [(0, ("1",), 2)]),
    (b"x: &x {a: 1}\n<<: *x\na: 2\n", []),
    (b'{"a": 1,\n"a": {"b": [0, {"c": 1, "c": 2}]}}', [(0, ("a",), 2), (0, ("a", "b", 1, "c"), 2)]),
    (b'{"a": "\\"a\\": b", "b": {"a": 1}}', []),
    (b'{"\\u0061": 1, "a": 2}\n{"a":1}', [(0, ("a",), 1)]),
    (b'{"a": 1}\n---\nb: 1\nb: 2\n', [(1, ("b",), 4)]),
)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize(("data", "places"), REPEATED)
def test_keys_written_twice(data: bytes, places: list[Any]) -> None:
    """Each has its place; where there is one, it is known that it pays to look."""
    assert duplicates(data) == places
    assert parse(data).may_repeat or not places


@pytest.mark.usefixtures("size")
def test_a_key_written_twice_is_a_warning() -> None:
    """The warning names the object, the field and the line; good input has none."""
    text = SERVICE.replace("  name: web\n", "  name: other\n  name: web\n")
    (found,) = (w for w in load_bytes(text.encode()).warnings if w.check.name == "repeated-key")
    assert (found.object, found.field) == ("Service shop/web", "metadata.name")
    assert text.splitlines()[found.line - 1] == "  name: web"
    assert not parse(f"{SERVICE}---\n{SLICE}".encode()).may_repeat


def test_what_is_not_read_is_told() -> None:
    """kubectl passes over what follows the end of a document, and over what is no UTF-8."""
    for data, line, name in (
        (f"{SERVICE}...\n# c\nkind: X\n".encode(), 13, "unread-text"),
        (SERVICE.encode() + b"# \xff\n", 11, "encoding"),
    ):
        found = load_bytes(data).warnings
        assert (line, name) in [(w.line, w.check.name) for w in found]
    assert not parse(f"{SERVICE}...\n# c\n---\n{SLICE}".encode()).remarks


PLACES = b"""\
# c
---
a: 1
b:
- c: {d: 1,
    e: 2}
  f: &f
    g: 1
---
kind: x
h: |
  text
i: *f
"""


def test_places_in_yaml() -> None:
    """A field has its own line, an absent one that of its nearest parent."""
    wanted: list[Any] = [
        *((1, ("a",)), (1, ("b", 0)), (1, ("b", 0, "c", "e")), (1, ("b", 0, "f", "g"))),
        *(
            (1, ("b", 0, "c", "x", 3)),
            (1, ("b", 7)),
            (2, ("h",)),
            (2, ("i", "g")),
            (2, ()),
            (0, ()),
        ),
    ]
    assert lines_of(PLACES, wanted) == [3, 5, 6, 8, 5, 4, 11, 13, 10, 1]


def test_values_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is how many values there are, and the error says where there are too many."""
    for module in (PARSE, document):
        monkeypatch.setattr(module, "MAX_VALUES", 1000)
    for data in (
        b"a:\n- [" + b"x," * 5000 + b"]\n",
        b'{"a":\n' + b"[" + b"1," * 5000 + b"1]}",
        b"a:\n" + b"- b: c\n" * 5000,
    ):
        with pytest.raises(ParseError, match="holds more than 1,000 values") as caught:
            parse(data)
        assert caught.value.line >= 2
    kinds = b"kind: Deployment\na:\n- [" + b"x," * 5000 + b"]\n"
    assert parse(kinds, is_passed_over).documents == [{"kind": "Deployment"}]
    assert parse(b"a: " + b"x" * 100_000).documents[0]["a"]


def test_memory_is_that_of_the_values() -> None:
    """A hundred thousand values in 200 kB take a few bytes each, not four hundred."""
    data = b"[" + b"a," * 100_000 + b"a]"
    tracemalloc.start()
    try:
        parse(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_aliases_are_counted_as_go_yaml_counts_them() -> None:
    """99 of 100 values may come from aliases, in a large document less."""
    text = b"a: &a [" + b"x," * 1000 + b"]\n"
    assert len(parse(text + b"b: [" + b"*a," * 90 + b"]\n").documents[0]["b"]) == 90
    with pytest.raises(ParseError, match="multiply"):
        parse(text + b"b: [" + b"*a," * 5000 + b"]\n")


GOOD = f"{SERVICE}---\n{SLICE}".encode() + b"".join(
    b"---\na%d: {b: [c]}\n" % n for n in range(3000)
)
BAD = (GOOD + b"a: [b\n", GOOD + b"a:\n\t- b\n", b"#\n" * 20_000 + b"a: b: c\n", b"{" * 20_000)


def test_threads_read_at_once_and_leave_standard_error_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """While good and bad documents are read nothing else is written, and nothing is lost."""
    before, results, errors = os.fstat(2), [], []
    stop = threading.Event()

    def reader(data: bytes) -> None:
        for _ in range(3):
            try:
                results.append(len(parse(data, is_passed_over).documents))
            except ParseError as error:
                errors.append(error.message)

    written = 0
    threads = [threading.Thread(target=reader, args=(data,)) for data in (GOOD, *BAD) for _ in "ab"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert os.fstat(2)[:3] == before[:3]
        os.write(2, b"line\n")
        written += 1
        stop.wait(0.001)
    assert os.fstat(2)[:3] == before[:3]
    assert capfd.readouterr().err == "line\n" * written
    assert (results, len(errors)) == ([3002] * 6, 24)
