"""Lists and watches against the fake server, over real sockets."""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

import pytest
from attrs import evolve

from svcnet.errors import UsageError
from svcnet.models import NamespacedName
from svcnet.sources.kubernetes import APIServer, watch
from svcnet.testing import FakeAPIServer, Fault, run_in_fake_time
from tests.sources.kubernetes.following import (
    PATIENCE,
    endpoint_slice,
    following,
    node,
    port_of,
    service,
    state_of,
)


def test_the_first_step_is_everything() -> None:
    """The first step has all objects of all kinds, and is what manifests with them amount to."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), endpoint_slice(), node())
            async with following(server) as found:
                await found.until(lambda: found.steps)
                assert found.state == state_of(server)
                assert not found.steps[0].removed

    asyncio.run(run())


def test_nothing_comes_before_every_kind_is_listed() -> None:
    """While one kind is refused no step comes, though all others are known."""

    async def run() -> None:
        async with FakeAPIServer(forbidden={"Node"}) as server:
            server.put(service(), node())
            async with following(server) as found:
                await found.until(lambda: "EndpointSlice: synced" in found.statuses)
                await found.until(lambda: any("Node: refused: 403" in s for s in found.statuses))
                await asyncio.sleep(0.1)
                assert found.steps == []
                server.forbidden.clear()
                await found.until(lambda: found.steps)
                assert found.state == state_of(server)
                assert len(found.steps) == 1

    asyncio.run(run())


def test_an_empty_cluster_is_a_step() -> None:
    """That there is nothing is told too."""

    async def run() -> None:
        async with FakeAPIServer() as server, following(server) as found:
            await found.until(lambda: found.steps)
            assert found.steps[0].changed == ()

    asyncio.run(run())


def test_changes_and_deletions() -> None:
    """What comes, changes and goes is told as that, with the object as it was last told."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            async with following(server) as found:
                await found.until(lambda: port_of(found.state) == 80)
                server.put(service(port=81), service("mail"))
                await found.until(lambda: port_of(found.state) == 81 and "mail" in found.names())
                known = found.state.services[NamespacedName("shop", "web")]
                server.delete("Service", "web", "shop")
                await found.until(lambda: found.names() == {"mail"})
                assert found.steps[-1].removed == (known,)

    asyncio.run(run())


def test_what_changes_no_rule_is_no_step() -> None:
    """A change of metadata that no rule comes from is not told, and not kept."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service())
            async with following(server) as found:
                await found.until(lambda: found.steps)
                noise = {"kubectl.kubernetes.io/last-applied-configuration": "x" * 1000}
                server.put(service(annotations=noise, managedFields=[{"manager": "y"}]))
                server.put(service("mail"))
                await found.until(lambda: "mail" in found.names())
                assert [made.name for made in found.steps[1].changed] == ["mail"]
                assert not found.state.services[NamespacedName("shop", "web")].annotations

    asyncio.run(run())


def test_what_is_not_ours_is_left_out_by_the_server() -> None:
    """Selectors of kube-proxy v1.36 are asked for, and one whose label changes comes or goes."""

    async def run() -> None:
        other = {"service.kubernetes.io/service-proxy-name": "cilium"}
        headless = {"service.kubernetes.io/headless": ""}
        async with FakeAPIServer() as server:
            server.put(
                service(),
                service("mesh", labels=other),
                {**service("db"), "spec": {"clusterIP": "None", "ports": [{"port": 80}]}},
                service("named", labels=headless),
                endpoint_slice("db-1", "db", **headless),
                endpoint_slice("web-1", "web", **other),
                node("node-a"),
                node("node-b"),
            )
            async with following(server, node="node-a") as found:
                await found.until(lambda: found.steps)
                assert found.names() == {"web", "named"}
                assert set(found.state.slices) == {("shop", "web")}
                assert set(found.state.nodes) == {"node-a"}
                server.put(service("mesh"), service(labels=other))
                await found.until(lambda: found.names() == {"mesh", "named"})
            async with following(server, headless=True) as found:
                await found.until(lambda: found.steps)
                assert found.names() == {"mesh", "named", "db"}
                assert set(found.state.slices) == {("shop", "db"), ("shop", "web")}
                assert set(found.state.nodes) == {"node-a", "node-b"}

    asyncio.run(run())


def test_pages() -> None:
    """Many objects are asked for page by page."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(*(service(f"web-{number}") for number in range(25)))
            patience = evolve(PATIENCE, page=10)
            async with following(server, ("Service",), patience=patience) as found:
                await found.until(lambda: found.steps)
                assert len(found.state.services) == 25
            lists = [r.parameters for r in server.requests if r.verb == "list"]
            assert [bool(p.get("continue")) for p in lists] == [False, True, True]

    asyncio.run(run())


