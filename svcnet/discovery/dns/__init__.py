"""What a client is answered that asks for a Service by DNS.

A pure function of the cluster's state, without sockets: names, types and data are text as a
zone file has it. :func:`records` makes a :class:`Zones` of a state once, and :func:`lookup`
then costs its own name only. :func:`search` asks as a Pod does, by its search path, and
:func:`difference` tells two clusters apart. Nothing of this needs a DNS library; the modules
``zonefile`` and ``rdata`` do.

Sources: Kubernetes DNS-Based Service Discovery 1.1.0, and CoreDNS's plugin ``kubernetes``
for what that leaves open.
"""

from svcnet.discovery.dns.lookup import Answer, Rcode, entry_in, find, lookup, without_records
from svcnet.discovery.dns.options import DNSOptions
from svcnet.discovery.dns.records import records
from svcnet.discovery.dns.search import Attempt, Search, search
from svcnet.discovery.dns.selector import Requirement
from svcnet.discovery.dns.zones import Difference, Entry, Record, Zones, difference

__all__ = [
    "Answer",
    "Attempt",
    "DNSOptions",
    "Difference",
    "Entry",
    "Rcode",
    "Record",
    "Requirement",
    "Search",
    "Zones",
    "difference",
    "entry_in",
    "find",
    "lookup",
    "records",
    "search",
    "without_records",
]
