"""What the command prints of hostile input is safe for a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnet.cli import main
from tests.security.hostile import OBJECTS

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e"


def svcnet(*args: object) -> tuple[int, str]:
    """Return the exit code and all that was printed."""
    done = CliRunner().invoke(main, list(map(str, args)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def is_safe(text: str) -> bool:
    """Return whether nothing moves a cursor, and there is no more than a hundred findings are."""
    return text.replace("\n", "").isprintable() and len(text) < 40_000


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file with a name like an attack, of a cluster that is fine."""
    file = tmp_path / f"a{ESCAPES}\n.yaml"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return file


def test_the_name_of_a_file(written: Path) -> None:
    """A finding in a file with control characters in its name is one line."""
    written.write_text('{"kind": 1}')
    code, text = svcnet("render", written.parent)
    assert code == 2
    assert is_safe(text)
    assert text.count("\n") == 1


@pytest.mark.parametrize("kind", ["Service", f"X{ESCAPES}", "A" * 100_000])
def test_kinds_that_are_passed_over(written: Path, kind: str) -> None:
    """Kinds that nobody knows are counted by a short name, and only so many of them."""
    others = [{"apiVersion": "x/v1", "kind": f"{kind}{number}"} for number in range(300)]
    items = [*OBJECTS, *others]
    written.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    code, text = svcnet("render", written)
    assert code == 0
    (told,) = (line for line in text.splitlines() if line.startswith("passed over: "))
    assert told.count(",") <= 100
    assert is_safe(text)


def test_the_table_of_endpoints(written: Path) -> None:
    """Zones and targets, which may be any text, are escaped in the table."""
    endpoint = {
        "addresses": ["10.244.1.9"],
        "zone": f"z{ESCAPES}",
        "targetRef": {"kind": f"Pod{ESCAPES}", "name": f"p{ESCAPES}" + "x" * 100_000},
    }
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "old-1",
            "namespace": "shop",
            "labels": {
                "kubernetes.io/service-name": "old",
                "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller"
                ".k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [endpoint],
    }
    subset = {"addresses": [{"ip": "10.244.1.9", "targetRef": endpoint["targetRef"]}]}
    old = {"spec": {"clusterIP": "10.96.0.11", "ports": [{"port": 80}]}}
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": OBJECTS[1]["metadata"], **old},
        {**OBJECTS[3], "subsets": [{**subset, "ports": [{"port": 80}]}]},
        slices,
    ]
    written.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    for kind in ("slices", "endpoints"):
        code, text = svcnet("endpoints", written, "--output", "table", "--kind", kind)
        assert code == 0
        assert is_safe(text)


@pytest.mark.parametrize("number", ["0x" + "f" * 20_000, "9" * 5_000, "-" + "9" * 100])
def test_numbers_of_many_digits(tmp_path: Path, number: str) -> None:
    """A number that Python refuses to print is refused as any other."""
    file = tmp_path / "web.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
        f"spec: {{clusterIP: 10.96.0.10, ports: [{{port: {number}}}]}}\n"
    )
    code, text = svcnet("render", file)
    assert code == 2
    assert is_safe(text)


def test_half_a_character(tmp_path: Path) -> None:
    """Half of a surrogate pair, which an escape can make, is U+FFFD, as Go reads it: no label."""
    file = tmp_path / "web.json"
    service = {**OBJECTS[0], "metadata": {"name": "web", "labels": {"a": "\ud800"}}}
    file.write_text(json.dumps(service))
    code, text = svcnet("render", file)
    assert code == 2
    assert "metadata.labels.a: must be at most 63 letters" in text
