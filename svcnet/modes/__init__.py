"""Modes: the ways to do on a machine what a rule graph says, each a value of one type.

svcnet has the modes iptables, ipvs, nftables and userspace. Another package adds one by an entry
point of the group ``svcnet.modes``; the command and the loop treat it like svcnet's own.
"""

from svcnet.modes.adapter import Adapter, Inspection, Rules, SyncResult
from svcnet.modes.executor import Executor, Owner, Part, Plan, Report
from svcnet.modes.mode import ArtifactText, Form, Mode, ModeArtifact, Omission, cleanup_parts
from svcnet.modes.options import File, Flag, Kind, Number, Option, OptionValues, Text, Words
from svcnet.modes.pace import Pace
from svcnet.modes.proxy import DataPlane, Overload
from svcnet.modes.registry import (
    DEFAULT,
    AnyMode,
    Catalogue,
    UnusableMode,
    available,
    builtin,
    find_modes,
    get,
    resolve,
)
from svcnet.modes.settings import ModeSettings

__all__ = [
    "DEFAULT",
    "Adapter",
    "AnyMode",
    "ArtifactText",
    "Catalogue",
    "DataPlane",
    "Executor",
    "File",
    "Flag",
    "Form",
    "Inspection",
    "Kind",
    "Mode",
    "ModeArtifact",
    "ModeSettings",
    "Number",
    "Omission",
    "Option",
    "OptionValues",
    "Overload",
    "Owner",
    "Pace",
    "Part",
    "Plan",
    "Report",
    "Rules",
    "SyncResult",
    "Text",
    "UnusableMode",
    "Words",
    "available",
    "builtin",
    "cleanup_parts",
    "find_modes",
    "get",
    "resolve",
]
