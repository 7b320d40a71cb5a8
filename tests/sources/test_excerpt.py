"""The lines around a place are those that the place counts, whatever ends a line."""

from __future__ import annotations

import codecs
import json

import pytest

import svcnet
from svcnet.sources import Place

YAML = """\
# first
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  ports: [{port: 80}]
"""
FIELD = ("Service", "default", "web", "spec.clusterIP")


@pytest.mark.parametrize(
    "data",
    [
        YAML.encode(),
        YAML.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF8 + YAML.encode(),
        codecs.BOM_UTF16_LE + YAML.encode("utf-16-le"),
        YAML.replace("first", "caf\udce9").encode("utf-8", "surrogateescape"),
        ("---\nkind: Other\n---\n" + YAML).encode(),
        *(YAML.replace("first", f"a{each}# b").encode() for each in ("\x85", "\u2028", "\r")),
    ],
    ids=[
        "plain",
        "CRLF",
        "UTF-8 with a mark",
        "UTF-16",
        "no UTF-8",
        "second document",
        "NEL",
        "LS",
        "CR",
    ],
)
def test_a_line_is_the_one_with_the_field(data: bytes) -> None:
    loaded = svcnet.load(data)
    place = loaded.locate(FIELD)
    lines = loaded.excerpt(place)
    assert [number for number, _ in lines] == [place.line - 1, place.line, place.line + 1]
    assert [text for _, text in lines] == [
        "spec:",
        "  clusterIP: 10.96.0.10",
        "  ports: [{port: 80}]",
    ]


def test_json_on_one_line_is_cut_around_the_field() -> None:
    items = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"web-{number}", "annotations": {"a": "\u2028\x85" * 99}},
            "spec": {"clusterIP": f"10.96.0.{number}", "ports": [{"port": 80}]},
        }
        for number in range(1, 9)
    ]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    loaded = svcnet.load(json.dumps(document, ensure_ascii=False).encode())
    for number in range(1, 9):
        place = loaded.locate(("Service", "default", f"web-{number}", "spec.clusterIP"))
        [(line, text)] = loaded.excerpt(place)
        assert line == 1
        assert f'"10.96.0.{number}"' in text
        assert len(text) < 200


@pytest.mark.parametrize("line", [0, 8, 99, -1])
def test_what_is_no_line_of_the_file_has_none(line: int) -> None:
    loaded = svcnet.load(YAML.encode())
    file = loaded.locate(FIELD).file
    assert loaded.excerpt(Place(file, line, 1), 0) == ([(8, "")] if line == 8 else [])
    assert loaded.excerpt(Place("other.yaml", 1, 1)) == []
