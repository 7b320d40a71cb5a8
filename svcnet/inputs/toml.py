"""A file of settings in TOML: its values, and the lines that they stand on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import frozen

from svcnet import checks
from svcnet.checks import Check
from svcnet.errors import Diagnostic, InputError
from svcnet.files import KIB, read_text

MOST_BYTES = 64 * KIB

_HEAD = re.compile(r"\s*\[+([^\]]*)\]")
_PLACE = re.compile(r" \(at line (\d+), column \d+\)| \(at end of document\)")


@frozen
class Settings:
    """What a file of settings says, as tomllib has it, and where each key stands."""

    file: Path
    text: str
    values: dict[str, Any]

    def mistake(self, check: Check, keys: Iterable[str], message: str) -> Diagnostic:
        """Return what is wrong with the value of a key, which tables may lead to."""
        path = tuple(keys)
        return Diagnostic(str(self.file), self.line(path), "", ".".join(path), message, check=check)

    def line(self, keys: tuple[str, ...]) -> int:
        """Return the line that a key stands on, else that of its table; 0 if there is neither."""
        *table, key = keys
        found = 0
        here: tuple[str, ...] = ()
        name = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
        for number, line in enumerate(self.text.splitlines(), 1):
            if head := _HEAD.match(line):
                here = tuple(part.strip(" \"'") for part in head[1].split("."))
                if here == keys or (here == tuple(table) and table):
                    found = number
            elif here == tuple(table) and name.match(line):
                return number
        return found


def read_settings_file(file: Path) -> Settings:
    """Read a file of settings. Raises InputError with the line for what is no TOML."""
    try:
        text = read_text(file, MOST_BYTES)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        found = Diagnostic(str(file), 0, "", "", message, check=checks.UNREADABLE_FILE)
        raise InputError([found]) from None
    try:
        return Settings(file, text, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message, line = _refusal(error, text)
        found = Diagnostic(str(file), line, "", "", message, check=checks.SYNTAX)
        raise InputError([found]) from None


def _refusal(error: Exception, text: str) -> tuple[str, int]:
    """Return what is wrong and on which line; tomllib has both in one text."""
    if isinstance(error, RecursionError):
        return "values nest too deep", 0
    message = str(error)
    place = _PLACE.search(message)
    line = int(place[1]) if place and place[1] else text.count("\n") + 1
    return f"is no TOML: {_PLACE.sub('', message)}", line
