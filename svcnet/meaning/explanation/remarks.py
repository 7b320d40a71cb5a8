"""What is remarked both of a mode's own rules and of those that a machine has."""

from __future__ import annotations

from svcnet.meaning.explanation.account import Remark

SOURCE_OF_SERVICE = Remark(
    "a process of the node that binds to no address has the Service's address as its source",
    "source-is-the-service",
)
REFUSAL_DECIDES = Remark(
    "a Service that refuses a packet decides, whoever else claims its address and port",
    "refusals-decide",
)
LAST_CLAIM = Remark(
    "of several Services that claim one address and port the last in order has it",
    "last-claim-answers",
)
