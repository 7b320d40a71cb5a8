"""The examples of deployment hold together, and ask for no more than they need."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import trustme
import yaml

from svcnet.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"
UNIT = EXAMPLES / "systemd/svcnet.service"
DROP_IN = EXAMPLES / "systemd/no-redirect.conf"
CAPABILITIES = {"CAP_NET_ADMIN", "CAP_NET_RAW"}


def documents(name: str) -> dict[str, Any]:
    """Return the objects of a manifest by kind; of two the last."""
    text = (EXAMPLES / "kubernetes" / name).read_text("utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def settings(file: Path = UNIT) -> dict[str, str]:
    """Return the settings of the unit, or of a drop-in."""
    lines = [line for line in file.read_text("utf-8").splitlines() if line[:1].isalpha()]
    return dict(line.split("=", 1) for line in lines)


def must_be_known(arguments: list[str]) -> None:
    """Fail unless the command takes these arguments."""
    verb, *options = arguments
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    known = {
        name for parameter in command.get_params(click.Context(command)) for name in parameter.opts
    }
    assert {option.split("=")[0] for option in options if option.startswith("--")} <= known


def container() -> dict[str, Any]:
    spec = documents("daemonset.yaml")["DaemonSet"]["spec"]["template"]["spec"]
    [found] = spec["containers"]
    return dict(found)


def test_options() -> None:
    """The command takes the options that the examples give it."""
    for file in (UNIT, DROP_IN):
        must_be_known(shlex.split(settings(file)["ExecStart"])[1:])
    must_be_known(container()["args"])


def test_the_unit_has_two_capabilities() -> None:
    """The unit notifies, is watched, and has the two capabilities and netlink."""
    found = settings()
    assert set(found["CapabilityBoundingSet"].split()) == CAPABILITIES
    assert "AmbientCapabilities" not in found
    assert "AF_NETLINK" in found["RestrictAddressFamilies"]
    assert found["NoNewPrivileges"] == "yes"
    assert found["Type"] == "notify"
    assert int(found["WatchdogSec"]) > 60


def test_the_unit_is_tight() -> None:
    """Elsewhere than with systemd the settings are what can be looked at."""
    found = settings()
    protected = ("Clock", "ControlGroups", "Home", "Hostname", "KernelLogs", "KernelModules")
    private = ("Devices", "Mounts", "Tmp")
    yes = [*(f"Protect{name}" for name in protected), *(f"Private{name}" for name in private)]
    assert {found[name] for name in yes} == {"yes"}
    assert found["ProtectSystem"] == "strict"
    assert found["ProtectProc"] == "invisible"
    assert found["MemoryDenyWriteExecute"] == found["RestrictNamespaces"] == "yes"
    assert found["SystemCallFilter"] == "~@privileged @resources"


def test_a_proxy_without_rules_leaves_the_folder_of_locks_to_root() -> None:
    """Its user has a folder of its own; and what a drop-in cannot take back, it does not try to."""
    found = settings(DROP_IN)
    assert found["DynamicUser"] == "yes"
    assert found["RuntimeDirectory"] != settings()["RuntimeDirectory"]
    assert f"/run/{found['RuntimeDirectory']}/" in found["ExecStart"]
    assert not found.keys() & {"After", "Wants", "Conflicts"}


@pytest.mark.kernel
@pytest.mark.parametrize(("drop_in", "exposure"), [("", 24), (DROP_IN.name, 15)])
def test_systemd_reads_the_unit(tmp_path: Path, drop_in: str, exposure: int) -> None:
    """systemd finds nothing wrong with the unit, and little exposed."""
    unit = tmp_path / UNIT.name
    files = [UNIT, *([UNIT.parent / drop_in] if drop_in else [])]
    for file, place in zip(files, (unit, tmp_path / f"{UNIT.name}.d" / drop_in), strict=False):
        place.parent.mkdir(exist_ok=True)
        place.write_text(file.read_text("utf-8").replace("/opt/svcnet/bin/svcnet", sys.executable))
    security = ("security", "--offline=yes", f"--threshold={exposure}")
    for options in (("verify", "--man=no"), security):
        done = subprocess.run(
            ["systemd-analyze", *options, unit], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert unit.name not in done.stderr


def test_the_container_has_two_capabilities() -> None:
    """The container drops everything, is not privileged and writes no file of its own."""
    security = container()["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert security["allowPrivilegeEscalation"] is False
    assert security["privileged"] is False
    assert security["readOnlyRootFilesystem"] is True


def test_the_daemon_set_is_everywhere() -> None:
    """It is on all nodes, in their network, early, under the account that rbac.yaml makes."""
    daemon = documents("daemonset.yaml")["DaemonSet"]
    account = documents("rbac.yaml")["ServiceAccount"]["metadata"]
    pod = daemon["spec"]["template"]["spec"]
    assert (daemon["metadata"]["namespace"], pod["serviceAccountName"]) == (
        account["namespace"],
        account["name"],
    )
    assert (
        daemon["spec"]["selector"]["matchLabels"]
        == (daemon["spec"]["template"]["metadata"]["labels"])
    )
    assert pod["hostNetwork"] is True
    assert pod["priorityClassName"] == "system-node-critical"
    assert {"operator": "Exists"} in pod["tolerations"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in container()["volumeMounts"]} == set(volumes)
    assert volumes["xtables-lock"]["hostPath"]["path"] == "/run/xtables.lock"
    # One lock for what is in the container and what is on the node.
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert volumes[mounts["/run/svcnet"]]["hostPath"]["path"] == "/run/svcnet"


def test_probes_are_on_loopback() -> None:
    """The probes ask where health is bound, which is loopback."""
    found = container()
    assert "--healthz-bind-address=127.0.0.1:10256" in found["args"]
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert found[probe]["httpGet"] == {"host": "127.0.0.1", "path": path, "port": 10256}


def test_the_kubeconfig_names_files_of_the_service_account(tmp_path: Path) -> None:
    """The kubeconfig is one that svcnet reads, for a server with an address of its own."""
    from svcnet.sources.kubernetes import load_kubeconfig

    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    text = documents("daemonset.yaml")["ConfigMap"]["data"]["kubeconfig"]
    assert text.count(account) == 2
    (tmp_path / "ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    (tmp_path / "token").write_text("t")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(text.replace(account, str(tmp_path)))
    server = load_kubeconfig([kubeconfig])
    assert server.url == "https://api.example.com:6443"
    assert (server.authority, server.token) == (tmp_path / "ca.crt", tmp_path / "token")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the image's file, each with what follows it."""
    text = (EXAMPLES / "kubernetes/Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], " ".join(line.split()[1:])) for line in lines]


def test_the_image_stands_on_a_digest_and_the_lock() -> None:
    """What it is made of is named to the byte, and no machine is."""
    found = instructions()
    [python] = [rest for word, rest in found if word == "ARG"]
    assert re.fullmatch(r"PYTHON=python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", python)
    stages = [rest.split() for word, rest in found if word == "FROM"]
    assert [stage[0] for stage in stages] == ["${PYTHON}", "${PYTHON}", "command"]
    [made] = [rest for word, rest in found if word == "RUN" and "pylock.toml" in rest]
    assert "--no-deps ." in made
    [reader] = re.findall(r"pip==\S+", made)
    assert reader in (EXAMPLES.parent / "README.md").read_text("utf-8")
    assert not re.search("amd64|x86|arm|aarch", " ".join(rest for _, rest in found))


def test_the_image_has_all_that_the_project_is_built_of() -> None:
    """Each file of the copy is there; what only builds is removed, and nothing else."""
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY"]
    for name in (*copied[0], *copied[1]):
        assert (EXAMPLES.parent / name).exists(), name
    [made] = [rest for word, rest in instructions() if word == "RUN" and "pylock.toml" in rest]
    removed = set(made.partition("uninstall -y ")[2].split()) - {"pip"}
    project = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text("utf-8"))
    lock = tomllib.loads((EXAMPLES.parent / "pylock.toml").read_text("utf-8"))
    builds = {p["name"] for p in lock["packages"] if "'build' in dependency_groups" in p["marker"]}
    assert removed <= builds
    assert {"hatchling", "editables"} <= removed
    needed = str([project["project"]["dependencies"], project["project"]["optional-dependencies"]])
    assert not [name for name in removed if name in needed.lower()]


def test_only_what_changes_a_node_is_root() -> None:
    """The stage that reads and prints is nobody; the one of the DaemonSet is root, and the last."""
    users, stage = {}, ""
    for word, rest in instructions():
        stage = rest.split()[-1] if word == "FROM" else stage
        if word == "USER":
            users[stage] = rest
    assert users == {"command": "65532:65532", "node": "0:0"}
    assert stage == "node"
