"""Keeping a machine's rules true to a cluster that changes.

Level-triggered: what counts is what is wanted now and what the machine has, never which
events led there. A :class:`Follower` compiles what changed; a target puts it on the machine
and finds and repairs what somebody else did there; the :class:`Loop` says when.
"""

from svcnet.reconciler.follower import Follower, Snapshot, Wanted
from svcnet.reconciler.iptables import IptablesTarget
from svcnet.reconciler.ipvs import IPVSTarget
from svcnet.reconciler.loop import Loop, Pace
from svcnet.reconciler.target import Done, Target

__all__ = [
    "Done",
    "Follower",
    "IPVSTarget",
    "IptablesTarget",
    "Loop",
    "Pace",
    "Snapshot",
    "Target",
    "Wanted",
]
