"""What becomes of a packet by rules of iptables, read as iptables-save prints them.

::

    rules = svcnet.meaning.iptables.read(text, facts)
    rules.evaluate(Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0"))

Whoever wrote the rules, they are understood or said not to be: what a match or target of them may
do is never guessed.
"""

from svcnet.meaning.iptables.ruleset import RuleSet, read

__all__ = ["RuleSet", "read"]
