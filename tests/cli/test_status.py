"""``svcnet status`` without privilege: what a run's report answers, by a socket."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet import checks
from svcnet.agent.reporter import MOST_FILE_BYTES, Reporter
from svcnet.cli import main
from svcnet.cli.log import logger
from svcnet.cli.status_view import lines, printable
from svcnet.compiler import compile_state, node_view
from svcnet.errors import Diagnostic, InputError
from svcnet.graph import RuleGraph
from svcnet.models import ClusterState
from svcnet.modes import SyncResult, get
from svcnet.reconciler import Journal, RefusalEvent, SyncEvent, status_document
from svcnet.renderers import ipvs
from svcnet.testing import make_service, make_slice


def graph() -> RuleGraph:
    state = ClusterState.of([make_service(), make_slice("web", "10.244.1.5")])
    return compile_state(state, node_view(state, family="IPv4"))


def answered(folder: Path, prepare: Callable[[Reporter], None], *options: str) -> Result:
    """Return what the command does beside a report that serves in this process."""
    path = folder / "svcnet.sock"

    async def serve() -> Result:
        with ExitStack() as stack:
            report = Reporter(logger(io.StringIO()), get("ipvs"))
            prepare(report)
            report.serve(path, stack)
            arguments = ["status", "--socket", str(path), *options]
            return await asyncio.to_thread(CliRunner().invoke, main, arguments)

    result = asyncio.run(serve())
    assert not path.exists()
    return result


def test_the_last_good_rules_of_ipvs(tmp_path: Path) -> None:
    """In mode ipvs they are the text of render."""

    def prepare(report: Reporter) -> None:
        report.take(SyncEvent("IPv4", "ipvs", "start", SyncResult("full", ""), graph(), None, 0.1))

    result = answered(tmp_path, prepare, "--last-good")
    assert result.exit_code == 0
    assert result.stdout == ipvs.text(ipvs.full(graph()))


def test_only_the_files_that_errors_name_are_kept_and_not_all_of_a_large_one(
    tmp_path: Path,
) -> None:
    """Of a large file the beginning is kept, which is told; bytes that are no text are shown."""
    large, missing = tmp_path / "large.yaml", tmp_path / "missing.yaml"
    large.write_bytes(b"\xff" + b"x" * MOST_FILE_BYTES)

    def read() -> None:
        raise InputError(
            Diagnostic(str(file), 1, "", "", "no", check=checks.TYPE) for file in (large, missing)
        )

    def prepare(report: Reporter) -> None:
        with pytest.raises(InputError):
            report.reads(read)()

    result = answered(tmp_path, prepare, "--last-failed")
    assert result.exit_code == 0
    assert result.stdout == "\\xff" + "x" * (MOST_FILE_BYTES - 1)
    assert f"{large}: only its beginning was kept" in result.stderr


def test_text_of_strangers_is_escaped(tmp_path: Path) -> None:
    """An error with control characters has them escaped in the lines for people."""

    def prepare(report: Reporter) -> None:
        report.take(RefusalEvent("IPv4", "iptables", "no \x1b[31m\u202e", graph(), full=True))

    result = answered(tmp_path, prepare)
    assert result.exit_code == 0
    assert "Problem: IPv4: no \\x1b[31m\\u202e" in result.stdout


def test_printable() -> None:
    """Letters of all scripts, lines and tabs stay; what may steer a terminal does not."""
    assert printable("Grüße\n\t漢") == "Grüße\n\t漢"
    assert printable("\x1b\x07\x9b\u2066\r") == "\\x1b\\x07\\x9b\\u2066\\r"


@pytest.mark.parametrize("other", [["--watch"], ["--last-good"], ["--output", "json"]])
def test_one_thing_at_a_time(other: list[str]) -> None:
    """Options that each ask for another output are refused together."""
    result = CliRunner().invoke(main, ["status", "--last-failed", *other])
    assert result.exit_code == 2
    assert "only one of" in result.stderr


def test_nothing_yet(tmp_path: Path) -> None:
    """Before the first sync there is a table without services, and no last good rules."""
    assert answered(tmp_path, lambda _: None).exit_code == 0
    result = answered(tmp_path, lambda _: None, "--last-good")
    assert (result.exit_code, result.stdout) == (1, "")


def test_the_view_tells_of_each_kind_since_when() -> None:
    """When the server last confirmed a kind, and since when it does not come."""
    journal = Journal(lambda: 1_000_000_000.0)
    for kind, text in (("Node", "unreachable: Connection refused"), ("Service", "synced")):
        journal.server_confirmed(kind)
        journal.server(kind, text, synced=text == "synced")
    document = status_document(journal.record)
    document["input"]["source"] = "API server https://192.0.2.1"
    shown = [re.sub(r"[0-9]{4}-[0-9 :-]*", "T", line) for line in lines(document)]
    assert shown[1:4] == [
        "Input: API server https://192.0.2.1, last good T",
        "  Node: unreachable: Connection refused; since T; last good T",
        "  Service: synced; last good T",
    ]
