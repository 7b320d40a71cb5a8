"""Rules about files and their syntax."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule

RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.UNREADABLE_FILE,
        remedy="Correct the path, or its permissions.",
        example="""\
```console
$ svcnet render missing.yaml
missing.yaml: error: cannot be read: No such file or directory [S101 unreadable-file]
```
""",
    ),
    CheckRule(
        check=checks.LARGE_FILE,
        remedy=(
            "Split the file; a folder of files has no bound. Manifests may have 256 MiB, "
            "other files 16."
        ),
        example="""\
```console
$ truncate -s 17M large.yaml
$ svcnet render examples/my-service --config large.yaml
large.yaml: error: is larger than 16 MiB; split it [S102 large-file]
```
""",
    ),
    CheckRule(
        check=checks.EMPTY_FOLDER,
        remedy="Name the folder that has files ending in `.yaml`, `.yml` or `.json`.",
        example="""\
```console
$ mkdir empty
$ svcnet render empty
empty: error: is a folder without .yaml, .yml or .json files [S103 empty-folder]
```
""",
    ),
    CheckRule(
        check=checks.SYNTAX,
        remedy="Correct the text at the line that the message names, or before it.",
        example="""\
`manifests.yaml`:
```text
apiVersion: v1
kind: Service
metadata: {name: web
```
""",
    ),
    CheckRule(
        check=checks.ENCODING,
        remedy="Save the file as UTF-8. A file with a byte order mark may be UTF-16 too.",
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        example="""\
```console
$ cp -rT examples/my-service latin
$ printf '# caf\\351\\n' >> latin/service.yaml
$ svcnet render latin > rules
latin/service.yaml:24: warning: is not UTF-8: what is no text is read as U+FFFD [S105 encoding]
```
""",
        fires="# caf\udce9\napiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n",
        mend=("\udce9", "é"),
    ),
    CheckRule(
        check=checks.DEPTH,
        remedy="No object of Kubernetes nests as deeply as 200; the file is something else.",
        example="""\
```console
$ printf 'kind: %0300d' 0 | tr 0 '[' > deep.yaml
$ svcnet render deep.yaml
deep.yaml:1: error: is nested too deeply [S106 depth]
```
""",
    ),
    CheckRule(
        check=checks.ALIASES,
        remedy="Write out what aliases stand for.",
        example="""\
`manifests.yaml`:
```yaml
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
```
""",
    ),
    CheckRule(
        check=checks.ONE_DOCUMENT,
        remedy="Keep one configuration a file.",
        example="""\
`host.yaml`:
```yaml
addresses: [192.0.2.10]
---
addresses: [192.0.2.11]
```
""",
    ),
    CheckRule(
        check=checks.NO_MAPPING,
        remedy="Look whether the file is a manifest at all.",
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        fires="""\
- apiVersion: v1
- kind: Service
""",
        mend=(
            "- apiVersion: v1\n- kind: Service\n",
            "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n",
        ),
    ),
    CheckRule(
        check=checks.NO_KIND,
        remedy="Add `kind`, or give svcnet the manifest and not a part of it.",
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        fires="""\
spec: {clusterIP: 10.96.0.10}
""",
        mend=(
            "spec: {clusterIP: 10.96.0.10}",
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}",
        ),
    ),
    CheckRule(
        check=checks.API_VERSION,
        remedy="Write the version that the message names.",
        source="the deprecated API migration guide of Kubernetes",
        fires="""\
apiVersion: discovery.k8s.io/v1beta1
kind: EndpointSlice
metadata: {name: web-1}
""",
        mend=(
            "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: web-1}\n",
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\nendpoints: []\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}\n",
        ),
    ),
    CheckRule(
        check=checks.PASSED_OVER,
        remedy="Nothing needs to be done, and `--strict` has no objection.",
        example="""\
```console
$ printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: web}\\n' > settings.yaml
$ svcnet render examples/my-service settings.yaml > rules
passed over: 1 ConfigMap [S112 passed-over]
```
""",
    ),
    CheckRule(
        check=checks.REPEATED_KEY,
        remedy="Take one of the two away. That holds for JSON too.",
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        fires="""\
apiVersion: v1
kind: Node
metadata:
  name: node-a
  labels:
    topology.kubernetes.io/zone: east
    topology.kubernetes.io/zone: west
