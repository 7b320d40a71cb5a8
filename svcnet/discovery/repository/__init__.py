"""What a cluster would make of the objects that people keep, which no cluster has seen yet.

:func:`assume` adds the Pods of workloads, addresses of Pods and Services, and Nodes that are asked
for: all by name, so that what is there for one object is the same whatever others there are.
"""

from svcnet.discovery.repository.assumptions import Assumptions
from svcnet.discovery.repository.completion import (
    Additions,
    RepositoryCompletion,
    assume,
    was_in_cluster,
)
from svcnet.discovery.repository.services import Allocation, lacks_address
from svcnet.discovery.repository.workloads import pods_of

__all__ = [
    "Additions",
    "Allocation",
    "Assumptions",
    "RepositoryCompletion",
    "assume",
    "lacks_address",
    "pods_of",
    "was_in_cluster",
]