def test_pages_that_expire() -> None:
    """When a continue token has expired, all objects are asked for at once."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(*(service(f"web-{number}") for number in range(25)))
            server.script(Fault("slow", on="list"), Fault("status", on="list", code=410))
            server.script(Fault("slow", on="list"))
            patience = evolve(PATIENCE, page=10)
            async with following(server, ("Service",), patience=patience) as found:
                await found.until(lambda: found.statuses == ["Service: synced"])
                assert len(found.state.services) == 25
                await found.until(lambda: any(request.is_look for request in server.requests))
            lists = [r.parameters.get("limit") for r in server.requests if r.verb == "list"]
            # At last all at once, and the look of the watch.
            assert lists[-2:] == [None, "1"]

    asyncio.run(run())


def test_a_kind_that_only_an_older_version_has() -> None:
    """ServiceCIDRs are found at the version that the server has."""

    async def run() -> None:
        cidr = {
            "apiVersion": "networking.k8s.io/v1beta1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": ["10.96.0.0/16"]},
        }
        async with FakeAPIServer(absent={"networking.k8s.io/v1 ServiceCIDR"}) as server:
            server.put(cidr)
            async with following(server, ("ServiceCIDR",)) as found:
                await found.until(lambda: found.steps)
                assert set(found.state.service_cidrs) == {"kubernetes"}

    asyncio.run(run())


def test_a_kind_that_the_server_does_not_have() -> None:
    """What is nowhere is a refusal, and not an empty list."""

    async def run() -> None:
        versions = ("v1", "v1beta1", "v1alpha1")
        absent = {f"networking.k8s.io/{version} ServiceCIDR" for version in versions}
        server = FakeAPIServer(absent=absent)
        async with server, following(server, ("ServiceCIDR",)) as found:
            await found.until(lambda: found.statuses)
            assert found.statuses[0].startswith("ServiceCIDR: refused: 404: the server has no")
            assert found.steps == []

    asyncio.run(run())


CIDRS = ("Service", "ServiceCIDR")
RANGE = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "kubernetes"},
    "spec": {"cidrs": ["10.96.0.0/16"]},
}
VERSIONS = {f"networking.k8s.io/{version} ServiceCIDR" for version in ("v1", "v1beta1", "v1alpha1")}


@pytest.mark.parametrize("how", ["absent", "forbidden"])
@pytest.mark.parametrize("objects", [(), (service(),)])
def test_an_optional_kind_that_is_refused(how: str, objects: tuple[dict[str, Any], ...]) -> None:
    """All else goes on as if there were none, and takes it in when it comes."""

    async def run() -> None:
        kinds = VERSIONS if how == "absent" else {"ServiceCIDR"}
        async with FakeAPIServer(**{how: set(kinds)}) as server:  # type: ignore[arg-type]
            server.put(*objects)
            async with following(server, CIDRS, optional=CIDRS[1:]) as found:
                await found.until(lambda: found.steps)
                assert len(found.state.services) == len(objects)
                server.put(service("other"))
                await found.until(lambda: "other" in found.names())
                assert found.last("ServiceCIDR").startswith("ServiceCIDR: refused: 40")
                server.put(RANGE)
                getattr(server, how).clear()
                await found.until(lambda: found.state.service_cidrs)
                await found.until(lambda: found.last("ServiceCIDR") == "ServiceCIDR: synced")
                assert len(found.steps) == 3
                server.put(service("third"))
                await found.until(lambda: "third" in found.names())

    run_in_fake_time(run())


@pytest.mark.parametrize("objects", [(), (service(),)])
def test_an_optional_kind_that_does_not_come(objects: tuple[dict[str, Any], ...]) -> None:
    """It is waited for as long as a kind that is lost, so that most nodes begin with all."""

    async def run() -> None:
        patience = evolve(PATIENCE, together=0.5)
        async with FakeAPIServer(unavailable={"ServiceCIDR"}) as server:
            server.put(*objects, RANGE)
            begun = asyncio.get_running_loop().time()
            options = {"optional": CIDRS[1:], "patience": patience}
            async with following(server, CIDRS, **options) as found:
                await found.until(lambda: found.steps)
                assert asyncio.get_running_loop().time() - begun > 0.4
                assert not found.state.service_cidrs
                server.unavailable.clear()
                await found.until(lambda: found.state.service_cidrs)

    run_in_fake_time(run())


def test_an_optional_kind_that_comes_is_in_the_first_step() -> None:
    """Nothing is made without it then."""

    async def run() -> None:
        async with FakeAPIServer() as server:
            server.put(service(), RANGE)
            async with following(server, CIDRS, optional=CIDRS[1:]) as found:
                await found.until(lambda: found.steps)
                assert found.state == state_of(server)
                assert len(found.steps) == 1

    run_in_fake_time(run())


def test_a_kind_that_nobody_has() -> None:
    """An unknown kind is the caller's mistake."""

    async def run() -> None:
        steps = watch(APIServer("http://x"), ["Gateway"], random=Random(), tell=print)
        with pytest.raises(UsageError, match="'Gateway' cannot be watched"):
            await anext(steps)

    asyncio.run(run())


