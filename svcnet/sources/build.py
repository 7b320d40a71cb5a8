"""Folders of which a tool makes manifests: kustomizations and Helm charts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from svcnet import checks
from svcnet.files import read_beginning
from svcnet.sources.findings import Findings, Source
from svcnet.sources.parse import MAX_BYTES, ParseError, parse
from svcnet.sources.scope import InputScope
from svcnet.sources.strangers import KUSTOMIZATIONS, BuiltFolder

MAX_KUSTOMIZATION = 1 << 20
"""The most that a kustomization may hold to be looked into."""

REFERENCES = ("resources", "bases", "components")
"""The fields of a kustomization that name others, by their folders."""


def build_folders(
    folders: Mapping[Path, BuiltFolder], findings: Findings, scope: InputScope
) -> Iterator[Source]:
    """Yield what is built of folders; one that is not becomes a finding.

    A kustomization that another one of them refers to is a part of that, and not built itself.
    """
    if scope.build is None:
        for folder, what in folders.items():
            findings.file_error(checks.NOT_MANIFESTS, str(folder), 0, what.message)
        return
    parts = {part for folder, what in folders.items() for part in _parts(folder, what)}
    for folder, what in folders.items():
        if folder.resolve() in parts:
            continue
        try:
            data = scope.build(folder, what.tool)
        except OSError as error:
            message = f"cannot be built: {error.strerror}"
            findings.file_error(checks.UNREADABLE_FILE, str(folder), 0, message)
            continue
        if len(data) > MAX_BYTES:
            message = f"comes to more than {MAX_BYTES // 1024**2} MiB"
            findings.file_error(checks.LARGE_FILE, str(folder), 0, message)
        else:
            yield Source(f"{folder} (built by {what.tool})", data)


def _parts(folder: Path, what: BuiltFolder) -> Iterator[Path]:
    """Yield the folders that a kustomization refers to, as far as it can be read."""
    names = [folder / name for name in KUSTOMIZATIONS] if what.tool == "kustomize" else []
    for name in names:
        try:
            documents = parse(read_beginning(name, MAX_KUSTOMIZATION)).documents
        except (OSError, ParseError):
            continue  # the tool says what is wrong with it
        for document in documents:
            for key in REFERENCES if type(document) is dict else ():
                listed = document.get(key)
                for text in listed if type(listed) is list else ():
                    if type(text) is str and "://" not in text and "\0" not in text:
                        yield Path(os.path.realpath(folder / text))
