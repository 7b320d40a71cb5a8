"""What becomes of a packet by rules that are there, read back; compared with what a graph means.

It takes any rules, whoever wrote them, and says of each whether it is understood. Nothing in it
asks a machine.
"""

from svcnet.meaning.comparison.change import (
    ChangePlace,
    EndChange,
    FrontendChange,
    HealthCheckChange,
    KnownDifference,
    MeaningDiff,
    ObscureRule,
    Rewriting,
    SenderChange,
    SenderKind,
)
from svcnet.meaning.comparison.difference import (
    KINDS,
    FieldPlace,
    Obscurity,
    PacketDifference,
    ShadowedRule,
    Verdicts,
)
from svcnet.meaning.comparison.verify import verify
from svcnet.meaning.facts import Facts, SetMembers
from svcnet.meaning.outcome import FoundOutcome, FoundVerdict, Redirect, Rewrite, RuleLine, Unknown
from svcnet.meaning.outcomes import MachineRules
from svcnet.meaning.sender_words import SENDER_KINDS

__all__ = [
    "KINDS",
    "SENDER_KINDS",
    "ChangePlace",
    "EndChange",
    "Facts",
    "FieldPlace",
    "FoundOutcome",
    "FoundVerdict",
    "FrontendChange",
    "HealthCheckChange",
    "KnownDifference",
    "MachineRules",
    "MeaningDiff",
    "ObscureRule",
    "Obscurity",
    "PacketDifference",
    "Redirect",
    "Rewrite",
    "Rewriting",
    "RuleLine",
    "SenderChange",
    "SenderKind",
    "SetMembers",
    "ShadowedRule",
    "Unknown",
    "Verdicts",
    "verify",
]
