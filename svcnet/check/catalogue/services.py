"""Rules about Services."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule
from svcnet.check.rules import old, services

RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.NODE_PORT_TYPE,
        remedy="Change `spec.type`, or remove the node port.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
""",
        mend=("{clusterIP", "{type: NodePort, clusterIP"),
    ),
    CheckRule(
        check=checks.CLUSTER_IP_TYPE,
        remedy="Change `spec.type`, or remove the cluster IP.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: db.example.net, clusterIP: 10.96.0.10}
""",
        mend=(", clusterIP: 10.96.0.10", ""),
    ),
    CheckRule(
        check=checks.CLUSTER_IPS,
        remedy="Have `spec.clusterIPs` begin with `spec.clusterIP`, or leave one of them out.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.11], selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("10.96.0.11", "10.96.0.10"),
    ),
    CheckRule(
        check=checks.IP_FAMILIES,
        remedy="Put both in one order, or leave `spec.ipFamilies` out.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ipFamilies: [IPv6], selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("[IPv6]", "[IPv4]"),
    ),
    CheckRule(
        check=checks.MISPLACED_FIELD,
        remedy=(
            "Remove the field, or correct `spec.type`. Here nothing arrives from outside that "
            "a policy could be for."
        ),
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  externalTrafficPolicy: Local
  selector: {app: web}
  ports: [{port: 80}]
""",
        mend=(
            "  externalTrafficPolicy: Local\n",
            "",
        ),
    ),
    CheckRule(
        check=checks.NO_CLUSTER_IP,
        remedy=(
            "Take the Service from a cluster (`kubectl get service -o yaml`), or write an address. "
            "Verbs that only tell something [make one up](inputs.md#what-is-made-up) where no "
            "object was in a cluster."
        ),
        example="""\
`manifests.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
```
""",
        source="pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, labels: {app: db}}
spec: {containers: [{name: db}]}
status: {phase: Running, podIP: 10.244.1.6}
""",
        mend=("spec: {selector: {app: db}", "spec: {clusterIP: 10.96.0.11, selector: {app: db}"),
    ),
    CheckRule(
        check=checks.TOPOLOGY_ANNOTATIONS,
        remedy="Remove `service.kubernetes.io/topology-aware-hints`, the old one.",
        source="pkg/proxy/topology.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    service.kubernetes.io/topology-mode: Auto
    service.kubernetes.io/topology-aware-hints: Disabled
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=(
            "    service.kubernetes.io/topology-aware-hints: Disabled\n",
            "",
        ),
    ),
    CheckRule(
        check=checks.UNUSED_FIELD,
        remedy="Remove `healthCheckNodePort`, or set `externalTrafficPolicy` to Local.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  healthCheckNodePort: 32000
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
""",
        mend=(
            "  healthCheckNodePort: 32000\n",
            "  externalTrafficPolicy: Local\n  healthCheckNodePort: 32000\n",
        ),
    ),
    CheckRule(
        check=checks.FAMILY_POLICY,
        remedy="Correct `spec.ipFamilyPolicy`, or leave it and `spec.ipFamilies` out.",
        source="pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv4, IPv6]
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  selector: {app: web}
  ports: [{port: 80}]
""",
        mend=("SingleStack", "PreferDualStack"),
    ),
    CheckRule(
        check=checks.OPEN_ADDRESS,
        remedy="Add ranges of that family too; `::/0` says that everybody is meant.",
        source="pkg/proxy/servicechangetracker.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  ipFamilyPolicy: RequireDualStack
  loadBalancerSourceRanges: [198.51.100.0/24]
  selector: {app: web}
  ports: [{port: 80}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.7}, {ip: "2001:db8::7"}]}}
""",
        mend=("[198.51.100.0/24]", '[198.51.100.0/24, "2001:db8:5::/48"]'),
    ),
    CheckRule(
        check=checks.SINGLE_STACK,
        remedy="Say `ipFamilyPolicy: PreferDualStack`, or `SingleStack` where that is meant.",
        source="initIPFamilyFields in pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/16, "fd00:10:96::/112"]}
""",
        mend=("spec: {selector", "spec: {ipFamilyPolicy: PreferDualStack, selector"),
        find=services.single_stack,
    ),
    CheckRule(
        check=checks.FOREIGN_RANGE,
        remedy="Write ranges of the Service's IP family; `0.0.0.0/0` says that everybody is meant.",
        source="pkg/proxy/serviceport.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  loadBalancerSourceRanges: ["2001:db8::/32"]
  selector: {app: web}
  ports: [{port: 80}]
""",
        mend=('["2001:db8::/32"]', "[198.51.100.0/24]"),
        find=services.foreign_ranges,
    ),
    CheckRule(
        check=checks.ALIAS_OF_ADDRESS,
        remedy="Write a Service without a selector and an EndpointSlice that has the address.",
        source="plugin/kubernetes of CoreDNS, and the Kubernetes documentation of ExternalName",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: 192.0.2.10}
""",
        mend=("192.0.2.10", "db.example.net"),
        find=services.aliases_of_addresses,
    ),
    CheckRule(
        check=checks.ALIAS_PORT,
        remedy="Remove the ports. For another port, write an EndpointSlice or a proxy.",
        source="plugin/kubernetes of CoreDNS, which answers with a CNAME alone",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: ExternalName, externalName: db.example.net, ports: [{port: 5432, targetPort: 6432}]}
""",
        mend=(", ports: [{port: 5432, targetPort: 6432}]", ""),
        find=services.aliases_with_ports,
    ),
    CheckRule(
        check=checks.UNREADY_TRAFFIC,
        remedy="Move the field to a headless Service beside this one.",
        source="pkg/apis/core/types.go and staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: 10.96.0.11
  publishNotReadyAddresses: true
  selector: {app: db}
  ports: [{port: 5432}]
""",
        mend=("clusterIP: 10.96.0.11", "clusterIP: None"),
        find=services.unready_traffic,
    ),
    CheckRule(
        check=checks.LONG_LABEL,
        remedy="Shorten the name; of an ExternalName, look for a missing dot.",
        source="RFC 1035, section 2.3.4",
        fires=f"""\
apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{type: ExternalName, externalName: {"database-of-the-shop" * 4}.example.net}}
""",
        mend=("database-of-the-shop" * 4, "database-of-the-shop"),
        find=services.long_labels,
    ),
    CheckRule(
        check=checks.OLD_DISTRIBUTION,
        remedy="Write `PreferSameZone`, or `PreferSameNode` where the node itself is meant.",
        source="GetWarningsForService in pkg/api/service/warnings.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  trafficDistribution: PreferClose
  selector: {app: web}
  ports: [{port: 80}]
""",
        mend=("PreferClose", "PreferSameZone"),
        find=old.old_distributions,
    ),
    CheckRule(
        check=checks.OLD_TOPOLOGY,
        remedy="Write `spec.trafficDistribution`, or the annotation `service.kubernetes.io/topology-mode`.",
        source="GetWarningsForService in pkg/api/service/warnings.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {service.kubernetes.io/topology-aware-hints: Auto}}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("topology-aware-hints", "topology-mode"),
        find=old.old_topology,
    ),
    CheckRule(
        check=checks.OLD_EXTERNAL_IPS,
        remedy="Have a load balancer give the address: type LoadBalancer, with MetalLB or a cloud's.",
        source="GetWarningsForService in pkg/api/service/warnings.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  externalIPs: [192.0.2.80]
  selector: {app: web}
  ports: [{port: 80}]
""",
        mend=("  externalIPs: [192.0.2.80]\n", ""),
        find=old.old_external_ips,
    ),
)
