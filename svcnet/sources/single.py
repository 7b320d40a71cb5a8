"""Files that hold one mapping."""

from __future__ import annotations

import os
from pathlib import Path

from svcnet import checks
from svcnet.sources.fields import Fields, quote_value
from svcnet.sources.findings import Findings, ObjectPlace, Source, warn_of_repeated
from svcnet.sources.parse import ParseError, ParseResult, parse
from svcnet.sources.positions import duplicates
from svcnet.sources.read import read_file
from svcnet.words import count_noun

MAX_SINGLE_BYTES = 16 * 1024 * 1024
"""The most that such a file may hold: a kubeconfig of thousands of clusters."""


def read_single(path: str | os.PathLike[str], what: str, findings: Findings) -> Fields | None:
    """Return the one mapping that a file holds, which findings call `what`.

    Where the file holds anything else there is a finding, and None.
    """
    for source in read_file(Path(path), findings, MAX_SINGLE_BYTES):
        parsed = parse_text(source, source.data, findings)
        if parsed is None:
            continue
        documents = [(n, d) for n, d in enumerate(parsed.documents) if d is not None]
        if len(documents) == 1 and type(documents[0][1]) is dict:
            place = ObjectPlace(source, documents[0][0], (), what)
            if parsed.may_repeat:
                warn_of_repeated(place, duplicates(source.data), findings)
            return Fields(place, findings, documents[0][1])
        found = count_noun(len(documents), "document")
        if len(documents) == 1:
            found = quote_value(documents[0][1])
        message = f"must hold one mapping, {what}, not {found}"
        findings.file_error(checks.ONE_DOCUMENT, source.file, 0, message)
    return None


def parse_text(source: Source, data: bytes, findings: Findings) -> ParseResult | None:
    """Return the documents of a source's text, None with a finding if it has no meaning.

    Lines are those of the source, if that has bytes.
    """

    def line_of(line: int) -> int:
        return source.offset + (line if source.data else 0)

    try:
        parsed = parse(data)
    except ParseError as error:
        findings.file_error(error.check, source.file, line_of(error.line), error.message)
        return None
    for found in parsed.remarks:
        if found.check is checks.ENCODING:
            # kubectl replaces what is no text; kube-proxy and clients of the API refuse it.
            line = line_of(found.line)
            findings.file_error(checks.SYNTAX, source.file, line, "is not UTF-8")
            return None
        findings.remark(found.check, source.file, line_of(found.line), found.message)
    return parsed
