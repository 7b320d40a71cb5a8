"""What becomes of a packet by rules of nf_tables, read as ``nft list ruleset`` prints them.

::

    rules = svcnet.meaning.nftables.read(text, facts)
    rules.evaluate(Packet("203.0.113.7", "10.96.0.10", 80, interface="eth0"))

What words of a rule may do that are not understood is never guessed.
"""

from svcnet.meaning.nftables.ruleset import (
    NFTRuleSet,
    is_document,
    is_script,
    read,
    read_tables,
)

__all__ = ["NFTRuleSet", "is_document", "is_script", "read", "read_tables"]
