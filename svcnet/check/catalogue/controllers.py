"""Rules about what controllers make of objects."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule
from svcnet.check.rules import names, ports, selectors


def _long_variables() -> str:
    """Return 2,000 Services, of which each sets seven variables, and a Pod that gets them."""
    services = "---\n".join(
        f"""\
apiVersion: v1
kind: Service
metadata: {{name: web-{number}}}
spec:
  clusterIP: 10.96.{number // 250}.{number % 250 + 1}
  selector: {{app: web}}
  ports: [{{port: 80}}]
"""
        for number in range(2000)
    )
    return f"""\
{services}---
apiVersion: v1
kind: Pod
metadata: {{name: web-1, labels: {{app: web}}}}
spec: {{enableServiceLinks: true, containers: [{{name: web}}]}}
status: {{phase: Running, podIP: 10.244.1.5}}
"""


RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.NO_POD,
        remedy="Correct the selector, or the labels of the Pods.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: wbe}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {phase: Running, podIP: 10.244.1.5}
""",
        mend=("app: wbe", "app: web"),
        find=selectors.selectors_without_pods,
    ),
    CheckRule(
        check=checks.NO_TARGET_PORT,
        remedy="Correct `targetPort`, or name the container's port.",
        source="FindPort in pkg/api/v1/pod of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, targetPort: htpp}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.5}
""",
        mend=("targetPort: htpp", "targetPort: http"),
        find=ports.names_of_no_port,
    ),
    CheckRule(
        check=checks.NO_POD_IP,
        remedy="Take the Pod from a cluster, where it has `status.podIP`.",
        example="""\
`manifests.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web}]}
```
""",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web}]}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, labels: {app: db}}
spec: {containers: [{name: db}]}
status: {phase: Running, podIP: 10.244.1.6}
""",
        mend=("status: {phase: Running}", "status: {phase: Running, podIP: 10.244.1.5}"),
    ),
    CheckRule(
        check=checks.NO_POD_NODE,
        remedy="Add the Node to the input, or leave all Nodes out.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: node-b, containers: [{name: web}]}
status: {phase: Running, podIP: 10.244.1.5}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
""",
        mend=("nodeName: node-b", "nodeName: node-a"),
    ),
    CheckRule(
        check=checks.VARIABLE_CONFLICT,
        remedy="Rename one of the Services, or one of its ports.",
        source="pkg/kubelet/envvars/envvars.go of Kubernetes v1.36",
        example="""\
`variables.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.11, selector: {app: db}, ports: [{name: service-port, port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-service}
spec: {clusterIP: 10.96.0.12, selector: {app: db}, ports: [{name: http, port: 2}]}
```

```console
$ svcnet env variables.yaml > variables
variables.yaml:...: warning: Service default/db-service: metadata.name: sets DB_SERVICE_PORT to 'tcp://10.96.0.12:2', Service default/db to '1': default/db wins here, and in a cluster any of them [S805 variable-conflict]
```
""",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: 10.96.0.11, selector: {app: db}, ports: [{name: service-port, port: 1}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-service}
spec: {clusterIP: 10.96.0.12, selector: {app: db}, ports: [{name: http, port: 2}]}
""",
        mend=("name: db-service", "name: database"),
        find=names.variable_conflicts,
    ),
    CheckRule(
        check=checks.EMPTY_NAMESPACE,
        remedy="Correct `--namespace`.",
        example="""\
```console
$ svcnet env examples/my-service --namespace shpo
warning: no Service of the input is in namespace 'shpo' [S806 empty-namespace]
```
""",
    ),
    CheckRule(
        check=checks.ENVIRONMENT_SIZE,
        remedy="Set `enableServiceLinks: false` in the Pod, or shorten the value.",
        source="bprm_stack_limits in fs/exec.c of Linux",
        example="""\
```console
$ printf 'apiVersion: v1\\nkind: Pod\\nmetadata: {name: web}\\nspec: {containers: [{name: web, env: [{name: LONG, value: x%0200000d}]}]}\\n' 0 > long.yaml
$ svcnet env long.yaml --pod web --size > sizes
warning: container web: LONG takes 200,007 bytes; no program can be started with more than 131,072 in one variable [S807 environment-size]
```
""",
        fires=_long_variables,
        mend=("enableServiceLinks: true", "enableServiceLinks: false"),
        find=names.large_environments,
    ),
    CheckRule(
        check=checks.CLUSTER_FAMILIES,
        remedy="Say `--ip-families`, or ignore it; `--strict` has no objection.",
        example="""\
`made.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {nodeName: node-a, containers: [{name: web, image: web}]}
status: {phase: Running, podIPs: [{ip: 10.244.1.5}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
```

```console
$ svcnet render made.yaml --from-pods > rules
the cluster's IP family is IPv4, by the Pods; else say --ip-families [S808 cluster-families]
$ svcnet render made.yaml --from-pods --ip-families IPv4 > rules
```
""",
    ),
    CheckRule(
        check=checks.ASSUMED,
        remedy="""\
Nothing is wrong: [what is made up](inputs.md#what-is-made-up) follows from names, and no cluster
has it. `--assume never` makes nothing up; `--strict` has no objection.""",
        example="""\
`shop.yaml`:
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
```

```console
$ svcnet render shop.yaml --ip-families IPv4 > rules
made up: 3 Pods of 1 Deployment, in 10.244.0.0/16, ready whatever probes would say [S809 assumed]
made up: cluster IPs of 1 Service, in 10.96.0.0/12 [S809 assumed]
```
""",
    ),
    CheckRule(
        check=checks.NO_ADMISSION,
        remedy="""\
Label a Node as `nodeSelector` and the affinity of the Pods want it, or have them tolerate its
taints. What is not in manifests, such as memory that is left, is not asked about.""",
        source="GetRequiredNodeAffinity in k8s.io/component-helpers, v1.36",
        example="""\
`picky.yaml`:
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {disk: fast}
      containers: [{name: web, image: nginx}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
```

```console
$ svcnet render picky.yaml --nodes 2 --node node-1 --ip-families IPv4 --ignore assumed > rules
picky.yaml:8: warning: Deployment default/web: spec.template.spec: no Node admits its Pods, so they wait [S810 no-admission]
```
""",
        fires="""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {disk: fast}
      containers: [{name: web, image: nginx}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a, labels: {disk: slow}}
""",
        mend=("disk: slow", "disk: fast"),
    ),
    CheckRule(
        check=checks.UNLISTED_PORT,
        remedy="Correct `targetPort`, or add the port to the container that listens on it.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36, which takes any number",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, targetPort: 8008}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.5}
