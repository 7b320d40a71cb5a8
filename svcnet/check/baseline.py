"""Findings that a repository lives with: a file that says which, so that only new ones are told.

An entry has no line, and no number of a list's member, so it stays when a manifest is edited
around it. What it was told of may be there several times, and is counted.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from attrs import frozen

from svcnet import checks
from svcnet.errors import Diagnostic, InputError
from svcnet.files import KIB, read_text

VERSION = 1
MOST_BYTES = 64 * KIB * KIB
TEXTS = ("rule", "file", "object", "field")

_NUMBER = re.compile(r"\[\d+\]")

Key: TypeAlias = tuple[str, str, str, str]
"""A rule, a file as seen from the baseline's folder, an object, and a field without numbers."""


@frozen
class BaselineMatch:
    """Findings that a baseline has not, the number that it has, and its entries for nothing."""

    new: tuple[Diagnostic, ...]
    known: int
    stale: tuple[str, ...]


def compare(findings: Sequence[Diagnostic], path: Path) -> BaselineMatch:
    """Return what of `findings` is not in a baseline.

    Raises InputError for a file that is no baseline.
    """
    left = _read(path)
    new, known = [], 0
    for finding in findings:
        key = _key(finding, path)
        if left[key] > 0:
            left[key] -= 1
            known += 1
        else:
            new.append(finding)
    stale = [_entry_text(key, count) for key, count in sorted(left.items()) if count > 0]
    return BaselineMatch(tuple(new), known, tuple(stale))


def text_of(findings: Iterable[Diagnostic], path: Path) -> str:
    """Return the text of a baseline at `path` that has these findings."""
    counts = Counter(_key(finding, path) for finding in findings)
    entries = [
        {**dict(zip(TEXTS, key, strict=True)), "count": count}
        for key, count in sorted(counts.items())
    ]
    return json.dumps({"version": VERSION, "findings": entries}, indent=2) + "\n"


def _key(finding: Diagnostic, path: Path) -> Key:
    field = _NUMBER.sub("[]", finding.field)
    return finding.check.name, _seen_from(path.parent, finding.file), finding.object, field


def _seen_from(folder: Path, file: str) -> str:
    """Return a file's name as seen from a folder, wherever svcnet is called."""
    if file.startswith("<"):
        return file
    return Path(os.path.relpath(file, folder)).as_posix()


def _read(path: Path) -> Counter[Key]:
    try:
        document = json.loads(read_text(path, MOST_BYTES))
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise InputError(
            [Diagnostic(str(path), 0, "", "", message, check=checks.UNREADABLE_FILE)]
        ) from None
    except (ValueError, RecursionError):
        raise _refusal(path, "", "is no JSON") from None
    entries = document.get("findings") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document.get("version") != VERSION:
        raise _refusal(path, "", "is no baseline of svcnet check; --write-baseline makes one")
    found: Counter[Key] = Counter()
    for index, entry in enumerate(entries):
        if not _is_entry(entry):
            raise _refusal(path, f"findings[{index}]", f"must have {', '.join(TEXTS)} and count")
        rule, file, item, field = (entry[key] for key in TEXTS)
        found[rule, file, item, field] += entry["count"]
    return found


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in TEXTS)
        and type(entry.get("count")) is int
        and entry["count"] > 0
    )


def _refusal(path: Path, field: str, message: str) -> InputError:
    return InputError([Diagnostic(str(path), 0, "", field, message, check=checks.SYNTAX)])


def _entry_text(key: Key, count: int) -> str:
    rule, file, item, field = key
    where = ": ".join(filter(None, (file, item, field)))
    times = f", {count} times" if count > 1 else ""
    return f"{where}: {rule}{times}"
