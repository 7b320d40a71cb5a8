"""The labels and annotations that mean something to svcnet or to what it stands in for.

Each key stands here once. What the values mean is told where they are read.
"""

from __future__ import annotations

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""Of an EndpointSlice: the Service whose endpoints it has."""

HEADLESS_LABEL = "service.kubernetes.io/headless"
"""Of an EndpointSlice or Endpoints: the Service has no virtual IP, so no proxy looks at them."""

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
"""Of a Service: another proxy handles it."""

HINTS_ANNOTATION = "service.kubernetes.io/topology-mode"
OLD_HINTS_ANNOTATION = "service.kubernetes.io/topology-aware-hints"
"""Of a Service: hints are made by the CPUs of zones. Where both stand, the old one wins."""

ZONE_LABEL = "topology.kubernetes.io/zone"
"""Of a Node: its zone."""

HOSTNAME_LABEL = "kubernetes.io/hostname"
"""Of a Node: its name."""

SYSTEM_LABEL = "kubernetes.io/os"
"""Of a Node: its operating system, such as ``linux``."""

POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"
"""Of a Pod of a StatefulSet: its name, and its number."""

JOB_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
JOB_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
"""Of a Pod of a Job: the Job's name, and which of its completions this one is."""

DAEMON_TAINTS = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/unschedulable",
)
NETWORK_TAINT = "node.kubernetes.io/network-unavailable"
"""Of a Node: taints that a Pod of a DaemonSet bears, the last one in the Node's own network."""

CONTROL_PLANE_LABELS = frozenset(
    ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
)
"""Of a Node: it is of the control plane. The second is the old one."""

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
"""Of an EndpointSlice: the controller that made it."""

SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
"""Of Endpoints: they are not mirrored, if its value is ``true``."""

ENDPOINTS_MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
"""Of Endpoints: the controller that made them."""

OVER_CAPACITY_ANNOTATION = "endpoints.kubernetes.io/over-capacity"
"""Of Endpoints: there are more addresses than they may have."""

TRIGGER_ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"
"""Of an EndpointSlice or Endpoints: when the Pods or the Service changed of which it was made."""

LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
"""Of Endpoints: they hold a lock, and nobody's addresses."""

APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
"""Of any object: the text that ``kubectl apply`` was given."""

OWN_PREFIX = "svcnet.io/"
"""What the names of svcnet's own annotations begin with."""

SCHEDULER_ANNOTATION = "svcnet.io/ipvs-scheduler"
"""Of a Service: its IPVS scheduler."""

PROXY_PROTOCOL_ANNOTATION = "svcnet.io/proxy-protocol"
"""Of a Service: its endpoints understand the PROXY protocol (userspace mode)."""

WEIGHT_ANNOTATION = "svcnet.io/ipvs-weight"
"""Of an EndpointSlice, or of Endpoints: its endpoints' IPVS weight."""

IGNORE_ANNOTATION = "svcnet.io/ignore"
"""Of any object: the warnings about it that are silenced."""
