"""An agent that follows an API server, without root: what it takes in, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from svcnet.agent import Agent, Cluster
from svcnet.agent.server_feed import api_server
from svcnet.errors import UsageError
from svcnet.inputs import EVERY_WARNING
from svcnet.testing import FakeMachine
from tests.agent.kept import Noise, NotedMode
from tests.kernel.api import API, api, endpoints, node, service, write_kubeconfig

SECONDS = 60.0


@pytest.fixture
def server() -> Iterator[API]:
    with api() as found:
        found.put(node("here", "192.0.2.10"), service("web", "10.96.0.10"))
        found.put(endpoints("web", "10.244.1.5"))
        yield found


def follower(server: API, folder: Path, mode: NotedMode, log: Noise, **asked: Any) -> Agent:
    """Return an agent that follows a server, and opens no port."""
    alone = {"healthz": "", "metrics": "", "socket": folder / "svcnet.sock", "node": "here"}
    return Agent(
        Cluster(server.kubeconfig(folder)),
        **{"mode": mode, "machine": FakeMachine(), "log": log, **alone, **asked},
    )


def test_objects_are_followed(server: API, tmp_path: Path) -> None:
    """Those that there are at first, and each that comes, changes and goes."""
    mode, log = NotedMode(), Noise()
    with follower(server, tmp_path, mode, log) as running:
        mode.wait("web")
        server.put(service("db", "10.96.0.11"))
        mode.wait("web", "db")
        server.put(service("db", "None", clusterIP="None"))
        mode.wait("web")
        server.delete("Service", "web")
        mode.wait()
        about = str(running.status())
    assert server.call(lambda fake: fake.url) in about
    assert not [line for level, line in log.lines if level == "warning"]


def test_a_node_that_the_server_does_not_have_is_told(server: API, tmp_path: Path) -> None:
    """Rules are made all the same: of endpoints on this node there are none."""
    mode, log = NotedMode(), Noise()
    with follower(server, tmp_path, mode, log, node="nowhere"):
        mode.wait("web")
    assert ("warning", "the server has no Node 'nowhere': no endpoint is local") in log.lines


def test_what_cannot_be_used_is_told_and_keeps_nothing_else(server: API, tmp_path: Path) -> None:
    mode, log = NotedMode(), Noise()
    with follower(server, tmp_path, mode, log):
        mode.wait("web")
        server.put(service("bad", "10.96.0.12", port=0), service("db", "10.96.0.11"))
        mode.wait("web", "db")
        log.wait("spec.ports[0].port")
    assert "shop/bad" in str(log.lines)


def test_endpoints_are_made_of_pods(server: API, tmp_path: Path) -> None:
    """As Pods come and go, of Services that have no other endpoints."""
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "shop", "labels": {"app": "db"}},
        "spec": {"nodeName": "here", "containers": [{"name": "db"}]},
        "status": {
            "podIP": "10.244.1.7",
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    server.put(service("db", "10.96.0.11", selector={"app": "db"}))
    mode, log = NotedMode(), Noise()

    def wait_for(count: int) -> None:
        mode.wait_until(
            lambda graph: {f.name.name: f.endpoint_count for f in graph} == {"web": 1, "db": count}
        )

    with follower(server, tmp_path, mode, log, from_pods=True):
        wait_for(0)
        server.put(pod)
        wait_for(1)
        server.delete("Pod", "db-0")
        wait_for(0)


def test_another_kubeconfig_leads_elsewhere(server: API, tmp_path: Path) -> None:
    """Once all input is to be read again; one that is wrong changes nothing and is told."""
    mode, log = NotedMode(), Noise()
    with api() as other, follower(server, tmp_path, mode, log) as running:
        mode.wait("web")
        other.put(node("here", "192.0.2.10"), service("moved", "10.96.0.20"))
        kubeconfig = tmp_path / "kubeconfig"
        right = kubeconfig.read_text()
        kubeconfig.write_text("{")
        running.reload()
        log.wait("the rules stay as they were")
        kubeconfig.write_text(right)
        running.reload()
        log.wait("the input was read again")
        url = other.call(lambda fake: fake.url)
        write_kubeconfig(tmp_path, url)
        running.reload()
        log.wait(f"API server: {url} from now on")
        mode.wait("moved")


def test_it_ends_while_no_server_answers(server: API, tmp_path: Path) -> None:
    """Nothing was kept by then, and it says what keeps it waiting."""
    mode, log = NotedMode(), Noise()
    running = follower(server, tmp_path, mode, log)
    server.stop()
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(running.run)
        log.wait("refused")
        running.stop()
        assert work.result(SECONDS) is None
    assert not mode.graphs


def test_a_server_is_found_as_kubectl_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the option, the variable, a Pod's service account, the home folder, in this order."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    (home / ".kube").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))

    def found(kubeconfig: Path | None = None) -> str:
        return api_server(kubeconfig, "", EVERY_WARNING).url

    with pytest.raises(UsageError, match="no API server is known"):
        found()
    write_kubeconfig(home / ".kube", "http://127.0.0.1:1").rename(home / ".kube/config")
    assert found() == "http://127.0.0.1:1"
    named = write_kubeconfig(tmp_path, "http://127.0.0.1:2")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{named}")
    assert found() == "http://127.0.0.1:2"
    given = write_kubeconfig(home, "http://127.0.0.1:3")
    assert found(given) == "http://127.0.0.1:3"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(UsageError, match="KUBERNETES_SERVICE_PORT"):
        found()
