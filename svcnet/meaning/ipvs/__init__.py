"""What becomes of a packet by virtual servers of IPVS, and the rules of iptables around them.

::

    rules = svcnet.meaning.ipvs.read(servers, iptables_save, facts)
    rules.evaluate(Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0"))

``servers`` is what ``ipvsadm -Sn`` prints. The rules ask for sets, and for the addresses that the
machine has, which are in ``facts``. Whoever made them, they are understood or said not to be.
"""

from svcnet.meaning.ipvs.ruleset import IPVSRuleSet, read

__all__ = ["IPVSRuleSet", "read"]
