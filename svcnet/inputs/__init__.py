"""What a verb or a run starts from: state, configuration, node and host facts, checked together.

Files and standard input are read here, and what is wrong or surely not meant is raised or told.
It knows no verb, and no loop.
"""

from svcnet.inputs.manifests import (
    UnsupportedPorts,
    describe_omissions,
    load_manifests,
    paths_or_input,
    refuse_no_path,
    tell_findings,
    tell_warnings,
)
from svcnet.inputs.read import (
    FAMILIES,
    InputRequest,
    Inputs,
    ModeRequest,
    probe_host,
    read_inputs,
    read_located,
    read_nodes,
    read_settings,
)
from svcnet.inputs.strictness import EVERY_WARNING, Strictness

__all__ = [
    "EVERY_WARNING",
    "FAMILIES",
    "InputRequest",
    "Inputs",
    "ModeRequest",
    "Strictness",
    "UnsupportedPorts",
    "describe_omissions",
    "load_manifests",
    "paths_or_input",
    "probe_host",
    "read_inputs",
    "read_located",
    "read_nodes",
    "read_settings",
    "refuse_no_path",
    "tell_findings",
    "tell_warnings",
]
