"""YAML of any form: the two readers agree, nothing but an error for people comes out of them."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.sources import yaml_fast
from svcnet.sources.document import Document
from svcnet.sources.objects import is_passed_over
from svcnet.sources.parse import ParseError, parse
from svcnet.sources.positions import duplicates
from svcnet.sources.stream import Chunk, text_of, yaml_chunks
from svcnet.sources.yaml_exact import exact_document
from svcnet.sources.yaml_fast import fast_documents
from tests.fuzz import examples

ROOM = 1_000_000

# Written so by tools, and the same to every reader.
SURE = (
    *("a", "a b", "abc-d", "10.96.0.10", "10.0.0.0/8", "fd00::1", "2001:db8::1", "1:2:3", "100m"),
    *("0", "-5", "80", "123456789012345678", "true", "false", "null", "{}", "[]", "''", '""'),
    *("'a: b'", '"a\\nb"', '"# x"', "'y'", '"no"', "5d4f8g", "1.2.3", "http://x?y=1", "a,b", "a]"),
    *(
        "/a/b",
        "_a",
        "x=y",
        "(a)",
        "a'b",
        'a"b',
        "é",
        "'é b'",
        "Yes!",
        "nobody",
        "2024-01-01T00:00Z",
        "00000000-0000-4000-8000-000000000000",
        "12e45678-0a1b-4c2d-8e3f-9a0b1c2d3e4f",
    ),
    *("a&b", "a*b", "a|b", "a{b}", "a\\b", "!a"[1:], "10Gi", "0x1g", "a@b", "`a"[1:], "a;b", "a%b"),
)
# Not the same to every reader, or no YAML at all.
UNSURE = (
    *("y", "No", "ON", "~", "Null", "0x1f", "0o17", "010", "089", "1e3", "72225e2", "1.0", ".5"),
    *("1:20", "=", "<<", "nan", "Inf", ".inf", "1_000", "+5", "-0", "-05", "7d9f", "1e", "1.", "|"),
    *("a: b", "a:", "a #b", "#a", "&x a", "*x", "!a b", "!!str 1", "{a: b}", "[a]", "[y, n]", "'a"),
    *('"a', '"\\/"', '"\\x41"', "'it''s'", "@a", "`a", "}", ">", ">-", "? a", "- a", "-", "\x85"),
    *(
        "\u2028",
        "\ufeff",
        "\t",
        "a\tb",
        "fd00::",
        "...",
        "---",
        "--- a",
        "%a",
        "a\x7f",
        "\x01",
        ":a",
    ),
    *("123456789012345678901234567890", "0b11", "infinity", "1.30", "2024-01-01", "a::", "::a"),
)
KEYS = ("a", "b", "kind", "items", "metadata", "'q'", '"d"', "a.b/c", "a-b", "_x", "app", "nn")
MANAGED_KEYS = (".", "f:a", "f:b.c/d", 'k:{"port":80,"protocol":"TCP"}', 'v:"a"', "k:{'", "f::a,[")
ODD_KEYS = (
    "y",
    "no",
    "null",
    "NaN",
    "1",
    "0x1",
    "~",
    "a b",
    "f:",
    "f: a",
    "f:#",
    "<<",
    "*x",
    "? k",
    "é",
    "'",
)
LITERALS = ("text", "a: yes", "- x", "# no comment", "{", "'", "", " deeper", '{"a":"b\\n"}')


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0) -> list[str]:
    """Return lines of a mapping as tools write it, with now and then something else."""
    lines: list[str] = []
    odd = st.integers(0, 40).map(lambda number: number == 0)
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(ODD_KEYS if draw(odd) else (*KEYS, *MANAGED_KEYS)))
        value = draw(st.sampled_from(UNSURE if draw(odd) else SURE))
        form = draw(st.integers(0, 6)) if depth < 3 else 0
        if form < 3:
            end = draw(st.sampled_from(("", "", "", " ", "  # c", " #")))
            lines.append(f"{key}: {value}{end}")
        elif form == 3:
            indent = " " * draw(st.sampled_from((2, 2, 1, 4)))
            lines += [f"{key}:", *(indent + line for line in draw(blocks(depth + 1)))]
        elif form == 4:
            indent = " " * draw(st.sampled_from((0, 0, 2)))
            first, *more = draw(blocks(depth + 1))
            lines += [f"{key}:", f"{indent}- {first}", *(f"{indent}  {line}" for line in more)]
            lines += [f"{indent}- {value}"] * draw(st.integers(0, 1))
        elif form == 5:
            header = draw(st.sampled_from(("|", "|-", "|", "|-", "|+", ">", "|2")))
            indent = " " * draw(st.sampled_from((2, 2, 2, 1, 3, 0)))
            texts = draw(st.lists(st.sampled_from(LITERALS), max_size=3))
            lines += [f"{key}: {header}", *(indent + text if text else "" for text in texts)]
        else:
            lines.append(
                draw(
                    st.sampled_from(
                        ("# c", "", "  ", "  # c", "---", "---  # c", "--- # \x01", "...")
                    )
                )
            )
    return lines


STREAMS = st.lists(blocks(), min_size=1, max_size=3).map(
    lambda documents: "\n---\n".join("\n".join(lines) for lines in documents)
)


@st.composite
def lists(draw: st.DrawFn) -> str:
    """Return a list as kubectl prints it, with now and then something else around the items."""
    frame = st.sampled_from(
        (
            "kind: List",
            "apiVersion: v1",
            "metadata:\n  a: b",
            "# c",
            "items:",
            "items: a",
            "---",
            "",
        )
    )
    lines = ["apiVersion: v1", *draw(st.lists(frame, max_size=2)), "items:"]
    for first, *more in draw(st.lists(blocks(), max_size=4)):
        lines += [f"- {first}", *(f"  {line}" for line in more)]
        lines += draw(st.lists(st.sampled_from(("- a", "# c", "", "-", "-a", " - b")), max_size=1))
    return "\n".join((*lines, *draw(st.lists(frame, max_size=2)), ""))


def chunks_of(text: str) -> list[Chunk]:
    try:
        return yaml_chunks(text_of(text.encode("utf-8", "replace"))[0])
    except ParseError:
        return []


def exact(chunk: Chunk) -> Document | None:
    try:
        return exact_document(chunk, None, ROOM)
    except ParseError:
        return None


@settings(max_examples=examples(600), deadline=None)
@given(STREAMS)
@example("a: yes")
@example("y: a")
@example("a: 1:20\nb: 0o17")
@example("a: foo\n  bar")
@example("- a: |\n  b: yes")
@example("a: |\n  b\n c: d")
@example("a: nan\nb: infinity")
@example("a:\n- b: |-\n   c\n  d: 5")
@example("a: b\n---\n# c\n---\nd: e")
@example("--- # \x01\na: b")
@example("a: 1.0")
@example("a: 123456789012345678901234567890")
@example("a: 99999999999999999999")
@example('a: "\\x41\\/"')
@example("a: b\x85c")
@example("a: 'b\u2028c'")
@example("a: b\x85 c")
@example("a: 'b\u2028 c'")
@example("# \u2029a: b")
def test_both_readers_agree(text: str) -> None:
    """What is surely the same to every reader is the same, and nothing is left to fail in one."""
    chunks = chunks_of(text)
    read = fast_documents(chunks, None, ROOM)
    sure = [number for number, chunk in enumerate(chunks) if yaml_fast.is_sure(chunk.text)]
    if yaml_fast.count(yaml_fast.join_chunks([chunks[number].text for number in sure])) >= 0:
        assert None not in [read[number] for number in sure]
    for chunk, fast in zip(chunks, read, strict=True):
        if fast is not None:
            found = exact(chunk)
            assert found is not None
            assert repr(found.value) == repr(fast.value)
            assert fast.may_repeat >= found.may_repeat
            assert not found.ignored


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(lists(), STREAMS))
@example("a: b\nitems:\n- a: b\n- c\nkind: List\n")
@example("a: b\nitems:\n- a\nitems:\n- b\n")
@example("a: b\nitems:\n- a\nitems:\n")
@example("items: a\nitems:\n- a\n- b\n")
@example("a: b\nitems:\n- a: 1\n  a: 2\n")
@example("a: |\n  b\nitems:\n- |\n  c\n- d\n")
@example("a: |\n\nitems:\n- a\n")
@example("- a:\nitems:\n- b\n")
@example("a: b\nitems:\n- 'a\n- b'\n")
@example("a: b\nitems:\n- a:\n  - b\n c: d\n")
def test_parts_are_the_whole(text: str) -> None:
    """What is read a line at a time, as if it were large, is what all of it is at once."""
    with patch.object(yaml_fast, "BATCH_BYTES", 1):
        read = fast_documents(chunks_of(text), None, ROOM)
        assert None in fast_documents(chunks_of(f"{text}\n---\na: b"), None, 1)
    for chunk, fast in zip(chunks_of(text), read, strict=True):
        if fast is not None:
            found = exact(chunk)
            assert found is not None
            assert repr(found.value) == repr(fast.value)
            assert fast.may_repeat >= found.may_repeat


@settings(max_examples=examples(300), deadline=None)
@given(
    st.one_of(STREAMS, st.text("ab:-?#'\"\\,[]{}&*!|>%@` \t\n\r\x85\ufeff01.yn<~_", max_size=30))
)
@example("{a:}")
@example("[!a, b]")
@example("&a [*a]")
@example("a: &a {b: *a}")
@example("{<<: [{a: 1}, *b]}")
@example('{"a": "\\ud800"} {"b": [1e400]}')
def test_any_text_is_read_or_refused(text: str) -> None:
    """An error for people is all that comes out, with a line of the file; places are found."""
    data = text.encode()
    parsed, line = None, 0
    try:
        parse(data, is_passed_over)
        parsed = parse(data)
    except ParseError as error:
        line = error.line
    assert 0 <= line <= data.count(b"\n") + 2
    assert parsed is None or parsed.may_repeat or not duplicates(data)


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "{", '"', "a:\n\t- b", "%x", "- a\nb: c", "? [a]: b"]
)
def test_nothing_is_written(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A syntax error in a large document is told to nobody but the caller."""
    with pytest.raises(ParseError):
        parse(b"# padding\n" * 5000 + text.encode())
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_of_good_yaml(capfd: pytest.CaptureFixture[str]) -> None:
    """What rapidyaml would take for an error does not come to it."""
    (read,) = fast_documents(chunks_of('"a":\n- b\n.: c\n'), None, ROOM)
    assert read is None
    assert capfd.readouterr() == ("", "")