""",
        mend=("8008", "8080"),
        find=ports.numbers_of_no_port,
    ),
    CheckRule(
        check=checks.PORT_PROTOCOL,
        remedy="Write the same `protocol` at the Service's port and the container's.",
        source="FindPort in pkg/api/v1/pod of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{port: 80, protocol: UDP, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.5}
""",
        mend=("protocol: UDP", "protocol: TCP"),
        find=ports.ports_of_other_protocol,
    ),
    CheckRule(
        check=checks.HEADLESS_PORT,
        remedy="Write the port that Pods listen on, or give the port a name and ask for SRV records.",
        source="plugin/kubernetes of CoreDNS, and the DNS specification of Kubernetes",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.244.1.5}
""",
        mend=("port: 80, targetPort", "port: 8080, targetPort"),
        find=ports.headless_ports,
    ),
    CheckRule(
        check=checks.UNREADABLE_VARIABLE,
        remedy="Begin the name of the Service with a letter, or read no variables of it.",
        source="POSIX, XBD 3.216, and pkg/kubelet/envvars/envvars.go of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: 2048-game}
spec: {clusterIP: 10.96.0.10, selector: {app: game}, ports: [{port: 80}]}
""",
        mend=("2048-game", "game-2048"),
        find=names.unreadable_variables,
    ),
    CheckRule(
        check=checks.NO_GOVERNING_SERVICE,
        remedy="Write the name of the headless Service as `spec.serviceName`.",
        source="pkg/controller/statefulset of Kubernetes v1.36, and plugin/kubernetes of CoreDNS",
        fires="""\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db-headles
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: postgres}]}
---
apiVersion: v1
kind: Service
metadata: {name: db-headless}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 5432}]}
""",
        mend=("serviceName: db-headles", "serviceName: db-headless"),
        find=names.pods_without_names,
    ),
)
