"""What a node tells others about its Services: the answers to health checks, and counts.

Everything here is pure, and the same in each mode.
"""

from svcnet.renderers.monitoring.counts import Counts, count
from svcnet.renderers.monitoring.health_checks import (
    EVERY_ADDRESS,
    HealthCheck,
    health_check_addresses,
    health_checks,
)

__all__ = [
    "EVERY_ADDRESS",
    "Counts",
    "HealthCheck",
    "count",
    "health_check_addresses",
    "health_checks",
]
