"""What a cluster says about its Services, and what a node says about itself.

Frozen, slotted values without behaviour beyond small derived facts. They hold only
the fields that can change an output, with the API server's defaults already filled
in: :mod:`svcnet.sources` makes them from manifests, tests make them by hand.
"""

from svcnet.family import IPFamily
from svcnet.models.budget import Budget
from svcnet.models.config import (
    ConntrackConfiguration,
    DetectLocalConfiguration,
    IPTablesConfiguration,
    IPVSConfiguration,
    KubeProxyConfiguration,
    NFTablesConfiguration,
    RuleSettings,
)
from svcnet.models.endpoints import (
    Endpoint,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    EndpointSubset,
    TargetRef,
)
from svcnet.models.host import Host
from svcnet.models.node import Node, Taint
from svcnet.models.pod import Container, ContainerPort, EnvVar, Pod
from svcnet.models.service import LoadBalancerIngress, Service, ServiceCIDR, ServicePort
from svcnet.models.state import ClusterState, NamespacedName, WorkloadName
from svcnet.models.workload import (
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    LabelRequirement,
    LabelSelector,
    NodeTerm,
    PodTemplate,
    ReplicaSet,
    ReplicationController,
    StatefulSet,
    Toleration,
    Workload,
)

__all__ = [
    "Budget",
    "ClusterState",
    "ConntrackConfiguration",
    "Container",
    "ContainerPort",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "DetectLocalConfiguration",
    "Endpoint",
    "EndpointAddress",
    "EndpointPort",
    "EndpointSlice",
    "EndpointSubset",
    "Endpoints",
    "EnvVar",
    "Host",
    "IPFamily",
    "IPTablesConfiguration",
    "IPVSConfiguration",
    "Job",
    "KubeProxyConfiguration",
    "LabelRequirement",
    "LabelSelector",
    "LoadBalancerIngress",
    "NFTablesConfiguration",
    "NamespacedName",
    "Node",
    "NodeTerm",
    "Pod",
    "PodTemplate",
    "ReplicaSet",
    "ReplicationController",
    "RuleSettings",
    "Service",
    "ServiceCIDR",
    "ServicePort",
    "StatefulSet",
    "Taint",
    "TargetRef",
    "Toleration",
    "Workload",
    "WorkloadName",
]