""",
        mend=(
            "    topology.kubernetes.io/zone: west\n",
            "",
        ),
    ),
    CheckRule(
        check=checks.UNREAD_TEXT,
        remedy="Put `---` in front of what follows; `...` ends a document and begins none.",
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
...
apiVersion: v1
kind: Node
metadata: {name: node-b}
""",
        mend=(
            "...\n",
            "---\n",
        ),
    ),
    CheckRule(
        check=checks.UNKNOWN_KIND,
        remedy="Write the kind, or the `apiVersion`, that the message names.",
        source="kubectl, which refuses it",
        fires="""\
apiVersion: v1
kind: service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
""",
        mend=(
            "kind: service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.10, ports",
            "kind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.10, selector: {app: web}, ports",
        ),
    ),
    CheckRule(
        check=checks.OLD_VERSION,
        remedy="""\
Write the version that the message names. `extensions/v1beta1`, `apps/v1beta1` and `apps/v1beta2`
ended with Kubernetes v1.16, `batch/v1beta1` with v1.25. A selector that is missing is that of the
Pods' labels, as it was then.""",
        source="the deprecation guide of Kubernetes",
        example="""\
`old.yaml`:
```yaml
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, selector: {app: web}, ports: [{port: 80}]}
```

```console
$ svcnet render old.yaml --ip-families IPv4 --ignore assumed > rules
old.yaml:1: warning: Deployment default/web: apiVersion: is taken by no API server any more; it is read as apps/v1 [S116 old-version]
```
""",
        fires="""\
apiVersion: apps/v1beta2
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
""",
        mend=("apps/v1beta2", "apps/v1"),
    ),
    CheckRule(
        check=checks.EMPTY_FILE,
        remedy=(
            "Wait until whoever writes it is done, or remove the file. Verbs that would take "
            "away what is served ([`apply` and "
            "others](cli.md#input-that-says-that-there-is-nothing)) take it as an error, "
            "unless you say `--allow-empty`."
        ),
        source="a shell's redirection",
        example="""\
```console
$ : > half-written.yaml
$ svcnet render half-written.yaml > rules
half-written.yaml: warning: is empty, as while somebody writes it [S121 empty-file]
```
""",
        fires="\n",
        mend=("\n", "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n"),
    ),
    CheckRule(
        check=checks.NO_OBJECT,
        remedy=(
            "Look whether the path is the right one, and the kinds are those that svcnet "
            "reads. Verbs that would take away what is served ([`apply` and "
            "others](cli.md#input-that-says-that-there-is-nothing)) take it as an error, "
            "unless you say `--allow-empty`."
        ),
        source="kubectl apply",
        example="""\
```console
$ echo '# nothing yet' > comments.yaml
$ svcnet render comments.yaml > rules
comments.yaml: warning: has no object that svcnet reads [S122 no-object]
```
""",
        fires="# nothing yet\n",
        mend=("# nothing yet\n", "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n"),
    ),
    CheckRule(
        check=checks.NOT_MANIFESTS,
        remedy="Give svcnet what the tool prints; the message names the command.",
        source="kustomize, which makes manifests of it",
        fires="""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [service.yaml]
""",
        mend=(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [service.yaml]\n",
            "apiVersion: v1\nkind: Node\nmetadata: {name: node-a}\n",
        ),
    ),
    CheckRule(
        check=checks.MISPLACED_CONFIGURATION,
        remedy="Give it to the option that the message names.",
        source="pkg/proxy of Kubernetes v1.36, which reads it from a file of its own",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
""",
        mend=(
            "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n",
            "",
        ),
    ),
    CheckRule(
        check=checks.JOINED_DOCUMENTS,
        remedy=(
            "Put `---` between them, or name the files or the folder, and do not put them "
            "together with `cat`."
        ),
        source="the reader of sigs.k8s.io/yaml, which kubectl has",
        fires="""\
apiVersion: v1
kind: Node
metadata: {name: node-a}
apiVersion: v1
kind: Node
metadata: {name: node-b}
""",
        mend=(
            "metadata: {name: node-a}\napiVersion",
            "metadata: {name: node-a}\n---\napiVersion",
        ),
    ),
)
