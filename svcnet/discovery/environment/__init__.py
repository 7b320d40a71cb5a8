"""The variables that the kubelet sets in a container for Services, and how much room they take.

They are set once, when a container starts: it never sees a Service that comes later.
"""

from svcnet.discovery.environment.forms import dotenv, env_list, shell
from svcnet.discovery.environment.size import Limits, Size, size_of
from svcnet.discovery.environment.variables import (
    Collision,
    Environment,
    Variable,
    environment,
    is_readable,
)

__all__ = [
    "Collision",
    "Environment",
    "Limits",
    "Size",
    "Variable",
    "dotenv",
    "env_list",
    "environment",
    "is_readable",
    "shell",
    "size_of",
]
