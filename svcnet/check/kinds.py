"""Kinds of objects that svcnet does not read, and that rules must know of all the same.

An operator makes Pods of an object of its own kind, so a selector that finds none in the input may
find some in the repository. These are the kinds of which that is known not to be so.
"""

from __future__ import annotations

SCALES = frozenset({"HorizontalPodAutoscaler", "ScaledObject", "VerticalPodAutoscaler"})
"""They change how many Pods there are."""

ROUTES = frozenset(
    {
        *("Ingress", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"),
        *("VirtualService", "IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "HTTPProxy"),
        *("TrafficSplit", "ServiceProfile", "Route"),
    }
)
"""They name ports of Services, those of type ExternalName too."""

MAKES_NO_PODS = frozenset(
    {
        *SCALES,
        *ROUTES,
        *("ConfigMap", "Secret", "Namespace", "ServiceAccount", "LimitRange", "ResourceQuota"),
        *("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "NetworkPolicy", "Event"),
        *("PersistentVolume", "PersistentVolumeClaim", "StorageClass", "VolumeAttachment"),
        *("CSIDriver", "CSINode", "CSIStorageCapacity", "VolumeAttributesClass", "IngressClass"),
        *("PodDisruptionBudget", "PodSecurityPolicy", "PodTemplate", "PriorityClass"),
        *("RuntimeClass", "Lease", "ControllerRevision", "CertificateSigningRequest"),
        *("CustomResourceDefinition", "APIService", "IPAddress", "ComponentStatus"),
        *("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
        *("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"),
        *("FlowSchema", "PriorityLevelConfiguration", "ClusterTrustBundle", "DeviceClass"),
        *("ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"),
        *("ServiceMonitor", "PodMonitor", "PrometheusRule", "Probe", "DestinationRule"),
        *("Certificate", "Issuer", "ClusterIssuer", "ExternalSecret", "SealedSecret"),
    }
)
