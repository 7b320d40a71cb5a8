"""Paths to bytes: files, folders and standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from svcnet import checks
from svcnet.files import read_beginning, read_most
from svcnet.sources import strangers
from svcnet.sources.findings import Findings, Source
from svcnet.sources.parse import MAX_BYTES

SUFFIXES = (".yaml", ".yml", ".json")


def read_sources(
    paths: Sequence[str], stdin: BinaryIO | None, findings: Findings
) -> Iterator[Source]:
    """Yield the content of each file; one that cannot be read becomes a finding.

    A folder stands for the ``.yaml``, ``.yml`` and ``.json`` files in it and below, in
    the order of their names; ``-`` for standard input.
    """
    for path in paths:
        if path == "-":
            yield from _read_stdin(stdin, findings)
        elif not path:
            # Path would take it for the folder that we are in.
            message = "cannot be read: the name is empty"
            findings.file_error(checks.UNREADABLE_FILE, "''", 0, message)
        elif os.path.isdir(path):  # noqa: PTH112  (Path's raises where it may not look)
            yield from _read_folder(Path(path), findings)
        else:
            yield from read_file(Path(path), findings)


def _read_folder(folder: Path, findings: Findings) -> Iterator[Source]:
    refused: list[OSError] = []
    files: list[Path] = []
    built = False
    for parent, below, names in os.walk(folder, onerror=refused.append):
        if what := strangers.folder(names):
            findings.file_error(checks.NOT_MANIFESTS, parent, 0, what)
            below.clear()
            built = True
        else:
            files += [Path(parent, name) for name in names]
    found = sorted(file for file in files if file.suffix in SUFFIXES)
    for error in refused:
        # What cannot be looked into may hold anything: to go on without it would remove that.
        findings.file_error(
            checks.UNREADABLE_FILE, str(error.filename), 0, f"cannot be read: {error.strerror}"
        )
    if not found and not refused and not built:
        findings.file_error(
            checks.EMPTY_FOLDER, str(folder), 0, "is a folder without .yaml, .yml or .json files"
        )
    for file in found:
        yield from read_file(file, findings)


def read_file(path: Path, findings: Findings, most: int = MAX_BYTES) -> Iterator[Source]:
    """Yield the content of one file, nothing if it cannot be read or has more than `most` bytes."""
    try:
        data = read_beginning(path, most + 1, devices=True)
    except OSError as error:
        findings.file_error(
            checks.UNREADABLE_FILE, str(path), 0, f"cannot be read: {error.strerror}"
        )
        return
    yield from _limit(Source(str(path), data), findings, most)


def _read_stdin(stdin: BinaryIO | None, findings: Findings) -> Iterator[Source]:
    try:
        data = read_most(stdin or sys.stdin.buffer, MAX_BYTES + 1)
    except OSError as error:
        findings.file_error(
            checks.UNREADABLE_FILE, "<stdin>", 0, f"cannot be read: {error.strerror}"
        )
        return
    yield from _limit(Source("<stdin>", data), findings, MAX_BYTES)


def _limit(source: Source, findings: Findings, most: int) -> Iterator[Source]:
    if len(source.data) > most:
        findings.file_error(
            checks.LARGE_FILE, source.file, 0, f"is larger than {most // 1024**2} MiB; split it"
        )
    else:
        yield source
