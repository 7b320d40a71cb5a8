"""Files that hold one mapping."""

from __future__ import annotations

import os
from pathlib import Path

from svcnet import checks
from svcnet.sources.fields import Fields, shown
from svcnet.sources.findings import Findings, Place
from svcnet.sources.parse import ParseError, parse
from svcnet.sources.read import read_file

MAX_SINGLE_BYTES = 16 * 1024 * 1024
"""The most that such a file may hold: a kubeconfig of thousands of clusters."""


def read_single(path: str | os.PathLike[str], what: str, findings: Findings) -> Fields | None:
    """Return the one mapping that a file holds, which findings call `what`.

    Where the file holds anything else there is a finding, and None.
    """
    for source in read_file(Path(path), findings, MAX_SINGLE_BYTES):
        try:
            documents = [d for d in parse(source.data, source.file) if d is not None]
        except ParseError as error:
            findings.file_error(error.check, source.file, error.line, error.message)
            continue
        if len(documents) == 1 and type(documents[0]) is dict:
            return Fields(Place(source, 0, (), what), findings, documents[0])
        found = shown(documents[0]) if len(documents) == 1 else f"{len(documents)} documents"
        message = f"must hold one mapping, {what}, not {found}"
        findings.file_error(checks.ONE_DOCUMENT, source.file, 0, message)
    return None
