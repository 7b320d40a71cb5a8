"""Rules about what objects are to each other."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule
from svcnet.check.rules import names, traffic


def _huge_service() -> str:
    """Return a Service of 400 ports and 300 endpoints."""
    ports = [{"name": f"p{n}", "port": n} for n in range(1, 401)]
    endpoints = [{"addresses": [f"10.244.{n // 250}.{n % 250 + 1}"]} for n in range(300)]
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: 10.96.0.10, ports: {ports}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: {ports}
endpoints: {endpoints}
"""


def _hundred_endpoints() -> tuple[str, str]:
    """Return what to take away of :func:`_huge_service`, and what stands there then."""
    endpoints = [{"addresses": [f"10.244.{n // 250}.{n % 250 + 1}"]} for n in range(300)]
    return str(endpoints), str(endpoints[:100])


RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.DUPLICATE_OBJECT,
        remedy="Remove one. Two that are alike in all that counts are one.",
        source="an API server, which has one object of a name",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
---
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {disk: fast}}
""",
        mend=(
            "metadata: {name: node-a}\n---",
            "metadata: {name: node-b}\n---",
        ),
    ),
    CheckRule(
        check=checks.CLUSTER_IP_CONFLICT,
        remedy="Give one of the Services another address.",
        source="pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 5432}]}
""",
        mend=(
            "clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 5432}]",
            "clusterIP: 10.96.0.11, selector: {app: web}, ports: [{port: 5432}]",
        ),
    ),
    CheckRule(
        check=checks.NODE_PORT_CONFLICT,
        remedy="Give one of the ports another node port.",
        source="pkg/registry/core/service/storage/alloc.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {type: NodePort, clusterIP: 10.96.0.11, selector: {app: web}, ports: [{port: 5432, nodePort: 30080}]}
""",
        mend=("port: 5432, nodePort: 30080", "port: 5432, nodePort: 30432"),
    ),
    CheckRule(
        check=checks.NO_ENDPOINTS,
        remedy="Add `spec.selector`, or an EndpointSlice.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
""",
        mend=("ports: [{port: 80}]", "selector: {app: web}, ports: [{port: 80}]"),
    ),
    CheckRule(
        check=checks.NO_SLICE,
        remedy="Add its EndpointSlices, or its Pods with `--from-pods`.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.11, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=(
            "spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}\n",
            "spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nports: [{port: 8080}]\nendpoints: []\n",
        ),
    ),
    CheckRule(
        check=checks.UNSERVED_PORT,
        remedy="Give the port of the Service the name that the slice's port has.",
        source="pkg/proxy/endpointschangetracker.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.11, ports: [{name: postgres, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=("name: sql", "name: postgres"),
    ),
    CheckRule(
        check=checks.NO_SERVICE,
        remedy="Add the Service, or correct the label or the namespace.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{port: 5432}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=(
            "apiVersion: discovery",
            "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: {clusterIP: 10.96.0.11, ports: [{port: 5432}]}\n---\napiVersion: discovery",
        ),
    ),
    CheckRule(
        check=checks.SHARED_FRONTEND,
        remedy="Give one of them another address or port.",
        source="pkg/proxy/iptables/proxier.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.80}]}}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {type: LoadBalancer, clusterIP: 10.96.0.11, selector: {app: api}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.80}]}}
""",
        mend=(
            "selector: {app: api}, ports: [{port: 80}]",
            "selector: {app: api}, ports: [{port: 8080}]",
        ),
    ),
    CheckRule(
        check=checks.TOO_MANY_ENTRIES,
        remedy=(
            "Split the Service, or make it headless. A running `svcnet run` says so too, and "
            "only `--ignore` silences that. See [how entries are "
            "counted](inputs.md#how-much-a-service-may-ask-for)."
        ),
        source="the budget of docs/reference/inputs.md",
        example="""\
```python
from svcnet.sources import load_bytes

ports = [{"name": f"p{n}", "port": n} for n in range(1, 401)]
endpoints = [{"addresses": [f"10.244.{n // 250}.{n % 250 + 1}"]} for n in range(300)]
huge = f\"\"\"
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: 10.96.0.10, ports: {ports}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: {ports}
endpoints: {endpoints}
\"\"\"
```

```python
>>> for warning in load_bytes(huge.encode()).warnings:
...     print(warning.message, f"[{warning.check}]")
asks for more than 100,000 entries, addresses by ports by endpoints: its endpoints have no names [S709 too-many-entries]
asks for more than 100,000 entries, addresses by ports by endpoints: nodes make no rules for it [S709 too-many-entries]
```
""",
        fires=_huge_service,
        mend=_hundred_endpoints(),
    ),
    CheckRule(
        check=checks.UNSERVED_FAMILY,
        remedy="Add slices of that family, or take the address away.",
        source="pkg/proxy/iptables/proxier.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, "fd00:10:96::10"]
  ipFamilyPolicy: RequireDualStack
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=(
            "endpoints: [{addresses: [10.244.1.5]}]\n",
            'endpoints: [{addresses: [10.244.1.5]}]\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-2, labels: {kubernetes.io/service-name: web}}\naddressType: IPv6\nports: [{port: 8080}]\nendpoints: [{addresses: ["fd00:10:244:1::5"]}]\n',
        ),
    ),
    CheckRule(
        check=checks.CLUSTER_IP_TAKEN,
        remedy="Take the Service's cluster IP from a range that has no Nodes and Pods in it.",
        source="pkg/proxy/iptables/proxier.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.244.1.9, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.244.1.0/24]}
""",
        mend=("10.244.1.9", "10.96.0.9"),
    ),
    CheckRule(
        check=checks.OUTSIDE_SERVICE_CIDR,
        remedy="Correct the address, or add the ServiceCIDR that it is of.",
        source="pkg/registry/core/service/ipallocator of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.69.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.96.0.0/12]}
""",
        mend=("10.69.0.10", "10.96.0.10"),
    ),
    CheckRule(
        check=checks.CONDITION_CONFLICT,
        remedy="List each address in one slice.",
        source="pkg/proxy/endpointslicecache.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-2, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5], conditions: {ready: false}}]
""",
        mend=("[10.244.1.5], conditions", "[10.244.1.6], conditions"),
    ),
    CheckRule(
        check=checks.HEALTH_CHECK_CONFLICT,
        remedy="Choose another number, or leave both to the API server.",
        source="pkg/proxy/healthcheck/service_health.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.11
  externalTrafficPolicy: Local
  healthCheckNodePort: 30080
  selector: {app: shop}
  ports: [{port: 80, nodePort: 30081}]
""",
        mend=("healthCheckNodePort: 30080", "healthCheckNodePort: 30082"),
    ),
    CheckRule(
        check=checks.POD_CIDR_CONFLICT,
        remedy="Correct the Node's `spec.podCIDRs`.",
        source="pkg/controller/nodeipam of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.244.1.0/24]}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
spec: {podCIDRs: [10.244.1.0/24]}
""",
        mend=(
            "name: node-b}\nspec: {podCIDRs: [10.244.1.0/24]}",
            "name: node-b}\nspec: {podCIDRs: [10.244.2.0/24]}",
        ),
    ),
    CheckRule(
        check=checks.OTHER_NODE_ADDRESS,
        remedy=(
            "Give the Service an address that no Node has, or use mode iptables, where the "
            "Service takes its own ports alone."
        ),
        example="""\
`manifests.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, externalIPs: [192.0.2.11], ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 192.0.2.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
status: {addresses: [{type: InternalIP, address: 192.0.2.11}]}
```

```console
$ svcnet render manifests.yaml --mode ipvs --node node-a > rules
manifests.yaml:4: warning: Service default/web: spec.externalIPs[0]: 192.0.2.11 is an address of Node node-b, which is not reached there from node-a in mode ipvs [S717 other-node-address]
```
""",
    ),
    CheckRule(
        check=checks.SHADOWED_NAMESPACE,
        remedy="Rename the Service, or ask for the whole name: `db.shop.svc.cluster.local.`.",
        source="plugin/kubernetes of CoreDNS, and the search list that the kubelet writes",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: tools}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.11, selector: {app: db}, ports: [{port: 5432}]}
""",
        mend=("{name: shop,", "{name: web,"),
        find=names.shadowed_namespaces,
    ),
    CheckRule(
        check=checks.NO_LOCAL_ENDPOINT,
        remedy="Have a Pod on each node, as a DaemonSet does, or set `externalTrafficPolicy: Cluster`.",
        source="pkg/proxy/topology.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  externalTrafficPolicy: Local
  ports: [{port: 80, nodePort: 30080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5], nodeName: node-a}]
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
""",
        mend=("externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster"),
        find=traffic.nodes_without_endpoint,
    ),
    CheckRule(
        check=checks.SINGLE_ENDPOINT,
        remedy="Remove `sessionAffinity`, or have more Pods.",
        source="pkg/proxy/iptables/proxier.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, sessionAffinity: ClientIP, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=(
            "[{addresses: [10.244.1.5]}]",
            "[{addresses: [10.244.1.5]}, {addresses: [10.244.1.6]}]",
        ),
        find=traffic.affinity_without_choice,
    ),
)
