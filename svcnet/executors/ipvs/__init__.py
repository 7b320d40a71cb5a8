"""Putting IPVS mode on a machine: virtual servers, sets, addresses and a few rules.

There is no state file. What the kernel has is observed, compared with what is wanted, and
only the difference is done. What svcnet made, it knows again by marks that live in the
kernel: a flag of each virtual server, a name of the dummy device, a set beside the sets.
"""

from svcnet.executors.ipvs.apply import (
    IncompleteIPVS,
    IPVSFindings,
    IPVSReport,
    OtherModes,
    apply,
    apply_step,
    carry_out,
    cleanup,
    find,
    is_there,
    remains,
    services,
)
from svcnet.executors.ipvs.observe import IPVSState, mark, observe
from svcnet.executors.ipvs.plan import IPVSPlan, Step, is_of_steps, plan, plan_step
from svcnet.executors.ipvs.probe import MissingModules, missing
from svcnet.executors.ipvs.servers import IPVS, MessageRefusal, NoIPVS
from svcnet.executors.ipvs.sets import DRAIN

__all__ = [
    "DRAIN",
    "IPVS",
    "IPVSFindings",
    "IPVSPlan",
    "IPVSReport",
    "IPVSState",
    "IncompleteIPVS",
    "MessageRefusal",
    "MissingModules",
    "NoIPVS",
    "OtherModes",
    "Step",
    "apply",
    "apply_step",
    "carry_out",
    "cleanup",
    "find",
    "is_of_steps",
    "is_there",
    "mark",
    "missing",
    "observe",
    "plan",
    "plan_step",
    "remains",
    "services",
]
