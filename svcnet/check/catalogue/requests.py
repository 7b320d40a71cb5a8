"""Rules about the request and the machine."""

from __future__ import annotations

from svcnet import checks
from svcnet.check.rule import CheckRule

RULES: tuple[CheckRule, ...] = (
    CheckRule(
        check=checks.UNSUPPORTED_PORT,
        remedy="Use mode iptables or ipvs on nodes whose Services need SCTP.",
        example="""\
`sctp.yaml`:
```yaml
apiVersion: v1
kind: Service
metadata: {name: sig}
spec: {clusterIP: 10.96.0.10, ports: [{port: 2905, protocol: SCTP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sig-1, labels: {kubernetes.io/service-name: sig}}
addressType: IPv4
ports: [{port: 2905, protocol: SCTP}]
endpoints: [{addresses: [10.244.1.5]}]
```

```console
$ svcnet render sctp.yaml --mode userspace > table
unsupported: Service default/sig: spec.ports[0].protocol: port 2905 is SCTP, and the userspace proxy carries TCP and UDP [S901 unsupported-port]
```
""",
    ),
    CheckRule(
        check=checks.HEALTH_CHECK_PORT,
        remedy="End what listens on the port, or have another Service of the node give it up.",
        example="""\
```text
warning: Service shop/web: spec.healthCheckNodePort: port 32000 of 0.0.0.0 cannot be listened on: Address already in use; nobody is told of this node's endpoints there [S902 health-check-port]
```
""",
    ),
    CheckRule(
        check=checks.USAGE,
        remedy="Change the options as the message says; `--help` explains each.",
        example="""\
```console
$ svcnet apply
no PATH is given; - stands for standard input [S903 usage]
$ svcnet render --mode nft
Usage: svcnet render ...
Error: Invalid value for '--mode': 'nft' is not one of 'iptables', 'ipvs', 'nftables', 'userspace'. [S903 usage]
```
""",
    ),
    CheckRule(
        check=checks.UNSUPPORTED,
        remedy="Change what the message names, or use another mode.",
        example="""\
```console
$ svcnet render examples/my-service --mode userspace --proxy-port-range 40000-40000
...[S904 unsupported]
```
""",
    ),
    CheckRule(
        check=checks.MACHINE,
        remedy=(
            "The message has the machine's own words, and often the command or package that helps."
        ),
        example="""\
```text
iptables-nft-save: its listing is cut off in the text of filter [S905 machine]
```
""",
    ),
    CheckRule(
        check=checks.BUSY,
        remedy="Wait with `--wait`, or end the other.",
        example="""\
```text
another svcnet run keeps IPv4 in this network namespace (process 4711: svcnet run my-service): nothing was changed; --wait waits for it [S906 busy]
```
""",
    ),
    CheckRule(
        check=checks.OUTPUT,
        remedy="Make room, or name another file.",
        example="""\
```console
$ svcnet render examples/my-service > /dev/full
standard output cannot be written: No space left on device [S907 output]
```
""",
    ),
    CheckRule(
        check=checks.NOT_IN_INPUT,
        remedy=(
            "Look for the name in the input; the message tells those that are there, if they "
            "are few."
        ),
        example="""\
```console
$ svcnet render examples/my-service --node node-z
the input has no Node 'node-z', only node-a [S908 not-in-input]
```
""",
    ),
    CheckRule(
        check=checks.NOT_INSTALLED,
        remedy="Install the package that the message names, or use another variant.",
        example="""\
```text
iptables is not installed; Debian's package iptables has it [S909 not-installed]
```
""",
    ),
    CheckRule(
        check=checks.NOT_PERMITTED,
        remedy=(
            "Be root, or have the capabilities that the message names: [without "
            "root](../howto/run-without-root.md) much can be done."
        ),
        example="""\
```text
IPVS: Operation not permitted: it takes CAP_NET_ADMIN, which this process lacks [S910 not-permitted]
```
""",
    ),
    CheckRule(
        check=checks.NOT_RUNNING,
        remedy="Start `svcnet run`, or name its `--socket`.",
        example="""\
```console
$ svcnet status --socket /nowhere/svcnet.sock
/nowhere/svcnet.sock: no svcnet run answers there: ... [S911 not-running]
```
""",
    ),
    CheckRule(
        check=checks.REFUSED_RULE,
        remedy=(
            "The message has the refused line and the field that it came from: most often the "
            "kernel lacks a module."
        ),
        example="""\
```text
iptables-nft-restore: line 2 failed: No such file or directory. [S912 refused-rule]
  refused: -D KUBE-NODEPORTS -m comment --comment default/web -m tcp -p tcp --dport 30080 -j KUBE-EXT-... (from default/web spec.ports[0].nodePort)
```
""",
    ),
    CheckRule(
        check=checks.MISSING_MODULE,
        remedy=(
            "Load the modules that the message names, or use another mode (`--fallback iptables`)."
        ),
        example="""\
```text
this kernel lacks what IPVS mode needs: ip_vs. Nothing was changed. Load modules with modprobe -a ip_vs, or use another mode (--fallback iptables) [S913 missing-module]
```
""",
    ),
    CheckRule(
        check=checks.FAMILY_LEFT_OUT,
        remedy=(
            "Say `--family`, give the Node an address, or start `svcnet run` again as it "
            "says; see [both families](../howto/run-on-linux.md#both-families). `--strict` "
            "has no objection."
        ),
        example="""\
```text
warning: IPv6 is not served: Node node-a has no address of it, though Service default/web has; --family both serves it [S914 family-left-out]
```
""",
    ),
    CheckRule(
        check=checks.MACHINE_STATE,
        remedy=(
            "Do what the message says, or ignore it. The input is not to blame, so `--strict` "
            "has no objection."
        ),
        example="""\
```text
warning: iptables-legacy holds chains of Kubernetes or svcnet too, and both are in force: remove them with svcnet cleanup --variant legacy [S915 machine-state]
```
""",
    ),
    CheckRule(
        check=checks.UNUSABLE_MODE,
        remedy=(
            "Mend or remove the package that has the entry point. With `SVCNET_MODES=builtin` "
            "in the environment there are no modes of other packages."
        ),
        example="""\
```console
$ mkdir other.dist-info
$ printf 'Metadata-Version: 2.1\\nName: other\\nVersion: 1\\n' > other.dist-info/METADATA
$ printf '[svcnet.modes]\\nother = no_such_module:MODE\\n' > other.dist-info/entry_points.txt
$ PYTHONPATH=. svcnet render examples/my-service --mode other 2>&1 | head -n 1
warning: the mode of entry point other = no_such_module:MODE is left out: ModuleNotFoundError: No module named 'no_such_module' [S916 unusable-mode]
```
""",
    ),
)
