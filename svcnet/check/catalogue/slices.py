"""Rules about EndpointSlices and Endpoints."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule
from svcnet.check.rules import old

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
"""


def _many_endpoints() -> str:
    """Return a slice of 1,001 endpoints."""
    endpoints = "- addresses: [10.244.1.5]\n" * 1001
    return f"""\
{SERVICE}apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints:
{endpoints}"""


def _many_addresses() -> str:
    """Return Endpoints of 1,001 addresses."""
    addresses = "".join(f"  - {{ip: 10.244.{n // 250}.{n % 250 + 1}}}\n" for n in range(1001))
    return f"""\
{SERVICE}apiVersion: v1
kind: Endpoints
metadata:
  name: web
  annotations: {{svcnet.io/ignore: old-endpoints}}
subsets:
- ports: [{{port: 8080}}]
  addresses:
{addresses}"""


RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.ENDPOINT_COUNT,
        remedy="Divide the endpoints among several slices.",
        source="ValidateEndpointSlice in pkg/apis/discovery/validation of Kubernetes v1.36",
        example="""\
```console
$ printf 'apiVersion: discovery.k8s.io/v1\\nkind: EndpointSlice\\nmetadata: {name: web-1}\\n' > many.yaml
$ printf 'addressType: IPv4\\nendpoints:\\n' >> many.yaml
$ for n in $(seq 1001); do echo '- addresses: [10.244.1.5]' >> many.yaml; done
$ svcnet render many.yaml
many.yaml:5: error: EndpointSlice default/web-1: endpoints: has 1001 members; at most 1000 [S401 endpoint-count]
```
""",
        fires=_many_endpoints,
        mend=("- addresses: [10.244.1.5]\n" * 1000, ""),
    ),
    CheckRule(
        check=checks.ADDRESS_TYPE,
        remedy="Correct `addressType`, or put the address into another slice.",
        source="ValidateEndpointSlice in pkg/apis/discovery/validation of Kubernetes v1.36",
        fires="""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
""",
        mend=("addressType: IPv6", "addressType: IPv4"),
    ),
    CheckRule(
        check=checks.NO_SERVICE_NAME,
        remedy="Add the label; names of slices say nothing.",
        source="staging/src/k8s.io/endpointslice of Kubernetes v1.36",
        fires="""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
""",
        mend=(
            """\
metadata: {name: web-1}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
""",
            f"""\
metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints: [{{addresses: [10.244.1.5]}}]
---
{SERVICE.removesuffix("---" + chr(10))}""",
        ),
    ),
    CheckRule(
        check=checks.ENDPOINT_PORT,
        remedy="Correct the number. The API server takes any in a slice.",
        source="pkg/proxy/endpointslicecache.go of Kubernetes v1.36",
        fires="""\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 80800}]
endpoints: [{addresses: [10.244.1.5]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
""",
        mend=("80800", "8080"),
    ),
    CheckRule(
        check=checks.SHARED_PORT_NAME,
        remedy="Give each port of an address a name of its own, or write EndpointSlices instead.",
        source="RepackSubsets in pkg/api/v1/endpoints of Kubernetes v1.36, and pkg/controller/endpointslicemirroring of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web, annotations: {svcnet.io/ignore: old-endpoints}}
subsets:
  - {addresses: [{ip: 192.0.2.10}], ports: [{port: 8080}]}
  - {addresses: [{ip: 192.0.2.10}], ports: [{port: 8081}]}
  - {addresses: [{ip: 192.0.2.11}], ports: [{port: 8082}]}
""",
        mend=("{port: 8081}", "{port: 8081, name: admin}"),
    ),
    CheckRule(
        check=checks.TOO_MANY_ADDRESSES,
        remedy="Write EndpointSlices, of which a Service may have many.",
        source="pkg/controller/endpointslicemirroring of Kubernetes v1.36",
        example="""\
`many.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: "fd00:10:96::10", ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets:
- ports: [{port: 8080}]
  addresses:
```

```console
$ seq -f '  - {ip: "fd00::%g"}' 1001 >> many.yaml
$ svcnet render many.yaml > rules
many.yaml:9: warning: Endpoints default/web: subsets: 1,001 addresses have the same ports: 1,000 are served [S412 too-many-addresses]
```
""",
        fires=_many_addresses,
        mend=("  - {ip: 10.244.0.1}\n", ""),
    ),
    CheckRule(
        check=checks.UNMIRRORED,
        remedy="Add the EndpointSlices that are written in their place, or take the label away.",
        source="pkg/controller/endpointslicemirroring of Kubernetes v1.36",
        fires="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata:
  name: web
  annotations: {svcnet.io/ignore: old-endpoints}
  labels: {endpointslice.kubernetes.io/skip-mirror: "true"}
subsets: [{addresses: [{ip: 192.0.2.10}], ports: [{port: 8080}]}]
""",
        mend=('\n  labels: {endpointslice.kubernetes.io/skip-mirror: "true"}', ""),
    ),
    CheckRule(
        check=checks.OLD_ENDPOINTS,
        remedy="Write an EndpointSlice: `svcnet endpoints FILE` prints those that mirror it.",
        source="Endpoints in staging/src/k8s.io/api/core/v1/types.go of Kubernetes v1.36",
        fires=f"""\
{SERVICE}apiVersion: v1
kind: Endpoints
metadata: {{name: web}}
subsets: [{{addresses: [{{ip: 192.0.2.10}}], ports: [{{port: 8080}}]}}]
""",
        mend=(
            """\
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets: [{addresses: [{ip: 192.0.2.10}], ports: [{port: 8080}]}]
""",
            """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [192.0.2.10]}]
""",
        ),
        find=old.old_endpoints,
    ),
)
