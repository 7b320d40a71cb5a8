"""A configuration with the file that it came from, so that it can be spoken of by line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import field, frozen

from svcnet.checks import Check
from svcnet.errors import Diagnostic
from svcnet.models import KubeProxyConfiguration
from svcnet.sources.findings import Findings, ObjectPlace, Path

ConfigRemark: TypeAlias = tuple[Check, Path, str]
"""A check, the path of a field, and what to say of it."""


@frozen
class LoadedConfig:
    """A configuration; ``warnings`` are what is legal but surely not meant.

    It may be made without a file, and then nothing can be said of its lines.
    """

    config: KubeProxyConfiguration
    warnings: tuple[Diagnostic, ...] = ()
    _place: ObjectPlace | None = field(default=None, repr=False)

    def locate_remarks(self, remarks: Iterable[ConfigRemark]) -> tuple[Diagnostic, ...]:
        """Return remarks as warnings with file and line; without a file there are none."""
        if self._place is None:
            return ()
        findings = Findings()
        for check, path, message in remarks:
            findings.warning(check, self._place, path, message)
        return findings.diagnostics()
