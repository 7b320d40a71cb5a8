"""Rules about Nodes, Pods and ServiceCIDRs."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule

RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.VARIABLE_NAME,
        remedy="Write printable ASCII without `=`.",
        source="ValidatePodCreate in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec: {containers: [{name: web, env: [{name: "A=B", value: "1"}]}]}
""",
        mend=("A=B", "A_B"),
    ),
    CheckRule(
        check=checks.VARIABLE_VALUE,
        remedy="Remove `value` or `valueFrom`.",
        source="ValidatePodCreate in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec:
  containers:
    - name: web
      env: [{name: A, value: "1", valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
""",
        mend=('value: "1", ', ""),
    ),
    CheckRule(
        check=checks.NODE_ADDRESS,
        remedy=(
            "Look at how the kubelet is told its address (`--node-ip`). A name belongs to "
            "type Hostname."
        ),
        source="the kubelet's --node-ip",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: node-a.example.com}]}
""",
        mend=("address: node-a.example.com", "address: 192.0.2.10"),
    ),
    CheckRule(
        check=checks.POD_STATUS,
        remedy="Write the word as Kubernetes does: `Running`.",
        source="the phases of Pods in staging/src/k8s.io/api/core/v1 of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec: {containers: [{name: web}]}
status: {phase: running}
""",
        mend=("phase: running", "phase: Running"),
    ),
    CheckRule(
        check=checks.TEMPLATE_LABELS,
        remedy="Give `spec.template.metadata.labels` the labels of `spec.selector`.",
        source="pkg/apis/apps/validation of Kubernetes v1.36",
        example="""\
`labels.yaml`:
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: wbe}}
    spec: {containers: [{name: web, image: nginx}]}
```

```console
$ svcnet render labels.yaml
labels.yaml:7: error: Deployment default/web: spec.template.metadata.labels: are not those that spec.selector finds [S511 template-labels]
```
""",
        fires="""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: wbe}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("app: wbe", "app: web"),
    ),
)
