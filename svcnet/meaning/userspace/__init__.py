"""What becomes of a packet by rules of iptables that lead to a userspace proxy, and the proxy.

::

    rules = svcnet.meaning.userspace.read(iptables_save, facts, table=table)
    rules.evaluate(Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0"))

``table`` is the proxy's table as JSON: what ``svcnet status --proxy-table`` prints, or ``svcnet
render --mode userspace -o json``. Without it nobody can say what becomes of what the proxy takes.
"""

from svcnet.meaning.userspace.ruleset import ProxyRuleSet, read
from svcnet.meaning.userspace.table import ListenerTable, read_tables

__all__ = ["ListenerTable", "ProxyRuleSet", "read", "read_tables"]
