"""Userspace mode: the proxy table, and the rules that bring traffic to the proxy."""

from svcnet.renderers.userspace.listing import listing
from svcnet.renderers.userspace.portals import portal_rules, text
from svcnet.renderers.userspace.ports import PortChoice
from svcnet.renderers.userspace.render import advance, full
from svcnet.renderers.userspace.table import ProxyTable

__all__ = ["PortChoice", "ProxyTable", "advance", "full", "listing", "portal_rules", "text"]
