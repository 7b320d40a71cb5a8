"""Userspace mode: the proxy table, and the rules that bring traffic to the proxy."""

from svcnet.renderers.userspace.choice import PortChoice
from svcnet.renderers.userspace.delta import ProxyDelta, ServiceChange, between
from svcnet.renderers.userspace.document import document
from svcnet.renderers.userspace.haproxy import config as haproxy_config
from svcnet.renderers.userspace.listing import listing
from svcnet.renderers.userspace.portals import PortalRules, portal_rules, service_rules
from svcnet.renderers.userspace.render import advance, delta, full, proxied_port, why_not
from svcnet.renderers.userspace.table import (
    Backend,
    Listener,
    ListenerName,
    Portal,
    ProxiedPort,
    ProxyTable,
    UnsupportedPort,
)
from svcnet.renderers.userspace.text import step_text, text

__all__ = [
    "Backend",
    "Listener",
    "ListenerName",
    "PortChoice",
    "Portal",
    "PortalRules",
    "ProxiedPort",
    "ProxyDelta",
    "ProxyTable",
    "ServiceChange",
    "UnsupportedPort",
    "advance",
    "between",
    "delta",
    "document",
    "full",
    "haproxy_config",
    "listing",
    "portal_rules",
    "proxied_port",
    "service_rules",
    "step_text",
    "text",
    "why_not",
]