def test_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without aiohttp the error says what to install."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "svcnet.sources.kubernetes.client", raising=False)

    async def run() -> None:
        steps = watch(APIServer("http://x"), random=Random(), tell=print)
        with pytest.raises(UsageError, match=r"^aiohttp is .* pip install 'svcnet\[kubernetes\]'"):
            await anext(steps)

    asyncio.run(run())


def test_an_odd_object_is_used_and_told_once() -> None:
    """What nobody checks on the way into a cluster keeps no object out; the word on it is one."""

    async def run() -> None:
        odd, annotation = node(), {"svcnet.io/ipvs-scheduler": "fastest"}
        odd["status"]["addresses"].append({"type": "ExternalIP", "address": "a.example.com"})
        async with FakeAPIServer() as server:
            server.put(odd, service(annotations=annotation))
            async with following(server) as found:
                await found.until(lambda: len(found.diagnostics) == 2 and found.state.nodes)
                assert found.names() == {"web"}
                assert found.state.nodes["node-a"].addresses == ("192.0.2.10",)
                assert {one.severity for one in found.diagnostics} == {"warning"}
                server.put({**odd, "spec": {"podCIDR": "10.244.1.0/24"}})
                await found.until(lambda: found.state.nodes["node-a"].pod_cidrs)
                server.put(service(port=81, annotations=annotation))
                await found.until(lambda: port_of(found.state) == 81)
                assert len(found.diagnostics) == 2
                server.put(service(port=82))
                await found.until(lambda: port_of(found.state) == 82)
                server.put(service(port=82, annotations=annotation))
                await found.until(lambda: len(found.diagnostics) == 3)

    asyncio.run(run())


def test_a_broken_object_beside_good_ones() -> None:
    """One that cannot be used is a diagnostic, told once; its last good version stays."""

    async def run() -> None:
        broken = service()
        broken["spec"]["ports"] = [{"port": 80}, {"port": 99999, "name": "UPPER"}]
        async with FakeAPIServer() as server:
            server.put(service(), {**broken, "metadata": {"name": "bad", "namespace": "shop"}})
            async with following(server) as found:
                await found.until(lambda: found.steps)
                assert found.names() == {"web"}
                [port] = [d for d in found.diagnostics if d.field == "spec.ports[1].port"]
                place = "/api/v1/services: error: Service shop/bad: spec.ports[1].port: "
                assert str(port) == f"{place}must be from 1 to 65535, not 99999 [S203 range]"
                told = len(found.diagnostics)
                server.put(broken)
                await found.until(lambda: len(found.diagnostics) > told)
                assert port_of(found.state) == 80
                told = len(found.diagnostics)
                await server.disconnect()
                server.compact()
                server.put(broken, service("mail"))
                await found.until(lambda: "mail" in found.names())
                assert port_of(found.state) == 80
                assert len(found.diagnostics) == told
                server.put(service(port=81))
                await found.until(lambda: port_of(found.state) == 81)
                server.put(broken)
                await found.until(lambda: len(found.diagnostics) > told)
                server.delete("Service", "web", "shop")
                await found.until(lambda: found.names() == {"mail"})

    asyncio.run(run())
