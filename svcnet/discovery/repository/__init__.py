"""What a cluster would make of the objects that people keep, which no cluster has seen yet.

:func:`assume` adds the Pods of workloads, addresses of Pods and Services, and Nodes that are asked
for: all by name, so that what is there for one object is the same whatever others there are.
"""

from svcnet.discovery.repository.additions import Additions, Allocation
from svcnet.discovery.repository.assumptions import Assumptions
from svcnet.discovery.repository.completion import RepositoryCompletion, assume, was_in_cluster

__all__ = [
    "Additions",
    "Allocation",
    "Assumptions",
    "RepositoryCompletion",
    "assume",
    "was_in_cluster",
]
