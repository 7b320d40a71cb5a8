"""Objects whose parts multiply: so many of each is a small text, and their product a large one.

As a program it takes each through all that is made of objects, in a process of its own, from a
file and as from an API server, and prints a line of JSON: the name and the way, the text's bytes,
the seconds of the processor, the bytes of memory, and how it ended. What Services may ask for is
two hundred times less than usual, so a text is small that asks for more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.shapes import measured

Object = dict[str, Any]

NAMESPACE = "shop"
SERVICE, NODE = 500, 5_000
"""The budget."""

FEW_ADDRESSES = 8
"""Those of a Node are its owner's, and multiply what node ports take in mode ipvs."""


def ip(number: int, first: int = 10) -> str:
    return f"{first}.{number // 62500 % 200}.{number // 250 % 250}.{number % 250 + 1}"


def ports(count: int, **more: str) -> list[Object]:
    named = [{"port": n + 1, "name": f"p{n}"} for n in range(count)]
    return [{**port, **{key: text.format(n) for key, text in more.items()}} for n, port in
            enumerate(named)]  # fmt: skip


def service(number: int, **spec: Any) -> Object:
    """Return a Service; `ingress` are addresses of its load balancer."""
    ingress = spec.pop("ingress", [])
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"s{number}", "namespace": NAMESPACE},
        "spec": {"clusterIP": ip(number, 96), "ports": [{"port": 80}], **spec},
        "status": {"loadBalancer": {"ingress": [{"ip": each} for each in ingress]}},
    }


def pod(number: int, labels: dict[str, str], **spec: Any) -> Object:
    container = {"name": "c", "ports": spec.pop("ports", [])}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number}", "namespace": NAMESPACE, "labels": labels},
        "spec": {"nodeName": "n0", "containers": [container], **spec},
        "status": {
            "phase": "Running",
            "podIP": ip(number),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def node(number: int, addresses: int = 1) -> Object:
    listed = [ip(number * addresses + n, 192) for n in range(addresses)]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"n{number}",
            "labels": {"topology.kubernetes.io/zone": f"z{number}"},
        },
        "status": {"addresses": [{"type": "InternalIP", "address": each} for each in listed]},
    }


def slice_(number: int, of: int, ends: Iterable[Object], ports: list[Object]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"e{number}",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": f"s{of}"},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": list(ends),
    }


def ends(count: int, first: int = 0, **more: Any) -> list[Object]:
    return [{"addresses": [ip(first + n)], **more} for n in range(count)]


def endpoints(subsets: Iterable[tuple[Iterable[int], Iterable[int]]]) -> Object:
    """Return Endpoints of s0, by numbers of addresses and of ports."""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "s0", "namespace": NAMESPACE},
        "subsets": [
            {
                "addresses": [{"ip": ip(n)} for n in addresses],
                "ports": [{"port": n % 65000 + 1, "name": f"p{n}"} for n in numbers],
            }
            for addresses, numbers in subsets
        ],
    }


A, B = {"a": "x"}, {"b": "x"}
FOUND = {"selector": A}
NAMED = [{"port": 80, "targetPort": "none"}]

