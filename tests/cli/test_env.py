"""``svcnet env`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from svcnet.cli import main

ROOT = Path(__file__).parents[2]
ARG_MAX = min(os.sysconf("SC_ARG_MAX"), 6 * 1024**2)
EXAMPLE = ROOT / "examples" / "my-service"

SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: kubernetes}
spec: {clusterIP: 10.96.0.1, selector: {a: b}, ports: [{name: https, port: 443}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.11, selector: {a: b}, ports: [{port: 3306}]}
"""
CLASH = """
---
apiVersion: v1
kind: Service
metadata: {name: db-service, namespace: shop}
spec: {clusterIP: 10.96.0.12, selector: {a: b}, ports: [{port: 80}]}
"""


def svcnet(*args: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["env", *(str(arg) for arg in args)], input=stdin)


def test_the_example() -> None:
    """``python -m svcnet env`` prints the golden file of the example."""
    command = [sys.executable, "-m", "svcnet", "env", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (EXAMPLE / "golden.env.sh").read_text()
    assert done.stderr == ""


def test_a_program_gets_what_json_says() -> None:
    """A program that starts with the printed environment sees what the document says."""
    document = json.loads(svcnet(EXAMPLE, "--output", "json").stdout)
    told = {variable["name"]: variable["value"] for variable in document["variables"]}
    lines = svcnet(EXAMPLE, "--output", "dotenv").stdout.splitlines()
    done = subprocess.run(["env", "-i", *lines, "env"], capture_output=True, text=True, check=True)
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == told
    assert {variable["service"] for variable in document["variables"]} == {"default/my-service"}


def test_namespace_and_service_links() -> None:
    """--namespace chooses the Services, --no-service-links leaves the API server's only."""
    shop = svcnet("--namespace", "shop", "--output", "dotenv", stdin=SERVICES).stdout
    assert "DB_SERVICE_HOST=10.96.0.11\n" in shop
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1\n" in shop
    alone = svcnet("--namespace", "shop", "--no-service-links", stdin=SERVICES).stdout
    assert "KUBERNETES_SERVICE_HOST=10.96.0.1\n" in alone
    assert "DB_" not in alone
    assert "DB_" not in svcnet(stdin=SERVICES).stdout


def test_a_collision_is_a_warning() -> None:
    """Two Services that define one variable are named on standard error, with --strict as error."""
    args = ("--namespace", "shop", "--output", "dotenv")
    result = svcnet(*args, stdin=SERVICES + CLASH)
    assert result.exit_code == 0
    assert "DB_SERVICE_PORT=3306\n" in result.stdout
    assert result.stderr.startswith(
        "<stdin>:15: warning: Service shop/db-service: metadata.name: sets DB_SERVICE_PORT to "
    )
    strict = svcnet(*args, "--strict", stdin=SERVICES + CLASH)
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert strict.stderr.startswith("<stdin>:15: error: Service shop/db-service: metadata.name: ")


def test_a_namespace_without_services_is_a_warning() -> None:
    """A namespace that no Service is in may be mistyped."""
    result = svcnet("--namespace", "shpo", stdin=SERVICES)
    assert result.exit_code == 0
    assert (
        result.stderr
        == "warning: no Service of the input is in namespace 'shpo' [S806 empty-namespace]\n"
    )
    assert svcnet("--namespace", "shpo", "--strict", stdin=SERVICES).exit_code == 2


def test_size() -> None:
    """--size prints what execve would count, against this machine's limits."""
    lines = svcnet(EXAMPLE, "--output", "dotenv").stdout.splitlines()
    total = sum(len(line) + 1 for line in lines) + 8 * len(lines)
    assert svcnet(EXAMPLE, "--size").stdout.splitlines() == [
        f"{len(lines)} variables",
        f"{total:,} bytes of {ARG_MAX:,} (ARG_MAX), {100 * total / ARG_MAX:.1f} %",
        f"{max(map(len, lines)) + 1} bytes of {32 * os.sysconf('SC_PAGE_SIZE'):,} in the longest",
    ]


def test_a_large_environment_is_a_warning(tmp_path: Path) -> None:
    """Many Services take more than a quarter of ARG_MAX: a warning, and with --strict an error."""
    count = ARG_MAX // 4 // 300
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"service-{number}"},
            "spec": {
                "clusterIP": f"10.{96 + number // 65536}.{number // 256 % 256}.{number % 256}",
                "selector": {"a": "b"},
                "ports": [{"port": 80}],
            },
        }
        for number in range(1, count + 1)
    ]
    file = tmp_path / "services.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": services}))
    result = svcnet(file, "--size")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: the environment takes ")
    assert svcnet(file, "--size", "--strict").exit_code == 2


