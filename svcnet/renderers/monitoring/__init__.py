"""What a node tells others about its Services: the answers to health checks, and counts.

Everything here is pure, and the same in each mode. :func:`full` summarizes a rule graph and
:func:`advance` follows its changes, at their cost; the rest reads summaries.
"""

from svcnet.renderers.monitoring.health_checks import (
    HealthCheck,
    health_check_addresses,
    health_checks,
)
from svcnet.renderers.monitoring.summary import (
    CheckPort,
    ServiceName,
    Summary,
    advance,
    full,
)

__all__ = [
    "CheckPort",
    "HealthCheck",
    "ServiceName",
    "Summary",
    "advance",
    "full",
    "health_check_addresses",
    "health_checks",
]
