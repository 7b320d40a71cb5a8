"""Paths to bytes: files, folders and standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO

from attrs import evolve

from svcnet import checks
from svcnet.files import read_beginning, read_most
from svcnet.sources import strangers
from svcnet.sources.build import build_folders
from svcnet.sources.findings import Findings, Source
from svcnet.sources.parse import MAX_BYTES
from svcnet.sources.scope import PLAIN, InputScope

SUFFIXES = (".yaml", ".yml", ".json")
MAX_MATCHES = 100_000
"""So many files a pattern may stand for."""


def read_sources(
    paths: Sequence[str], stdin: BinaryIO | None, findings: Findings, scope: InputScope = PLAIN
) -> Iterator[Source]:
    """Yield the content of each file; one that cannot be read becomes a finding.

    A folder stands for the ``.yaml``, ``.yml`` and ``.json`` files in it and, unless `scope` says
    otherwise, below, in the order of their names; ``-`` for standard input. What is no file may be
    a pattern such as ``k8s/*.yaml``, with ``**`` for any folders, and stands for what it matches.
    """
    for path in paths:
        if path == "-":
            yield from _read_stdin(stdin, findings)
        elif not path:
            # Path would take it for the folder that we are in.
            message = "cannot be read: the name is empty"
            findings.file_error(checks.UNREADABLE_FILE, "''", 0, message)
        elif is_pattern(path):
            yield from _read_matches(path, findings, scope)
        else:
            yield from _read_path(Path(path), findings, scope)


def is_pattern(path: str) -> bool:
    """Return whether a path stands for what it matches: it has a wildcard, and is no file."""
    return has_magic(path) and not os.path.lexists(path)


def folder_of(path: str) -> str:
    """Return the folder below which all is that a pattern can match; any other path as it is."""
    if not is_pattern(path):
        return path
    parts = Path(path).parts
    plain = next(number for number, part in enumerate(parts) if has_magic(part))
    return str(Path(*parts[:plain]))


def _read_matches(path: str, findings: Findings, scope: InputScope) -> Iterator[Source]:
    # That of pathlib takes no pattern from the root, and follows no link to a folder.
    found = sorted(glob(path, recursive=True))[: MAX_MATCHES + 1]  # noqa: PTH207
    if not found:
        findings.file_error(checks.UNREADABLE_FILE, path, 0, "matches no file")
    elif len(found) > MAX_MATCHES:
        message = f"matches more than {MAX_MATCHES:,} files; name their folder"
        findings.file_error(checks.UNREADABLE_FILE, path, 0, message)
    else:
        for one in found:
            yield from _read_path(Path(one), findings, scope)


def _read_path(path: Path, findings: Findings, scope: InputScope) -> Iterator[Source]:
    if os.path.isdir(path):  # noqa: PTH112  (Path's raises where it may not look)
        yield from _read_folder(path, findings, scope)
    else:
        yield from read_file(path, findings)


def _read_folder(folder: Path, findings: Findings, scope: InputScope) -> Iterator[Source]:
    refused: list[OSError] = []
    files: list[Path] = []
    built: dict[Path, strangers.BuiltFolder] = {}
    for parent, below, names in os.walk(folder, onerror=refused.append):
        if found := strangers.folder(names):
            below.clear()
            built[Path(parent)] = found
        else:
            files += [Path(parent, name) for name in names]
        if not scope.recursive:
            below.clear()
    yield from build_folders(built, findings, scope)
    found_files = sorted(file for file in files if file.suffix in SUFFIXES)
    for error in refused:
        # What cannot be looked into may hold anything: to go on without it would remove that.
        findings.file_error(
            checks.UNREADABLE_FILE, str(error.filename), 0, f"cannot be read: {error.strerror}"
        )
    if not found_files and not refused and not built:
        findings.file_error(
            checks.EMPTY_FOLDER, str(folder), 0, "is a folder without .yaml, .yml or .json files"
        )
    for file in found_files:
        for source in read_file(file, findings):
            yield evolve(source, is_found=True)


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