PRODUCTS: dict[str, Callable[[int], list[Object]]] = {
    "Services x Pods": lambda n: [
        *(service(i, **FOUND) for i in range(n)),
        *(pod(i, A) for i in range(n)),
    ],
    "headless Services x Pods": lambda n: [
        *(service(i, **FOUND, clusterIP="None") for i in range(n)),
        *(pod(i, A) for i in range(n)),
    ],
    "selectors x Pods that they do not find": lambda n: [
        *(service(i, selector={**A, **B}) for i in range(n)),
        *(pod(i, A if i % 2 else B) for i in range(n)),
    ],
    "selectors of many labels x Pods": lambda n: [
        *(service(i, selector={f"k{j}": "x" for j in range(20)}) for i in range(n // 8)),
        *(pod(i, {f"k{j}": "x" for j in range(20)}) for i in range(n // 8)),
    ],
    "ports x Pods": lambda n: [
        service(0, **FOUND, ports=ports(n)),
        *(pod(i, A) for i in range(n)),
    ],
    "named ports x Pods": lambda n: [
        service(0, **FOUND, ports=ports(n, targetPort="t{}")),
        *(pod(i, A) for i in range(n)),
    ],
    "named ports x ports of containers": lambda n: [
        service(0, **FOUND, ports=ports(n, targetPort="t{}")),
        pod(0, A, ports=[{"containerPort": i + 1, "name": f"c{i}"} for i in range(n)]),
    ],
    "Services x ports of containers": lambda n: [
        *(service(i, **FOUND, ports=NAMED) for i in range(n)),
        pod(0, A, ports=[{"containerPort": i + 1, "name": f"c{i}"} for i in range(n)]),
    ],
    "Pods x Nodes": lambda n: [
        service(0, **FOUND),
        *(pod(i, A, nodeName=f"n{i}") for i in range(n)),
        *(node(i) for i in range(n)),
    ],
    "ports x endpoints": lambda n: [
        service(0, ports=ports(n)),
        slice_(0, 0, ends(min(n, 1000)), ports(min(n, 1000))),
    ],
    "addresses x ports": lambda n: [
        service(0, ports=ports(n), externalIPs=[ip(i, 20) for i in range(n)])
    ],
    "addresses x endpoints": lambda n: [
        service(0, externalIPs=[ip(i, 20) for i in range(n)]),
        slice_(0, 0, ends(min(n, 1000)), [{"port": 80}]),
    ],
    "ranges x load balancers": lambda n: [
        service(
            0,
            type="LoadBalancer",
            loadBalancerSourceRanges=[f"{ip(i, 20)}/32" for i in range(n)],
            ingress=[ip(i, 30) for i in range(n)],
        )
    ],
    "ranges x ports": lambda n: [
        service(
            0,
            type="LoadBalancer",
            ports=ports(n),
            loadBalancerSourceRanges=[f"{ip(i, 20)}/32" for i in range(n)],
            ingress=[ip(0, 30)],
        )
    ],
    "addresses that Services share": lambda n: [
        service(i, externalIPs=[ip(j, 20) for j in range(20)]) for i in range(n // 2)
    ],
    "node ports x addresses of the Node": lambda n: [
        *(
            service(i, type="NodePort", ports=[{"port": 80, "nodePort": 30000 + i}])
            for i in range(n)
        ),
        node(0, FEW_ADDRESSES),
    ],
    "subsets of one port each": lambda n: [
        service(0),
        endpoints(([i], [i]) for i in range(n)),
    ],
    "a subset of ports x addresses": lambda n: [
        service(0),
        endpoints([(range(n), range(n))]),
    ],
    "subsets that overlap": lambda n: [
        service(0),
        endpoints(([i, i + 1], [i, i + 1]) for i in range(n)),
    ],
    "ports that all addresses serve by and by": lambda n: [
        service(0),
        endpoints([*(([i], [i]) for i in range(n)), (range(n), range(n))]),
    ],
    "slices x conditions": lambda n: [
        service(0),
        *(
            slice_(i, 0, ends(20, conditions={"ready": i % 2 == 0}), [{"port": 80}])
            for i in range(n // 4)
        ),
    ],
    "endpoints x zones": lambda n: [
        service(0),
        slice_(
            0,
            0,
            (
                {
                    "addresses": [ip(i)],
                    "hints": {"forZones": [{"name": f"z{j}"} for j in range(8)]},
                }
                for i in range(min(n, 1000))
            ),
            [{"port": 80}],
        ),
    ],
    "names of hosts that endpoints share": lambda n: [
        service(0, clusterIP="None"),
        *(slice_(i, 0, ends(50, i * 50, hostname="h"), ports(20)) for i in range(n // 20)),
    ],
    "Services x one endpoint": lambda n: [
        each for i in range(n) for each in (service(i), slice_(i, i, ends(1), [{"port": 80}]))
    ],
    "aliases of aliases": lambda n: [
        service(
            i,
            type="ExternalName",
            clusterIP="",
            externalName=f"s{(i + 1) % n}.{NAMESPACE}.svc.cluster.local",
        )
        for i in range(n)
    ],
    "Services x ServiceCIDRs": lambda n: [
        *(service(i) for i in range(n)),
        *(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "ServiceCIDR",
                "metadata": {"name": f"c{i}"},
                "spec": {"cidrs": [f"{ip(i * 250, 96)[:-2]}.0/24"]},
            }
            for i in range(n)
        ),
    ],
    "Services x Services whose variables are alike": lambda n: [
        service(0, ports=ports(n)),
        *(service(i + 1) for i in range(n)),
    ],
}


def from_file(text: bytes) -> str:
    """Do with a file what each verb does."""
    from svcnet.discovery.endpoints import (  # fmt: skip
        endpoints_manifest,
        endpoints_of,
        remarks,
        slice_manifest,
        slices_of,
        with_slices,
    )
    from svcnet.discovery.environment import environment
    from svcnet.errors import InputError
    from svcnet.sources import endpoint_remarks, load

    with TemporaryDirectory() as folder:
        file = Path(folder, "x.json")
        file.write_bytes(text)
        try:
            loaded = load([file], complete=with_slices)
        except InputError:
            return "refused"
    loaded.locate_remarks(remarks(loaded.state))
    loaded.locate_remarks(endpoint_remarks(loaded.objects, loaded.state))
    use(loaded.state)
    for one in slices_of(loaded.state):
        json.dumps(slice_manifest(one))
    for other in endpoints_of(loaded.state):
        json.dumps(endpoints_manifest(other))
    environment(loaded.state, NAMESPACE).remarks()
    return "used"


def from_server(text: bytes) -> str:
    """Do with objects of a server what a run does, with a Pod, a Node and a Service that change."""
    from attrs import evolve

    from svcnet.compiler import compile_state, node_view, recompile
    from svcnet.discovery.endpoints import Completion
    from svcnet.models import ClusterState, Node, Pod, Service
    from svcnet.sources.kubernetes.narrow import narrow

    items = json.loads(text)["items"]
    models = [narrow(item["kind"], item, "x").model for item in items]
    completed = Completion.of(ClusterState.of(one for one in models if one is not None))
    view = node_view(completed.state, node="n0")
    graph = compile_state(completed.state, view)
    for one in models:
        match one:
            case Pod():
                other: Any = evolve(one, ready=False)
            case Node() | Service():
                other = evolve(one, labels={"topology.kubernetes.io/zone": "other"})
            case _:
                continue
        before = completed.state
        completed, step = completed.apply([other])
        touched = before.services_of([other, *step.changed, *step.removed])
        graph = recompile(graph, before, completed.state, view, touched)[0]
        break
    use(completed.state)
    return "used"


def use(state: Any) -> None:
    """Make rules of each mode, and names."""
    from svcnet.compiler import compile_state, node_view
    from svcnet.discovery.dns import records
    from svcnet.renderers import iptables, ipvs, userspace

    graph = compile_state(state, node_view(state, node="n0"))
    assert iptables.full(graph).text
    ipvs.text(ipvs.full(graph))
    userspace.text(userspace.full(graph))
    records(state)


def texts(size: int) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each product, of about `size` bytes."""
    for name, objects in PRODUCTS.items():
        length = len(_text(objects(80)))
        yield name, _text(objects(80 * size // length))


def _text(objects: list[Object]) -> str:
    own = [] if any(one["kind"] == "Node" for one in objects) else [node(0)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*own, *objects]})


def main(size: int) -> None:
    """Take each its ways in a child, which ends with what it took."""
    from svcnet.models import Budget

    # There is no option for it, and everything is to have it.
    Budget.__init__.__defaults__ = (SERVICE, NODE)
    warm = _text([service(0)])
    ways = {"file": from_file, "server": from_server}
    for way in ways.values():
        way(warm.encode())
    for name, text in texts(size):
        for which, way in ways.items():
            found = measured(way, text.encode())
            print(json.dumps([f"{name}: {which}", len(text), *found]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
