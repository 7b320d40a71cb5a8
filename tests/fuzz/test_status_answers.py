"""Whatever answers ``svcnet status``: it is shown, or one line says that it is no answer."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.servers import questions
from tests.fuzz import examples

GOOD: dict[str, Any] = {
    "version": 1,
    "since": "2026-11-24T12:00:00+00:00",
    "input": {
        "source": "a.yaml",
        "read": None,
        "server": {"Service": "synced"},
        "confirmed": {"Service": "2026-11-24T12:00:00+00:00"},
        "unreachableSince": {},
        "problem": None,
    },
    "lastFailed": {"what": "rules", "time": "2026-11-24T12:00:00+00:00"},
    "families": [
        {
            "family": "IPv4",
            "mode": "iptables",
            "lastSync": {
                "time": "2026-11-24T12:00:00+00:00",
                "trigger": "start",
                "seconds": 0.1,
                "lagSeconds": 0.2,
                "text": "1 service port changed",
            },
            "syncs": 1,
            "failures": 0,
            "repaired": 0,
            "problem": None,
            "warnings": ["w"],
            "services": [
                {
                    "namespace": "shop",
                    "name": "web",
                    "port": "http",
                    "protocol": "TCP",
                    "allEndpoints": 2,
                    "frontends": [{"type": "cluster-ip", "address": "10.0.0.1", "port": 80}],
                    "endpoints": [{"address": "10.1.0.1", "port": 80, "local": True}],
                    "refusals": [],
                }
            ],
        }
    ],
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("\ud800")
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A right document with something else in some place."""
    document = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(0, 3))):
        where: Any = document
        while True:
            keys = list(where) if isinstance(where, dict) else list(range(len(where)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(where[key], dict | list) and draw(st.booleans()):
                where = where[key]
                continue
            if isinstance(where, dict) and draw(st.booleans()):
                del where[key]
            else:
                where[key] = draw(ANYTHING)
            break
    return document


@pytest.mark.parametrize("option", [(), ("--output", "json"), ("--last-good",), ("--last-failed",)])
@settings(max_examples=examples(150), deadline=None)
@given(
    answer=st.one_of(
        st.binary(max_size=50),
        damaged().map(lambda value: json.dumps(value).encode()),
        ANYTHING.map(lambda value: json.dumps(value).encode()),
    )
)
@example(answer=b"[" * 100_000)
@example(answer=b'{"error": null, "texts": [{"of": 1, "text": "\\ud800", "cut": 0}]}')
@example(answer=json.dumps(GOOD).encode())
@example(answer=b"1e999")
def test_any_answer(option: tuple[str, ...], answer: bytes) -> None:
    """Exit code 0, 1 (there is none) or 3, and never a traceback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "ask", lambda _path, _question: answer)
        result = CliRunner().invoke(main, ["status", "--socket", "/none", *option])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in {0, 1, 3}
    if result.exit_code == 3:
        assert result.stderr.startswith("/none: the answer is n")
        assert result.stderr.count("\n") == 1


def test_the_right_document_is_shown() -> None:
    """What is damaged above is a document that is understood."""
    with pytest.MonkeyPatch.context() as patch:
        answer = json.dumps(GOOD).encode()
        patch.setattr(questions, "ask", lambda _path, _question: answer)
        result = CliRunner().invoke(main, ["status", "--socket", str(Path("/none"))])
    assert result.exit_code == 0
    assert "shop/web:http/TCP" in result.stdout
