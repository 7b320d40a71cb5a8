"""Whether variables of Services can be a mistake at all: to make them all takes long."""

from __future__ import annotations

from collections.abc import Collection

from svcnet.discovery.environment import KernelLimits
from svcnet.discovery.environment.size import SHARE
from svcnet.models import Service

LINUX = KernelLimits(total=2 * 1024**2)
"""What a process may start with on Linux where nobody changed the limit of the stack."""

LONGEST = 120
"""No variable of a Service is longer than this and twice its name."""


def may_be_wrong(services: Collection[Service]) -> bool:
    """Return False only if no variable of Services of one namespace is unreadable or set twice.

    Two set one only if the name of one begins with that of the other and a hyphen: in a variable
    that is where the name ends. Nor do the variables take much room, then.
    """
    names = {service.name for service in services}
    if any(name[:1].isdigit() or _extends(name, names) for name in names):
        return True
    size = sum((2 + 5 * len(each.ports)) * (2 * len(each.name) + LONGEST) for each in services)
    return size * SHARE > LINUX.total


def _extends(name: str, names: Collection[str]) -> bool:
    place = name.find("-")
    while place >= 0:
        if name[:place] in names:
            return True
        place = name.find("-", place + 1)
    return False
