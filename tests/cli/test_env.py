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
        "warning: Service shop/db-service: metadata.name: sets DB_SERVICE_PORT to "
    )
    strict = svcnet(*args, "--strict", stdin=SERVICES + CLASH)
    assert (strict.exit_code, strict.stdout) == (2, "")
    assert strict.stderr.startswith("error: Service shop/db-service: metadata.name: ")


def test_a_namespace_without_services_is_a_warning() -> None:
    """A namespace that no Service is in may be mistyped."""
    result = svcnet("--namespace", "shpo", stdin=SERVICES)
    assert result.exit_code == 0
    assert result.stderr == "warning: no Service of the input is in namespace 'shpo'\n"
    assert svcnet("--namespace", "shpo", "--strict", stdin=SERVICES).exit_code == 2


def test_size() -> None:
    """--size prints what execve would count, against this machine's limits."""
    lines = svcnet(EXAMPLE, "--output", "dotenv").stdout.splitlines()
    total = sum(len(line) + 1 for line in lines) + 8 * len(lines)
    limit = os.sysconf("SC_ARG_MAX")
    assert svcnet(EXAMPLE, "--size").stdout.splitlines() == [
        f"{len(lines)} variables",
        f"{total} bytes of {limit} (ARG_MAX), {100 * total / limit:.1f} %",
        f"{max(map(len, lines)) + 1} bytes of {32 * os.sysconf('SC_PAGE_SIZE')} in the longest",
    ]


def test_a_large_environment_is_a_warning(tmp_path: Path) -> None:
    """Many Services take more than a quarter of ARG_MAX: a warning, and with --strict an error."""
    count = os.sysconf("SC_ARG_MAX") // 4 // 300
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
