"""What the tools of netfilter print, as values. It knows no Service, and asks no machine.

What these tools print is partly what anybody wrote: comments, prefixes of log lines, names.
"""

from svcnet.netfilter.listing import Chains, Tables, read_listing
from svcnet.netfilter.rules import can_restore, target

__all__ = ["Chains", "Tables", "can_restore", "read_listing", "target"]
