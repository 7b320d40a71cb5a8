"""Putting iptables rules on this machine, through the restore commands.

There is no state file. What the machine has is observed, compared with what is wanted,
and only the difference is written; so an apply that was killed, or rules that somebody
changed, are put right by the next one.
"""

from svcnet.executors.iptables.apply import RestoreReport, apply, carry_out, serve_localhost
from svcnet.executors.iptables.cleanup import Ownership, cleanup, remains
from svcnet.executors.iptables.commands import Commands, Variant
from svcnet.executors.iptables.counting import remove_counters
from svcnet.executors.iptables.marks import Marks, concerns
from svcnet.executors.iptables.plan import RestorePlan, most_chains, plan
from svcnet.executors.iptables.refusal import check_of, explain
from svcnet.executors.iptables.variants import Choice, choose_variant
from svcnet.executors.iptables.writer import ReferencedChain, Writer

__all__ = [
    "Choice",
    "Commands",
    "Marks",
    "Ownership",
    "ReferencedChain",
    "RestorePlan",
    "RestoreReport",
    "Variant",
    "Writer",
    "apply",
    "carry_out",
    "check_of",
    "choose_variant",
    "cleanup",
    "concerns",
    "explain",
    "most_chains",
    "plan",
    "remains",
    "remove_counters",
    "serve_localhost",
]
