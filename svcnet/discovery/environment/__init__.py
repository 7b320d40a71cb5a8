"""The variables that the kubelet sets in a container for Services, and how much room they take.

They are set once, when a container starts: it never sees a Service that comes later.
"""

from svcnet.discovery.environment.containers import (
    ContainerEnvironment,
    Override,
    pod_environment,
)
from svcnet.discovery.environment.forms import dotenv, env_list, notes, shell
from svcnet.discovery.environment.size import EnvironmentSize, KernelLimits, size_of
from svcnet.discovery.environment.variables import (
    Collision,
    Environment,
    NameRemark,
    Variable,
    environment,
    is_readable,
)

__all__ = [
    "Collision",
    "ContainerEnvironment",
    "Environment",
    "EnvironmentSize",
    "KernelLimits",
    "NameRemark",
    "Override",
    "Variable",
    "dotenv",
    "env_list",
    "environment",
    "is_readable",
    "notes",
    "pod_environment",
    "shell",
    "size_of",
]
