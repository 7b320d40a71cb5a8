"""``svcnet run --kubernetes``: rules follow an API server, and stay while it is away."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from svcnet.testing import FakeAPIServer, FakeProxy, Fault
from tests.kernel.api import API, api, endpoints, node, service, write_kubeconfig
from tests.kernel.ipvs.netlink import own_namespace, run
from tests.kernel.reconciler.test_keep import CONFIG, eventually, rules
from tests.kernel.told import Told

pytestmark = pytest.mark.kernel


class Followed(Told):
    """A run that follows an API server."""

    def __init__(self, server: API, folder: Path, *options: str, extra: str = "") -> None:
        config = folder / "config.yaml"
        config.write_text(CONFIG + extra)
        where = ("--kubeconfig", server.kubeconfig(folder), "--node", "n1", "--config", config)
        super().__init__("run", "--kubernetes", *where, *options)


@pytest.fixture(name="server")
def a_server() -> Iterator[API]:
    with own_namespace(), api() as made:
        yield made


def page(path: str, port: int, address: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{address}:{port}{path}") as answer:
        return str(answer.read().decode())


def test_rules_follow_the_server(server: API, tmp_path: Path) -> None:
    """Services and endpoints that come, change and go are in the rules soon after."""
    server.put(node("n1", "192.0.2.1"), service("web", "10.96.0.10"))
    server.put(endpoints("web", "10.244.1.5"))
    with Followed(server, tmp_path):
        eventually("to-destination 10.244.1.5:8080")
        server.put(endpoints("web", "10.244.1.6"))
        eventually("to-destination 10.244.1.6:8080")
        server.delete("Service", "web")
        eventually("10.96.0.10", there=False)


def test_nothing_is_written_before_all_is_listed(server: API, tmp_path: Path) -> None:
    """While one kind cannot be listed there are no rules, and the node is not ready."""
    server.call(lambda fake: fake.forbidden.add("EndpointSlice"))
    server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.5"))
    with Followed(server, tmp_path) as process:
        process.wait("refused: 403")
        assert "KUBE" not in rules()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            page("/readyz", 10256)
        assert page("/livez", 10256)
        server.call(lambda fake: fake.forbidden.clear())
        eventually("to-destination 10.244.1.5:8080")


@pytest.mark.parametrize("lack", ["absent", "forbidden"])
def test_a_server_without_service_cidrs(server: API, tmp_path: Path, lack: str) -> None:
    """Mode nftables serves without them, follows changes, and says what it does without."""
    versions = {f"networking.k8s.io/{each} ServiceCIDR" for each in ("v1", "v1beta1", "v1alpha1")}
    kinds = versions if lack == "absent" else {"ServiceCIDR"}
    server.call(lambda fake: getattr(fake, lack).update(kinds))
    server.put(node("n1", "192.0.2.1"), service("web", "10.96.0.10"))
    server.put(endpoints("web", "10.244.1.5"))

    def table() -> str:
        return run("nft", "list", "table", "ip", "kube-proxy", check=False)

    with Followed(server, tmp_path, "--mode", "nftables") as process:
        process.wait('"event":"synced"')
        assert "10.244.1.5 . 8080" in table()
        assert "the rules do without" in process.first("ServiceCIDR")
        server.put(endpoints("web", "10.244.1.6"))
        process.wait('"event":"synced"', 2)
        assert "10.244.1.6 . 8080" in table()


def test_what_a_configuration_asks_of_the_node(server: API, tmp_path: Path) -> None:
    """A Node without podCIDRs is told where these are asked for; health is where it is to be."""
    server.put(node("n1", "192.0.2.1"), service("web", "10.96.0.10"))
    extra = "detectLocalMode: NodeCIDR\nhealthzBindAddress: '::1'\n"
    with Followed(server, tmp_path, extra=extra) as process:
        process.wait("Node n1 has no podCIDR")
        process.wait("synced")
        assert page("/livez", 10256, "[::1]")


def test_rules_stay_while_the_server_is_away(server: API, tmp_path: Path) -> None:
    """A server that goes is told of; what changed meanwhile is followed when it is back."""
    server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.5"))
    with Followed(server, tmp_path) as process:
        eventually("to-destination 10.244.1.5:8080")
        server.stop()
        process.wait("unreachable")
        time.sleep(1.5)
        assert "to-destination 10.244.1.5:8080" in rules()
        server.put(endpoints("web", "10.244.1.6"))
        server.start()
        eventually("to-destination 10.244.1.6:8080")


def test_an_object_that_cannot_be_used_keeps_what_was_there(server: API, tmp_path: Path) -> None:
    """What is wrong with an object is told, and others are followed."""
    server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.5"))
    with Followed(server, tmp_path) as process:
        eventually("to-destination 10.244.1.5:8080")
        server.put(service("web", "10.96.0.10", port=99999), service("db", "10.96.0.11"))
        process.wait("must be from 1 to 65535")
        server.put(endpoints("db", "10.244.1.7"))
        eventually("to-destination 10.244.1.7:8080")
        assert "to-destination 10.244.1.5:8080" in rules()


def test_operators_see_what_it_does(server: API, tmp_path: Path) -> None:
    """Metrics count, health checks answer, and each line of the log is an object of JSON."""
    local: dict[str, Any] = {
        "externalTrafficPolicy": "Local",
        "type": "LoadBalancer",
        "healthCheckNodePort": 31000,
    }
    server.put(node("n1", "192.0.2.1"), service("web", "10.96.0.10", **local))
    ready = endpoints("web", "10.244.1.5")
    ready["endpoints"][0]["nodeName"] = "n1"
    with Followed(server, tmp_path) as process:
        process.wait('"event":"synced"')
        happened = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        trigger = {"endpoints.kubernetes.io/last-change-trigger-time": happened}
        ready["metadata"]["annotations"] = trigger
        server.put(ready)
        eventually("to-destination 10.244.1.5:8080")
        process.wait('"trigger":"change"')
        assert json.loads(page("/", 31000))["localEndpoints"] == 1
        metrics = page("/metrics", 10249)
        programmed = "kubeproxy_network_programming_duration_seconds_count"
        assert f'{programmed}{{ip_family="IPv4"}} 1.0' in metrics
        assert 'svcnet_endpoints{ip_family="IPv4"} 1.0' in metrics
        assert counted_rules(metrics) == {table: own_rules(table) for table in ("filter", "nat")}
    assert counted_rules(metrics) == {table: own_rules(table) for table in ("filter", "nat")}
    assert all(json.loads(line)["time"] for line in process.lines)
    last = json.loads(next(line for line in process.lines if '"trigger":"change"' in line))
    assert last["services"] == ["shop/web/TCP"]
    assert last["stages"]["compile"] <= last["seconds"]


def test_signals_are_heard_while_the_server_is_away(server: API, tmp_path: Path) -> None:
    """Before the first list a hang-up does no harm, and a run that is told to end does so."""
    server.stop()
    process = Followed(server, tmp_path)
    process.wait("unreachable")
    process.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    process.end()
    assert '"event":"ended; the rules stay"' in process.lines[-1]


def test_a_hang_up_reads_the_kubeconfig_again(server: API, tmp_path: Path) -> None:
    """Another address is followed from then on; a file that is wrong is told, and rules stay."""
    server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.5"))
    with api() as other, Followed(server, tmp_path) as process:
        other.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.6"))
        eventually("to-destination 10.244.1.5:8080")
        kubeconfig = server.kubeconfig(tmp_path)
        kubeconfig.write_text("clusters: [{name: here, cluster: {server: 'ftp://a'}}]\n")
        process.process.send_signal(signal.SIGHUP)
        process.wait("the rules stay as they were")
        told = "".join(process.lines)
        assert f"{kubeconfig}:" in told
        assert "the input was read again" not in told
        other.kubeconfig(tmp_path)
        process.process.send_signal(signal.SIGHUP)
        eventually("to-destination 10.244.1.6:8080")
        process.wait("the input was read again")
        server.stop()
        other.put(endpoints("web", "10.244.1.7"))
        eventually("to-destination 10.244.1.7:8080")
        assert "10.244.1.5" not in rules()
        server.start()


def test_rules_are_right_whatever_breaks(server: API, tmp_path: Path) -> None:
    """Behind a proxy that cuts, tears down, refuses and closes idle connections none is lost."""
    server.put(service("web", "10.96.0.10"), endpoints("web", "10.244.1.1"))
    proxy = server.call(lambda fake: FakeProxy(fake.url))
    server.finish(lambda _: proxy.start())

    async def away() -> None:
        await proxy.stop()
        await asyncio.sleep(0.5)
        await proxy.start()

    def apart(fake: FakeAPIServer) -> None:
        fake.unavailable |= {"EndpointSlice"}
        proxy.reset()

    breaks: list[Callable[[], object]] = [
        lambda: server.call(lambda _: proxy.close()),
        lambda: server.call(lambda _: proxy.reset()),
        lambda: server.finish(lambda _: away()),
        lambda: server.call(lambda _: proxy.close_idle(0.5)),
        lambda: server.call(lambda _: proxy.close_idle(3600)),
        lambda: server.call(lambda fake: fake.script(Fault("page", "watch", code=502))),
        lambda: server.call(lambda fake: fake.script(Fault("status", "look", code=429))),
        lambda: server.call(apart),
        lambda: server.call(lambda fake: fake.unavailable.clear()),
        lambda: server.call(lambda fake: fake.script(Fault("drip", seconds=0.001))),
    ]
    with Followed(server, tmp_path) as process:
        eventually("to-destination 10.244.1.1:8080")
        write_kubeconfig(tmp_path, proxy.url)
        process.process.send_signal(signal.SIGHUP)
        process.wait("from now on")
        for number, act in enumerate(breaks, start=2):
            act()
            server.put(endpoints("web", f"10.244.1.{number}"))
        eventually(f"to-destination 10.244.1.{len(breaks) + 1}:8080")
        assert sum("to-destination" in line for line in rules().splitlines()) == 1
        assert len(process.lines) < 60
    server.finish(lambda _: proxy.stop())
    assert not any("Traceback" in line for line in process.lines)


def pod(name: str, address: str, on: str) -> dict[str, Any]:
    """Return the manifest of a ready Pod that Service web selects."""
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "nodeName": on,
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {"podIP": address, "conditions": [ready]},
    }


def test_endpoints_of_pods_where_no_controller_makes_them(server: API, tmp_path: Path) -> None:
    """With --from-pods Services have the Pods of all Nodes, until the server has endpoints."""
    selecting: dict[str, Any] = {
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": "http"}],
    }
    server.put(node("n1", "192.0.2.1"), node("n2", "192.0.2.2"))
    server.put(service("web", "10.96.0.10", **selecting), pod("a", "10.244.1.5", "n1"))
    with Followed(server, tmp_path, "--from-pods") as process:
        eventually("to-destination 10.244.1.5:8080")
        server.put(pod("b", "10.244.2.6", "n2"))
        eventually("to-destination 10.244.2.6:8080")
        server.delete("Pod", "a")
        eventually("10.244.1.5", there=False)
        server.put(endpoints("web", "10.244.3.7"))
        eventually("to-destination 10.244.3.7:8080")
        assert "10.244.2.6" not in rules()
        server.delete("EndpointSlice", "web-1")
        eventually("to-destination 10.244.2.6:8080")
        by_hand = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "web", "namespace": "shop"},
            "subsets": [{"addresses": [{"ip": "198.51.100.7"}], "ports": [{"port": 80}]}],
        }
        server.put(by_hand)
        eventually("to-destination 198.51.100.7:80")
    assert '"services":["shop/web/TCP"]' in "".join(process.lines)


def test_selectors_that_find_too_many_pods(server: API, tmp_path: Path) -> None:
    """A Service whose Pods times ports are too many has no endpoints, and is told once; others do.

    When there are fewer of them it is served, and that is told.
    """
    ports = [{"port": n, "name": f"p{n}"} for n in range(1, 402)]
    server.put(
        node("n1", "192.0.2.1"),
        service("large", "10.96.0.10", selector={"app": "web"}, ports=ports),
        service("small", "10.96.0.11", selector={"app": "web"}),
        *(pod(f"p{n}", f"10.244.1.{n}", "n1") for n in range(1, 251)),
    )
    told = "Service shop/large has no endpoints: it asks for more than 100,000 entries"
    with Followed(server, tmp_path, "--from-pods") as process:
        process.wait(told)
        eventually("--to-destination 10.244.1.250:80")
        assert rules().count("--to-destination") == 250
        server.put(service("large", "10.96.0.10", selector={"app": "web"}, ports=ports[:2]))
        process.wait("no longer so")
        eventually("--to-destination 10.244.1.250:2")
    assert sum(told in line for line in process.lines) == 2  # it came, and it is no longer so


def counted_rules(metrics: str) -> dict[str, int]:
    found = re.findall(r'rules_iptables_total\{ip_family="IPv4",table="(.*)"\} (.*)', metrics)
    return {table: int(float(number)) for table, number in found}


def own_rules(table: str) -> int:
    """Return how many rules svcnet's chains have."""
    saved = run("iptables-nft-save", "-t", table).splitlines()
    return sum(line.startswith("-A KUBE-") for line in saved)
