"""What a repository says of how it is checked: ``svcnet.toml``, or a table of pyproject.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from svcnet import checks
from svcnet.check.result import FailOn
from svcnet.check.selection import ignore_checks, select_checks
from svcnet.checks import Check
from svcnet.errors import InputError
from svcnet.files import KIB, read_text
from svcnet.inputs.toml import Settings, read_settings_file
from svcnet.sources.fields import quote_value
from svcnet.sources.unknown import nearest_of

OWN = "svcnet.toml"
SHARED = "pyproject.toml"
MOST_BYTES = 16 * KIB * KIB
KEYS = ("baseline", "fail-on", "ignore", "select")


@frozen
class CheckSettings:
    """How to check. ``select`` is None for all rules; ``baseline`` is a file or None."""

    select: frozenset[Check] | None = None
    ignore: frozenset[Check] = field(factory=frozenset)
    fail_on: FailOn = "warning"
    baseline: Path | None = None


def find_check_settings(folder: Path) -> CheckSettings:
    """Return the settings of the nearest folder that has some, `folder` or one above it.

    In one folder svcnet.toml counts, and then the table ``[tool.svcnet]`` of pyproject.toml.
    Raises InputError for a file that cannot be read, or says what is no setting.
    """
    here = folder.absolute()
    for each in (here, *here.parents):
        if (own := each / OWN).is_file():
            return _Table(read_settings_file(own), ()).settings()
        if (shared := each / SHARED).is_file() and _names_svcnet(shared):
            table = _Table(read_settings_file(shared), ("tool", "svcnet"))
            if table.values:
                return table.settings()
    return CheckSettings()


def _names_svcnet(path: Path) -> bool:
    """Return whether a file of many tools may have a table of svcnet's; else it is not read."""
    try:
        return "svcnet" in read_text(path, MOST_BYTES)
    except OSError:
        return True  # what is wrong with it is told by who reads it


class _Table:
    """A table of a file of settings, and what it says."""

    def __init__(self, file: Settings, path: tuple[str, ...]) -> None:
        self._file = file
        self._path = path
        self.values = self._values()

    def settings(self) -> CheckSettings:
        for key in self.values:
            if key not in KEYS:
                guess = nearest_of(key, KEYS)
                hint = f"; did you mean {guess}?" if guess else ""
                raise self._refusal(checks.USAGE, key, f"is no setting{hint}")
        baseline = self._text("baseline")
        select = self._names("select", select_checks)
        return CheckSettings(
            select=select if "select" in self.values else None,
            ignore=self._names("ignore", ignore_checks),
            fail_on=self._fail_on(),
            baseline=self._file.file.parent / baseline if baseline else None,
        )

    def _values(self) -> Mapping[str, Any]:
        found: Any = self._file.values
        for depth, key in enumerate(self._path):
            found = found.get(key, {})
            if not isinstance(found, dict):
                where = self._path[: depth + 1]
                message = "must be a table"
                raise InputError([self._file.mistake(checks.TYPE, where, message)])
        # Other tools of a repository may have tables of their own below ours.
        return {
            key: value
            for key, value in found.items()
            if not (self._path and isinstance(value, dict))
        }

    def _fail_on(self) -> FailOn:
        match self._text("fail-on"):
            case "" | "warning":
                return "warning"
            case "error":
                return "error"
            case other:
                message = f"must be warning or error, not {quote_value(other)}"
                raise self._refusal(checks.CHOICE, "fail-on", message)

    def _names(
        self, key: str, read: Callable[[Iterable[str]], frozenset[Check]]
    ) -> frozenset[Check]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            message = f"must be a list of texts, not {quote_value(value)}"
            raise self._refusal(checks.TYPE, key, message)
        try:
            return read(value)
        except ValueError as error:
            raise self._refusal(checks.USAGE, key, str(error)) from None

    def _text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self._refusal(checks.TYPE, key, f"must be a text, not {quote_value(value)}")
        return value

    def _refusal(self, check: Check, key: str, message: str) -> InputError:
        return InputError([self._file.mistake(check, (*self._path, key), message)])
