"""What the configuration and the options come to in mode userspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from svcnet.modes.settings import ModeSettings

if TYPE_CHECKING:
    from svcnet.renderers.userspace import PortChoice


@frozen
class ProxySettings(ModeSettings):
    """ModeSettings with how proxy ports are chosen."""

    choice: PortChoice = field(kw_only=True)
