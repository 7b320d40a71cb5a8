"""Putting IPVS mode on this machine: virtual servers, sets, addresses and a few rules.

There is no state file. What the kernel has is observed, compared with what is wanted, and
only the difference is done. What svcnet made, it knows again by marks that live in the
kernel: a flag of each virtual server, a name of the dummy device, a set beside the sets.
"""

from svcnet.executors.ipvs.apply import Incomplete, Report, apply, apply_step, services
from svcnet.executors.ipvs.cleanup import cleanup, is_there
from svcnet.executors.ipvs.kernel import IPVS, NoIPVS, Refused
from svcnet.executors.ipvs.marks import mark
from svcnet.executors.ipvs.names import DRAIN
from svcnet.executors.ipvs.observe import Observed, observe
from svcnet.executors.ipvs.plan import plan, plan_step
from svcnet.executors.ipvs.probe import MissingModules, missing
from svcnet.executors.ipvs.steps import Plan, Step

__all__ = [
    "DRAIN",
    "IPVS",
    "Incomplete",
    "MissingModules",
    "NoIPVS",
    "Observed",
    "Plan",
    "Refused",
    "Report",
    "Step",
    "apply",
    "apply_step",
    "cleanup",
    "is_there",
    "mark",
    "missing",
    "observe",
    "plan",
    "plan_step",
    "services",
]
