"""What iptables, ip6tables, ipset, ``ip -batch`` and ipvsadm read and print, as values.

Written, parsed and compared, without a look at any machine. It knows no Service. What these
tools print is partly what anybody wrote: comments, prefixes of log lines, names.
"""

from svcnet.netfilter.jumps import Jump
from svcnet.netfilter.listing import UnprintedRules, parse_save, read_listing
from svcnet.netfilter.rules import Rule, is_made_of, target
from svcnet.netfilter.save_form import save_rule
from svcnet.netfilter.tables import BUILT_IN, Chains, SavedTables, Tables

__all__ = [
    "BUILT_IN",
    "Chains",
    "Jump",
    "Rule",
    "SavedTables",
    "Tables",
    "UnprintedRules",
    "is_made_of",
    "parse_save",
    "read_listing",
    "save_rule",
    "target",
]
