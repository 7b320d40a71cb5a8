"""What answers ``svcnet status`` beside ``svcnet run``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from svcnet.agent.log import Log
from svcnet.errors import ApplyError, Diagnostic, InputError, SvcnetError
from svcnet.family import IPFamily
from svcnet.files import read_beginning
from svcnet.modes import get
from svcnet.servers.questions import PROXY_TABLE

if TYPE_CHECKING:
    from svcnet.graph import RuleGraph
    from svcnet.modes import AnyMode, ModeSettings
    from svcnet.reconciler import RefusedFile
    from svcnet.sources.kubernetes import APIServer, Status

MOST_FILE_BYTES = 1 << 20
MOST_INPUT_BYTES = 16 << 20
"""How much is kept of a file that was refused, and of all of them."""

Value = TypeVar("Value")


class Reporter:
    """Keeps a journal of a run, and answers questions about it once it serves.

    ``source`` says where the objects come from, for people. The mode may be of no registry.
    """

    def __init__(self, log: Log, mode: AnyMode) -> None:
        from svcnet.reconciler import Journal

        self._log = log
        self._mode = mode
        self.source = ""
        self._settings: ModeSettings | None = None
        self._tables: Callable[[], Iterable[str]] = tuple
        self._journal = Journal()
        self.take = self._journal.take

    def configure(self, mode: AnyMode, settings: ModeSettings) -> None:
        """Take which mode serves, and what is asked of it from now on."""
        self._mode, self._settings = mode, settings

    def serves(self, tables: Callable[[], Iterable[str]]) -> None:
        """Take what returns the tables of a proxy, as documents."""
        self._tables = tables

    def serve(self, path: Path | None, stack: ExitStack) -> None:
        """Answer at a unix socket until `stack` is closed; where that cannot be is a warning."""
        from svcnet.servers.questions import Answers, usual_path

        try:
            answers = Answers(path or usual_path(), self._answer)
        except ApplyError as error:
            self._log.warning(f"svcnet status gets no answer: {error}")
            return
        stack.callback(answers.close)

    def reads(self, read: Callable[[], Value], *, objects: bool = True) -> Callable[[], Value]:
        """Return `read` so that the journal learns how it went.

        Without `objects` it reads what besides them is asked for, which says nothing of them.
        """

        def reading() -> Value:
            try:
                value = read()
            except SvcnetError as error:
                self._journal.input_refused(str(error), tuple(_copies(error)))
                raise
            self._journal.input_read(objects=objects)
            return value

        return reading

    def asks(self, server: APIServer) -> None:
        """Take which API server is asked."""
        self.source = f"API server {server.url}"

    def stands(self, status: Status) -> None:
        """Take how it stands with one kind of an API server's objects."""
        text = f"{status.state}: {status.why}" if status.why else status.state
        synced = status.state == "synced"
        self._journal.server(status.kind, text, synced=synced, needed=status.needed)

    def confirm(self, kind: str) -> None:
        """Take that an API server has just shown that what is known of a kind is so."""
        self._journal.server_confirmed(kind)

    def take_refusal(self, diagnostic: Diagnostic) -> None:
        """Take that an object of an API server cannot be used."""
        self._journal.object_refused(str(diagnostic))

    def _answer(self, question: bytes) -> bytes:
        try:
            answer = self._answers()[orjson.loads(question)["ask"]]
        except (ValueError, KeyError, TypeError):
            return orjson.dumps({"error": "no such question"})
        return orjson.dumps(answer(), option=orjson.OPT_APPEND_NEWLINE)

    def _answers(self) -> dict[str, Callable[[], dict[str, Any]]]:
        return {
            "status": self.status,
            "last-good": self._last_good,
            "last-failed": self._failure_status,
            PROXY_TABLE: self._proxy_tables,
        }

    def status(self) -> dict[str, Any]:
        """Return what ``svcnet status`` shows."""
        from svcnet.reconciler import status_document

        document = status_document(self._journal.record)
        document["input"] = {"source": self.source, **document["input"]}
        return document

    def _proxy_tables(self) -> dict[str, Any]:
        tables = [{"of": "proxy", "text": each, "cut": False} for each in self._tables()]
        return {"error": None, "texts": tables}

    def _last_good(self) -> dict[str, Any]:
        families = self._journal.record.families.values()
        good = [
            self._rules(one.family, one.mode, one.good) for one in families if one.good is not None
        ]
        return {"error": None, "texts": good}

    def _failure_status(self) -> dict[str, Any]:
        from svcnet.reconciler import RefusedRules

        match self._journal.record.last_failed:
            case None:
                return {"error": None, "texts": []}
            case RefusedRules() as rules:
                texts = [self._rules(rules.family, rules.mode, rules.graph)]
                return {"error": rules.error, "texts": texts}
            case refused:
                return {"error": refused.error, "texts": [_text(file) for file in refused.files]}

    def _rules(self, family: IPFamily, name: str, graph: RuleGraph) -> dict[str, Any]:
        """Return the rules of a graph in a mode, as ``svcnet render`` prints them."""
        mode, settings = self._mode, self._settings
        if name != mode.name:
            mode, settings = get(name), None
        settings = settings or mode.settings()
        written = mode.forms["text"].full(mode.full(graph, settings), settings.given)
        return {"of": f"{family}, {name}", "text": written.text, "cut": False}


def _text(file: RefusedFile) -> dict[str, Any]:
    return {"of": file.path, "text": file.text, "cut": file.cut}


def _copies(error: SvcnetError) -> Iterator[RefusedFile]:
    """Yield what the files hold that an error names, up to a bound; they were read just now."""
    from svcnet.reconciler import RefusedFile

    diagnostics = error.diagnostics if isinstance(error, InputError) else ()
    left = MOST_INPUT_BYTES
    for file in dict.fromkeys(diagnostic.file for diagnostic in diagnostics):
        data = _beginning(Path(file), min(MOST_FILE_BYTES, left) + 1)
        if data is None or not left:
            continue
        kept = data[: min(MOST_FILE_BYTES, left)]
        left -= len(kept)
        text = kept.decode(errors="backslashreplace")
        yield RefusedFile(file, text, len(kept) < len(data))


def _beginning(path: Path, size: int) -> bytes | None:
    """Return so much of a file, None if it cannot be read: the error says so then."""
    try:
        return read_beginning(path, size)
    except OSError:
        return None
