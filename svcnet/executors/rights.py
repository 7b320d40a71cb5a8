"""What takes rights says so before anything else, with what to run instead."""

from __future__ import annotations

from svcnet import checks
from svcnet.errors import ApplyError
from svcnet.executors.commands import CAPABILITIES, lacking
from svcnet.executors.machine import Machine

ADMIN = CAPABILITIES[0][0]


def require_rights(verb: str, machine: Machine, instead: str) -> None:
    """Raise ApplyError where this process may not change, or read, rules of a machine.

    `instead` says what to run without these rights.
    """
    try:
        missing = lacking(machine)
    except (OSError, ValueError):
        return  # without /proc nobody says; what is refused is told then
    if ADMIN in missing:
        raise ApplyError(
            f"svcnet {verb} takes root ({' and '.join(missing)}, which this process lacks): "
            f"sudo svcnet {verb} …; {instead}",
            checks.NOT_PERMITTED,
        )
