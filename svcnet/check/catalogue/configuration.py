"""Rules about configurations, facts of a host and kubeconfigs."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CONFIGURATION, CheckRule

RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.CONFIGURATION_KIND,
        remedy="Name the file that has the KubeProxyConfiguration.",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
```
""",
    ),
    CheckRule(
        check=checks.HOST_FACT,
        remedy="Write host facts as `svcnet probe` prints them.",
        example="""\
`host.yaml`:
```yaml
addresses: [192.0.2.10]
hostname: node-a
```
""",
    ),
    CheckRule(
        check=checks.PORT_RANGE,
        remedy="Write `40000-41000`, `40000+1000` or `40000`.",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
portRange: 40000..41000
```
""",
    ),
    CheckRule(
        check=checks.BIND_ADDRESS,
        remedy="Write `127.0.0.1:10256` or `[::1]:10256`.",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
healthzBindAddress: localhost:10256
```
""",
    ),
    CheckRule(
        check=checks.INTERFACE_NAME,
        remedy=(
            "Write a name as `ip link` shows it, of at most 15 characters, or a prefix of at "
            "most 14."
        ),
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
detectLocalMode: BridgeInterface
detectLocal: {bridgeInterface: a bridge}
```
""",
    ),
    CheckRule(
        check=checks.DURATION,
        remedy="Write `30s`, `1m30s` or `500ms`.",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
iptables: {syncPeriod: "30"}
```
""",
    ),
    CheckRule(
        check=checks.NO_ENTRY,
        remedy="Correct the name, or add the entry.",
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: there}}]
clusters: [{name: elsewhere, cluster: {server: "https://192.0.2.1:6443"}}]
```
""",
    ),
    CheckRule(
        check=checks.CREDENTIALS,
        remedy="Use a token, a `tokenFile`, or a client certificate with its key.",
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: me, user: {exec: {command: login}}}]
```
""",
    ),
    CheckRule(
        check=checks.SERVER_URL,
        remedy="Write `https://`, a name or an address, and a port.",
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here}}]
clusters: [{name: here, cluster: {server: "ftp://192.0.2.1"}}]
```
""",
    ),
    CheckRule(
        check=checks.CERTIFICATE,
        remedy=(
            "Encode the file with `base64 -w0`, or name it (without `-data`); a certificate "
            "needs its own key, without passphrase."
        ),
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here}}]
clusters: [{name: here, cluster: {server: "https://192.0.2.1:6443", certificate-authority-data: "-----BEGIN"}}]
```
""",
    ),
    CheckRule(
        check=checks.NO_EFFECT,
        remedy=(
            "Remove the field, or choose [the mode in which it counts](inputs.md#configuration)."
        ),
        source="pkg/proxy/apis/config/validation of Kubernetes v1.36",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
ipvs: {scheduler: lc}
```
""",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
ipvs: {scheduler: lc}
""",
        mend=("ipvs: {scheduler: lc}\n", ""),
    ),
    CheckRule(
        check=checks.CLEARTEXT,
        remedy=(
            "Use the server's https address. Over http svcnet sends no credentials, and "
            "neither does kubectl."
        ),
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://192.0.2.1:8080"}}]
users: [{name: me, user: {token: abcdef}}]
```
""",
    ),
    CheckRule(
        check=checks.UNVERIFIED_SERVER,
        remedy=(
            "Name the authority of the server's certificate, and with `tls-server-name` the "
            "name in it."
        ),
        example="""\
`kubeconfig`:
```yaml
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here}}]
clusters: [{name: here, cluster: {server: "https://192.0.2.1:6443", insecure-skip-tls-verify: true}}]
```
""",
    ),
    CheckRule(
        check=checks.ABSENT_NODE,
        remedy="Name a Node as `kubectl get nodes` shows it; names are in lower case.",
        source="pkg/proxy/apis/config/validation of Kubernetes v1.36",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: W1.Corp
```

```console
$ printf 'apiVersion: v1\\nkind: Node\\nmetadata: {name: w1}\\n' > node.yaml
$ svcnet render node.yaml --config config.yaml > rules
config.yaml:3: warning: KubeProxyConfiguration: hostnameOverride: the input has no Node 'w1.corp', only w1: this node's addresses and zone are not known, and endpoints are local by that name alone [S614 absent-node]
```
""",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: W1.Corp
""",
        mend=("W1.Corp", "W1"),
        beside="""\
apiVersion: v1
kind: Node
metadata: {name: w1}
""",
    ),
    CheckRule(
        check=checks.NO_POD_CIDR,
        remedy="Add `spec.podCIDRs` to the Node, or choose another `detectLocalMode`.",
        source="pkg/proxy/apis/config/validation of Kubernetes v1.36",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
detectLocalMode: NodeCIDR
```

```console
$ printf 'apiVersion: v1\\nkind: Node\\nmetadata: {name: w1}\\n' > node.yaml
$ svcnet render node.yaml --config config.yaml > rules
config.yaml:3: warning: KubeProxyConfiguration: detectLocalMode: Node w1 has no podCIDR: traffic of its pods is like any other, and none is masqueraded [S615 no-pod-cidr]
```
""",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: w1
detectLocalMode: NodeCIDR
""",
        mend=("detectLocalMode: NodeCIDR\n", ""),
        beside="""\
apiVersion: v1
kind: Node
metadata: {name: w1}
""",
    ),
    CheckRule(
        check=checks.NO_LOCAL_NODE,
        remedy="Say `--node`, or add the Node to the input.",
        example="""\
`local.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  ports: [{port: 80, nodePort: 30080}]
  selector: {app: web}
  externalTrafficPolicy: Local
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5], nodeName: node-a}]
```

```console
$ svcnet render local.yaml > rules
local.yaml:9: warning: Service default/web: spec.externalTrafficPolicy: is Local, and the node is not known (see --node): no endpoint is local, so all traffic from outside is dropped [S616 no-local-node]
```
""",
    ),
    CheckRule(
        check=checks.NO_CLUSTER_CIDR,
        remedy=(
            "Add the CIDR of the other family, with a comma and no blank between, or choose "
            "another `detectLocalMode`."
        ),
        source="pkg/proxy/apis/config/validation of Kubernetes v1.36",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16
```

`dual.yaml`:
```yaml
apiVersion: v1
kind: Node
metadata: {name: w1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: "2001:db8::1"}]}
```

```console
$ svcnet render dual.yaml --config config.yaml > rules
config.yaml:3: warning: KubeProxyConfiguration: clusterCIDR: has no CIDR of IPv6, which Node w1 has an address of: traffic of its pods is like any other, and none is masqueraded [S617 no-cluster-cidr]
```
""",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: w1
clusterCIDR: 10.244.0.0/16
""",
        mend=("10.244.0.0/16", '"10.244.0.0/16,fd00:10:244::/56"'),
        beside="""\
apiVersion: v1
kind: Node
metadata: {name: w1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: "2001:db8::1"}]}
""",
    ),
    CheckRule(
        check=checks.NO_NODE_PORT_ADDRESS,
        remedy="Name networks of the node, `primary`, or none for all.",
        source="pkg/proxy/apis/config/validation of Kubernetes v1.36",
        example="""\
`config.yaml`:
```yaml
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
nodePortAddresses: [198.51.100.0/24]
```

`open.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
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
metadata: {name: w1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
```

```console
$ svcnet render open.yaml --config config.yaml > rules
config.yaml:3: warning: KubeProxyConfiguration: nodePortAddresses: holds no IPv4 address of the node: its node ports answer nowhere [S618 no-node-port-address]
```
""",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
hostnameOverride: w1
nodePortAddresses: [198.51.100.0/24]
""",
        mend=("198.51.100.0", "192.0.2.0"),
        beside="""\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  clusterIP: 10.96.0.10
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
---
apiVersion: v1
kind: Node
metadata: {name: w1}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
""",
    ),
    CheckRule(
        check=checks.NO_ZONE,
        remedy="Give the Node its label `topology.kubernetes.io/zone`.",
        example="""\
`zone.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, trafficDistribution: PreferClose, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5], hints: {forZones: [{name: a}]}}]
---
apiVersion: v1
kind: Node
metadata: {name: w1}
```

```console
$ svcnet render zone.yaml > rules
zone.yaml:15: warning: Node w1: metadata.labels: has no topology.kubernetes.io/zone: hints for zones have no effect on this node [S619 no-zone]
```
""",
    ),
    CheckRule(
        check=checks.OLD_MODE,
        remedy="Move to [nftables](../howto/move-to-nftables.md), or to iptables.",
        source="pkg/proxy/apis/config and cmd/kube-proxy/app/server_linux.go of Kubernetes v1.36",
        file=CONFIGURATION,
        fires="""\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
""",
        mend=("mode: ipvs", "mode: nftables"),
    ),
)
