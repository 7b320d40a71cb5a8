"""What the configuration and the options come to in a mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from svcnet.modes.options import OptionValues
from svcnet.modes.pace import Pace

if TYPE_CHECKING:
    from svcnet.models import RuleSettings


@frozen
class ModeSettings:
    """What the configuration and the options come to in a mode.

    ``given`` has a value for each option of the mode, ``rules`` are what is decided before rules
    are written, and ``pace`` says how often things are done.
    """

    given: OptionValues
    rules: RuleSettings
    pace: Pace

    @property
    def fallback(self) -> str | None:
        """The mode to use where the machine lacks what this one needs, if an option names one."""
        name: str | None = self.given.get("fallback")
        return name
