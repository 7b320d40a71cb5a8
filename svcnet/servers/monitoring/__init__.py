"""Servers that say how this node fares: health checks of Services, its own health, metrics.

They run in an event loop that nothing may hold up: a load balancer that gets no answer within
a second or two takes the node out. Work that blocks, as an apply does, belongs in another thread.
"""

from svcnet.servers.monitoring.health import HEALTHZ_BIND_ADDRESS, Health, health_pages
from svcnet.servers.monitoring.listening import HTTPServer
from svcnet.servers.monitoring.metrics import (
    METRICS_BIND_ADDRESS,
    Metrics,
    metrics_page,
)
from svcnet.servers.monitoring.service_health import ServiceHealth

__all__ = [
    "HEALTHZ_BIND_ADDRESS",
    "METRICS_BIND_ADDRESS",
    "HTTPServer",
    "Health",
    "Metrics",
    "ServiceHealth",
    "health_pages",
    "metrics_page",
]
