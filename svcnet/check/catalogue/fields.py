"""Rules about fields of any object."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule


def _large_note() -> str:
    """Return a Service with an annotation of 300,000 letters."""
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    note: {"x" * 300_000}
spec: {{clusterIP: 10.96.0.10, selector: {{app: web}}, ports: [{{port: 80}}]}}
"""


RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.TYPE,
        remedy="Write a value of the type that the message names. Quotes make text of a number.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: "80"}]}
""",
        mend=('port: "80"', "port: 80"),
    ),
    CheckRule(
        check=checks.CHOICE,
        remedy="Write one that the message lists, in the same case.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: clusterip, clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("type: clusterip", "type: ClusterIP"),
    ),
    CheckRule(
        check=checks.RANGE,
        remedy="Write a number of the range that the message names.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80800}]}
""",
        mend=("80800", "8080"),
    ),
    CheckRule(
        check=checks.ADDRESS,
        remedy="Write an IPv4 or IPv6 address; svcnet asks no name server.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.300, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("10.96.0.300", "10.96.0.30"),
    ),
    CheckRule(
        check=checks.CIDR,
        remedy="Write an address and a prefix length; for one address `/32` or `/128`.",
        source="ValidateNode in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.244.1.0]}
""",
        mend=("10.244.1.0]", "10.244.1.0/24]"),
    ),
    CheckRule(
        check=checks.NAME,
        remedy="Write small letters, digits and `-`, and dots where the message allows them.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: my_web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("my_web", "my-web"),
    ),
    CheckRule(
        check=checks.REQUIRED,
        remedy="Add the field.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{name: http}]}
""",
        mend=("[{name: http}]", "[{name: http, port: 80}]"),
    ),
    CheckRule(
        check=checks.SPECIAL_ADDRESS,
        remedy="Write the address that other machines reach it by.",
        source="ValidateEndpointSlice in pkg/apis/discovery/validation of Kubernetes v1.36",
        fires="""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
""",
        mend=("127.0.0.1", "10.244.1.5"),
    ),
    CheckRule(
        check=checks.REPEATED_MEMBER,
        remedy="Give one of them another name or number, or remove it.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{name: http, port: 80}, {name: http, port: 8080}]}
""",
        mend=("name: http, port: 8080", "name: admin, port: 8080"),
    ),
    CheckRule(
        check=checks.IP_FAMILY,
        remedy="Keep one IPv4 and one IPv6 address.",
        source="ValidatePodStatusUpdate in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Pod
metadata: {name: web-1}
spec: {containers: [{name: web}]}
status: {podIPs: [{ip: 10.244.1.5}, {ip: 10.244.1.6}]}
""",
        mend=("10.244.1.6", '"fd00:10:244:1::6"'),
    ),
    CheckRule(
        check=checks.PORT_NAME,
        remedy="Shorten the name, at every place that uses it.",
        source="ValidateService in pkg/apis/core/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, targetPort: administration-http}]}
""",
        mend=("administration-http", "admin-http"),
    ),
    CheckRule(
        check=checks.ANNOTATION,
        remedy="Write a value of [the table](inputs.md#annotations), or remove the annotation.",
        source="svcnet's own annotations",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {svcnet.io/ipvs-scheduler: fastest}}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("fastest", "wrr"),
    ),
    CheckRule(
        check=checks.LABEL,
        remedy=(
            "Write at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at "
            "both ends. A key may have a domain and `/` before."
        ),
        source="ValidateObjectMeta in k8s.io/apimachinery/pkg/api/validation of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: "web shop"}}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("web shop", "web-shop"),
    ),
    CheckRule(
        check=checks.ANNOTATION_SIZE,
        remedy="Keep large texts in a ConfigMap.",
        source="ValidateObjectMeta in k8s.io/apimachinery/pkg/api/validation of Kubernetes v1.36",
        example="""\
```console
$ printf 'apiVersion: v1\\nkind: Service\\nmetadata:\\n  name: web\\n  annotations:\\n    note: ' > noted.yaml
$ head -c 300000 /dev/zero | tr '\\0' x >> noted.yaml
$ printf '\\nspec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}\\n' >> noted.yaml
$ svcnet render noted.yaml
noted.yaml:5: error: Service default/web: metadata.annotations: have 300,004 bytes together; at most 262,144 [S214 annotation-size]
```
""",
        fires=_large_note,
        mend=("x" * 300_000, "x"),
    ),
    CheckRule(
        check=checks.OTHER_NAMESPACE,
        remedy="Leave the namespace of the object away, or `--namespace`.",
        source="RequireNamespace in k8s.io/cli-runtime/pkg/resource of Kubernetes v1.36",
        example="""\
`elsewhere.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web, namespace: test}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
```

```console
$ svcnet render -n shop -f elsewhere.yaml
elsewhere.yaml:3: error: Service test/web: metadata.namespace: is not shop, which --namespace asks for [S215 other-namespace]
```
""",
    ),
    CheckRule(
        check=checks.UNKNOWN_FIELD,
        remedy=(
            "Write the field that was meant, in its exact case and at its place; the message "
            "names the nearest one."
        ),
        source="the strict decoding of k8s.io/apimachinery of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, targetport: 8080}]}
""",
        mend=("targetport", "targetPort"),
    ),
    CheckRule(
        check=checks.UNKNOWN_ANNOTATION,
        remedy=(
            "Write an annotation of [the table](inputs.md#annotations), on a kind that has "
            "it. `svcnet.io/ignore` takes the names of warnings on this page."
        ),
        source="svcnet's own annotations",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {svcnet.io/ipvs-sheduler: wrr, svcnet.io/ipvs-weight: "5"}}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=(
            '{svcnet.io/ipvs-sheduler: wrr, svcnet.io/ipvs-weight: "5"}',
            "{svcnet.io/ipvs-scheduler: wrr}",
        ),
    ),
    CheckRule(
        check=checks.UNUSED_IGNORE,
        remedy="Take the name out of the annotation, or the annotation away.",
        source="svcnet's own annotations",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {svcnet.io/ignore: alias-port}}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
""",
        mend=(", annotations: {svcnet.io/ignore: alias-port}", ""),
    ),
)
