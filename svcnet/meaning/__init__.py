"""What becomes of a packet by rules that are there, read back; compared with what a graph means.

It takes any rules, whoever wrote them, and says of each whether it is understood. Nothing in it
asks a machine.
"""

from svcnet.meaning.facts import Facts, SetMembers
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, Rewrite, RuleLine, Unknown

__all__ = [
    "Facts",
    "FoundOutcome",
    "FoundVerdict",
    "Rewrite",
    "RuleLine",
    "SetMembers",
    "Unknown",
]