@pytest.mark.parametrize(
    "args",
    [("--size", "--output", "json"), ("--output", "toml"), ("missing.yaml",), ("--node", "a")],
)
def test_wrong_requests(args: tuple[str, ...]) -> None:
    """What cannot be asked is an error of two lines at most, and exit code 2."""
    result = svcnet(*args, stdin=SERVICES)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


POD = """
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  initContainers:
    - name: setup
  containers:
    - name: app
      env:
        - {name: DB_SERVICE_HOST, value: "$(KUBERNETES_SERVICE_HOST)\\ntouch owned"}
        - {name: DB_PORT, valueFrom: {secretKeyRef: {name: a, key: b}}}
        - {name: ODD, value: "odd"}
      envFrom: [{configMapRef: {name: c}}]
"""


def test_a_pod_says_namespace_and_links() -> None:
    """--pod reads the Pod's namespace and enableServiceLinks."""
    text = svcnet("--pod", "client", stdin=SERVICES + POD).stdout
    assert "export DB_SERVICE_HOST=10.96.0.11\n" in text
    none = (SERVICES + POD).replace("spec:\n  init", "spec:\n  enableServiceLinks: false\n  init")
    text = svcnet("--pod", "client", stdin=none).stdout
    assert "export KUBERNETES_SERVICE_HOST=10.96.0.1\n" in text
    assert "DB_" not in text


@pytest.mark.parametrize("output", ["shell", "dotenv", "kubectl"])
def test_overrides_are_comments(output: str) -> None:
    """Each text form tells what a container sets itself, on lines that mean nothing."""
    result = svcnet("--pod", "client", "--output", output, stdin=SERVICES + POD)
    args = ("--namespace", "shop", "--output", output)
    bare = svcnet(*args, stdin=SERVICES).stdout
    assert result.stdout == bare + (
        "# container app sets DB_PORT by valueFrom\n"
        "# container app sets DB_SERVICE_HOST to '10.96.0.1\\ntouch owned'\n"
        "# container app has envFrom, which may replace any of these\n"
    )


def test_overrides_in_json() -> None:
    """The document has a list of overrides for each container."""
    result = svcnet("--pod", "client", "--output", "json", stdin=SERVICES + POD)
    assert json.loads(result.stdout)["containers"] == [
        {"name": "setup", "envFrom": False, "overrides": []},
        {
            "name": "app",
            "envFrom": True,
            "overrides": [
                {"name": "DB_PORT", "value": None},
                {"name": "DB_SERVICE_HOST", "value": "10.96.0.1\ntouch owned"},
            ],
        },
    ]


def test_the_size_of_containers() -> None:
    """With --pod, sizes are those of each container's whole environment."""
    long = POD.replace("odd", "x" * 32 * os.sysconf("SC_PAGE_SIZE"))
    result = svcnet("--pod", "client", "--size", stdin=SERVICES + long)
    assert "container setup: 15 variables\n" in result.stdout
    assert "container app: 16 variables\n" in result.stdout
    assert result.stderr.startswith("warning: container app: ODD takes ")
    assert svcnet("--pod", "client", "--size", stdin=SERVICES + POD).exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--pod", "nobody"), "the input has no Pod 'nobody' [S908 not-in-input]\n"),
        (
            ("--pod", "client", "--namespace", "default"),
            "the input has no Pod 'client' in namespace 'default' [S908 not-in-input]\n",
        ),
        (
            ("--pod", "client", "--no-service-links"),
            "whether there are service links is said by the Pod that --pod names [S903 usage]\n",
        ),
    ],
)
def test_a_pod_that_cannot_be_told(args: tuple[str, ...], message: str) -> None:
    """A Pod that is not there, or is told twice what it says itself, is an error."""
    result = svcnet(*args, stdin=SERVICES + POD)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_pods_of_one_name() -> None:
    """Where two namespaces have a Pod of the name, --namespace must say which is meant."""
    two = SERVICES + POD + POD.replace("namespace: shop", "namespace: test")
    result = svcnet("--pod", "client", stdin=two)
    assert result.exit_code == 2
    assert (
        result.stderr
        == "say --namespace: the input has Pods shop/client, test/client [S903 usage]\n"
    )
    assert svcnet("--pod", "client", "--namespace", "shop", stdin=two).exit_code == 0
