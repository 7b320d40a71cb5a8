"""Keeping a machine's rules true to a cluster that changes.

Level-triggered: what counts is what is wanted now and what the machine has, never which
events led there. A :class:`Follower` compiles what changed; a :class:`Keeper` puts it on the
machine, over what the mode knows, and finds and repairs what somebody else did there; the
:class:`Loop` says when, and tells what happens as
:data:`events <svcnet.reconciler.events.Event>`. A :class:`Journal` keeps what became of it, for
:func:`status_document`.
"""

from svcnet.reconciler.change import Change
from svcnet.reconciler.events import (
    AllClearEvent,
    BeginEvent,
    Event,
    InSyncEvent,
    QueueEvent,
    RefusalEvent,
    SweepEvent,
    SyncEvent,
    WarningEvent,
)
from svcnet.reconciler.flows import StaleFlows
from svcnet.reconciler.follower import Follower, Snapshot, WantedGraph
from svcnet.reconciler.journal import (
    FamilyRecord,
    Journal,
    JournalEntry,
    LastSync,
    RefusedFile,
    RefusedInput,
    RefusedRules,
)
from svcnet.reconciler.keeper import Keeper
from svcnet.reconciler.leftovers import Leftovers, remove_leftovers
from svcnet.reconciler.loop import FamilyState, Loop
from svcnet.reconciler.monitor import Monitor
from svcnet.reconciler.status import status_document
from svcnet.reconciler.target import Target

__all__ = [
    "AllClearEvent",
    "BeginEvent",
    "Change",
    "Event",
    "FamilyRecord",
    "FamilyState",
    "Follower",
    "InSyncEvent",
    "Journal",
    "JournalEntry",
    "Keeper",
    "LastSync",
    "Leftovers",
    "Loop",
    "Monitor",
    "QueueEvent",
    "RefusalEvent",
    "RefusedFile",
    "RefusedInput",
    "RefusedRules",
    "Snapshot",
    "StaleFlows",
    "SweepEvent",
    "SyncEvent",
    "Target",
    "WantedGraph",
    "WarningEvent",
    "remove_leftovers",
    "status_document",
]
