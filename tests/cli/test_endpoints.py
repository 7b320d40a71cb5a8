"""``svcnet endpoints``, and --from-pods of the other verbs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from svcnet.cli import main

EXAMPLE = Path(__file__).parent.parent.parent / "examples/from-pods"


def svcnet(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], input=stdin)


def test_golden_files() -> None:
    """The example's files are what is printed, and the rules are those of the printed slices."""
    slices = svcnet("endpoints", EXAMPLE)
    assert (slices.exit_code, slices.stderr) == (0, "")
    assert slices.stdout == (EXAMPLE / "golden.slices.txt").read_text()
    rules = svcnet("render", EXAMPLE, "--from-pods")
    assert rules.stdout == (EXAMPLE / "golden.iptables.txt").read_text()
    manifests = (EXAMPLE / "application.yaml").read_text()
    again = svcnet("render", "-", stdin=f"{manifests}---\n{slices.stdout}")
    assert again.stdout == rules.stdout


def test_printed_slices_do_not_change_again() -> None:
    """With its own output in the input, svcnet endpoints prints the same."""
    printed = (EXAMPLE / "golden.slices.txt").read_text()
    manifests = (EXAMPLE / "application.yaml").read_text()
    assert svcnet("endpoints", "-", stdin=f"{manifests}---\n{printed}").stdout == printed


@pytest.mark.parametrize("kind", ["slices", "endpoints"])
def test_json_has_the_same_documents(kind: str) -> None:
    """JSON is one List of what YAML has as many documents."""
    text = svcnet("endpoints", EXAMPLE, "--kind", kind).stdout
    document = json.loads(svcnet("endpoints", EXAMPLE, "--kind", kind, "--output", "json").stdout)
    assert document["kind"] == "List"
    assert document["items"] == list(yaml.safe_load_all(text))


def test_table() -> None:
    """The table has a line for each endpoint, with what makes it one."""
    found = svcnet("endpoints", EXAMPLE, "--output", "table").stdout.splitlines()
    assert [line.split()[0] for line in found] == ["SERVICE", *["shop/db"] * 2, *["shop/web"] * 2]
    assert found[2].split()[2:5] == ["10.244.2.6", "not", "ready"]
    older = svcnet("endpoints", EXAMPLE, "--kind", "endpoints", "--output", "table").stdout
    assert "10.244.2.5  ready      http:8000/TCP  Pod web-85f6d8-9qvzm  node-b" in older


