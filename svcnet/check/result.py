"""What a check comes to: findings, and which of them make it fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import frozen

from svcnet.errors import Diagnostic

FailOn: TypeAlias = Literal["warning", "error"]


@frozen
class CheckResult:
    """Findings that are told.

    ``objects`` is how many objects were looked at, ``known`` how many findings a baseline has,
    ``version`` that of svcnet.
    """

    findings: Sequence[Diagnostic]
    fail_on: FailOn = "warning"
    objects: int = 0
    known: int = 0
    version: str = ""

    def fails(self, finding: Diagnostic) -> bool:
        """Return whether a finding makes the check fail."""
        return finding.severity == "error" or self.fail_on == "warning"

    @property
    def has_failed(self) -> bool:
        """Whether any finding makes it fail."""
        return any(map(self.fails, self.findings))
