"""What the tools of netfilter print, as values. It knows no Service, and asks no machine.

What these tools print is partly what anybody wrote: comments, prefixes of log lines, names.
"""

from svcnet.netfilter.listing import Chains, Tables, Unprinted, read_listing
from svcnet.netfilter.rules import is_made_of, target

__all__ = ["Chains", "Tables", "Unprinted", "is_made_of", "read_listing", "target"]