NOTHING = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.20, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec: {containers: [{name: web}]}
"""


def test_what_is_surely_not_meant() -> None:
    """A Pod without an address and a port that it does not have are told with their lines."""
    found = svcnet("endpoints", "-", "--output", "table", stdin=NOTHING)
    assert found.exit_code == 0
    port, address = found.stderr.splitlines()
    assert port == (
        "<stdin>:4: warning: Service default/web: spec.ports[0].targetPort: "
        "Pod web-1 has no TCP port named 'http' [S802 no-target-port]"
    )
    assert address == (
        "<stdin>:6: warning: Pod default/web-1: status.podIP: "
        "is not there, so the Pod is no endpoint [S803 no-pod-ip]"
    )
    assert "no endpoints" in found.stdout
    strict = svcnet("endpoints", "-", "--strict", stdin=NOTHING)
    assert (strict.exit_code, strict.stdout) == (2, "")


def test_made_slices_are_not_missed() -> None:
    """A Service whose slices are made is warned of for its Pods alone, beside one that has some."""
    pod = "spec: {containers: [{name: web}]}\nstatus: {podIP: 10.244.1.5}\n"
    other = (EXAMPLE.parent / "my-service" / "endpointslices.yaml").read_text()
    text = f"{NOTHING.rpartition('spec:')[0]}{pod}---\n{other}"
    found = svcnet("render", "-", "--from-pods", stdin=text)
    (line,) = [line for line in found.stderr.splitlines() if "Service default/web" in line]
    assert line == (
        "<stdin>:4: warning: Service default/web: spec.ports[0].targetPort: "
        "Pod web-1 has no TCP port named 'http' [S802 no-target-port]"
    )
    assert found.exit_code == 0


def test_services_with_slices_need_no_pods() -> None:
    """--from-pods says nothing of a selector whose Service has slices; svcnet endpoints does."""
    folder = EXAMPLE.parent / "my-service"
    found = svcnet("render", folder, "--from-pods", "--strict")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == svcnet("render", folder).stdout
    assert svcnet("endpoints", folder).stderr.endswith(
        "spec.selector: finds no Pod [S801 no-pod]\n"
    )


def test_wrong_input() -> None:
    """An error has its place and exit code 2, and nothing is printed."""
    found = svcnet("endpoints", "-", stdin=NOTHING.replace("name: web}]", "name: web, ports: 1}]"))
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(
        "<stdin>:9: error: Pod default/web-1: spec.containers[0].ports: must be"
    )
    assert svcnet("endpoints", "no-such-file").exit_code == 2


def test_missing_slices_are_told() -> None:
    """Who renders Pods without slices is told of --from-pods, and nobody else is."""
    told = "some Services have no EndpointSlices: --from-pods makes them [S705 no-slice]\n"
    for verb in (("render",), ("dns", "zone")):
        lines = svcnet(*verb, EXAMPLE).stderr.splitlines(keepends=True)
        assert lines[0].endswith(
            "Service shop/web: has no EndpointSlice in the input: whoever connects is refused; "
            "so is it with 1 more [S705 no-slice]\n"
        )
        assert lines[1:] == [told]
    assert svcnet("env", EXAMPLE, "--namespace", "shop").stderr == ""
    assert svcnet("render", EXAMPLE, "--from-pods").stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("graph", EXAMPLE),
        ("env", EXAMPLE, "--namespace", "shop"),
        ("dns", "zone", EXAMPLE),
        ("dns", "diff", EXAMPLE, EXAMPLE),
        ("render", EXAMPLE, "--since", EXAMPLE),
        ("render", EXAMPLE, "--mode", "ipvs"),
    ],
)
def test_every_verb_makes_slices(arguments: tuple[str | Path, ...]) -> None:
    """Each verb that reads manifests takes a folder of an application with --from-pods."""
    assert svcnet(*arguments, "--from-pods").exit_code == 0


def too_many() -> str:
    """Return a Service that finds too many Pods, and one of one port that finds the same."""
    ports = [{"port": n, "name": f"p{n}"} for n in range(1, 402)]
    kept, ready = ports[:1], [{"type": "Ready", "status": "True"}]
    objects: list[dict[str, object]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": address, "selector": {"app": "web"}, "ports": own},
        }
        for name, address, own in (("large", "10.96.0.10", ports), ("small", "10.96.0.11", kept))
    ]
    objects += [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{n}", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c"}]},
            "status": {"podIP": f"10.244.1.{n}", "conditions": ready},
        }
        for n in range(1, 251)
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


@pytest.mark.parametrize(
    "arguments",
    [
        ("render", "--from-pods"),
        ("render", "--from-pods", "--mode", "userspace"),
        ("dns", "zone", "--from-pods"),
        ("env", "--from-pods", "--namespace", "shop"),
        ("endpoints",),
        ("endpoints", "--kind", "endpoints"),
    ],
)
def test_too_many_pods(arguments: tuple[str, ...]) -> None:
    """A Service whose Pods times ports are too many has no endpoints, is named, and no other is."""
    found = svcnet(*arguments, "-", stdin=too_many())
    told = [line for line in found.stderr.splitlines() if "S709" in line]
    assert found.exit_code == 0
    (line,) = told
    assert line == (
        "<stdin>:1: warning: Service shop/large: spec.selector: asks for more than 100,000 "
        "entries, addresses by ports by endpoints: no endpoints are made of its Pods "
        "[S709 too-many-entries]"
    )
    assert "--from-pods makes them" not in found.stderr
    assert ("10.244.1.250" in found.stdout) is (arguments[0] != "env")
    assert svcnet(*arguments, "--strict", "-", stdin=too_many()).exit_code == 2


def test_names_of_pods() -> None:
    """A StatefulSet's Pod is found by its own name, once it is ready."""
    options = ("--from-pods", "--namespace", "shop")
    found = svcnet("dns", "lookup", "db-0.db", EXAMPLE, *options)
    assert "db-0.db.shop.svc.cluster.local. 5 IN A 10.244.1.6\n" in found.stdout
    missing = svcnet("dns", "lookup", "db-1.db", EXAMPLE, *options)
    assert "no ready endpoint is named db-1 (Service shop/db)" in missing.stdout
    assert missing.exit_code == 1
