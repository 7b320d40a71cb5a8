"""What is legal and surely not meant, between objects: told with its place, and never wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnet.cli import main
from svcnet.compiler import compile_state, node_view
from svcnet.discovery.endpoints import with_slices
from svcnet.renderers.iptables import full
from svcnet.sources import load, load_bytes
from tests.fuzz import examples

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]


def service(name: str = "web", **spec: Any) -> Document:
    spec = {"clusterIP": "10.96.0.10", "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def endpoint_slice(*endpoints: Document, name: str = "web-1", port: int = 8080) -> Document:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": port}],
        "endpoints": list(endpoints),
    }


def at(address: str, **conditions: bool) -> Document:
    return {"addresses": [address], "conditions": conditions}


def node(name: str = "node-a", *addresses: str, cidr: str = "10.244.1.0/24") -> Document:
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": [cidr]},
        "status": {"addresses": listed},
    }


def cidrs(*texts: str) -> Document:
    metadata = {"name": "kubernetes"}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR"}
    return {**kind, "metadata": metadata, "spec": {"cidrs": list(texts)}}


def text(*documents: Document) -> bytes:
    return "\n---\n".join(json.dumps(each) for each in documents).encode()


def told(*documents: Document) -> list[str]:
    return [
        f"{one.field}: {one.message} [{one.check}]" for one in load_bytes(text(*documents)).warnings
    ]


READY = endpoint_slice(at("10.244.1.5"))
HEALTH: Document = {
    "type": "LoadBalancer",
    "externalTrafficPolicy": "Local",
    "healthCheckNodePort": 30080,
}


@pytest.mark.parametrize(
    ("documents", "line"),
    [
        (
            (service(**HEALTH, ports=[{"port": 80, "nodePort": 30080}]), READY),
            "spec.healthCheckNodePort: 30080 is a node port of Service default/web too",
        ),
        (
            (service(clusterIP="None", externalIPs=["203.0.113.7"]), READY),
            "spec.externalIPs: has no effect: a headless Service has no rules on any node",
        ),
        (
            (service(clusterIP="None", internalTrafficPolicy="Local"), READY),
            "spec.internalTrafficPolicy: has no effect: a headless Service",
        ),
        (
            (service(externalIPs=["203.0.113.7", "2001:db8::7"]), READY),
            "spec.externalIPs[1]: 2001:db8::7 has no effect: the Service has no cluster IP of IPv6",
        ),
        (
            (service(clusterIP="192.0.2.10"), node("node-a", "192.0.2.10"), READY),
            "spec.clusterIP: 192.0.2.10 is an address of Node node-a too: what is sent there goes",
        ),
        (
            (service(clusterIP="10.244.1.5"), READY),
            "spec.clusterIP: 10.244.1.5 is an endpoint of EndpointSlice default/web-1 too",
        ),
        (
            (service(clusterIP="10.244.1.77"), node(), READY),
            "spec.clusterIP: 10.244.1.77 is in 10.244.1.0/24, the pod CIDR of Node node-a: a Pod",
        ),
        (
            (service(), cidrs("10.97.0.0/16"), READY),
            "spec.clusterIP: 10.96.0.10 is in no ServiceCIDR",
        ),
        (
            (node(), node("node-b")),
            "spec.podCIDRs[0]: 10.244.1.0/24 is that of Node node-a too",
        ),
        (
            (service(), endpoint_slice(at("10.244.1.5", ready=False), name="web-2"), READY),
            "endpoints[0]: 10.244.1.5 port 8080 is not ready here and ready in EndpointSlice ",
        ),
    ],
)  # fmt: skip
def test_what_is_told(documents: tuple[Document, ...], line: str) -> None:
    """Each of these is one warning, at its field, with what follows."""
    (found,) = told(*documents)
    assert found.startswith(line)


@pytest.mark.parametrize(
    "documents",
    [
        (service(), READY, endpoint_slice(at("10.244.1.6", ready=False), name="web-2")),
        (service(), READY, endpoint_slice(at("10.244.1.5"), name="web-2")),
        # One Pod, of which each version of another has its own port.
        (service(), READY, endpoint_slice(at("10.244.1.5", ready=False), name="web-2", port=9090)),
        (service(), READY, node(), cidrs("10.96.0.0/12", "fd00:10:96::/112")),
        (service(clusterIP="None", sessionAffinity="None"), READY),
        (service(externalIPs=["192.0.2.11"]), READY, node("node-b", "192.0.2.11")),
    ],
)
def test_what_is_not_told(documents: tuple[Document, ...]) -> None:
    """What a cluster may well have is no warning."""
    assert told(*documents) == []


KNOWN = {
    "no-endpoints",
    "unserved-port",
    "unserved-family",
    "no-service",
    "open-address",
    "unused-field",
}


def test_what_clusters_print_is_quiet() -> None:
    """Inputs of the reference have the oversights that they are about, and no others."""
    for path in sorted(ROOT.glob("tests/conformance/cases/*/objects.yaml")):
        found = {one.check.name for one in load([path], complete=with_slices).warnings}
        assert found <= KNOWN, path
    for folder in ("my-service", "from-pods"):
        assert not load([ROOT / "examples" / folder], complete=with_slices).warnings


def svcnet(*arguments: str, stdin: bytes) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def test_an_address_of_another_node_is_told_in_mode_ipvs() -> None:
    """Only there is it this node's own, and only another Node's is out of reach."""
    nodes = node("node-a", "192.0.2.10"), node("node-b", "192.0.2.11", cidr="10.244.2.0/24")
    balanced = service("lb", clusterIP="10.96.0.11", type="LoadBalancer", selector={"a": "b"})
    balanced["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.11"}, {"ip": "192.0.2.10"}]}}
    data = text(service(externalIPs=["192.0.2.11", "192.0.2.10"]), balanced, READY, *nodes)
    lines = [
        "spec.externalIPs[0]: 192.0.2.11 is an address of Node node-b, which is not reached there",
        "status.loadBalancer.ingress[0].ip: 192.0.2.11 is an address of Node node-b",
    ]
    found = svcnet("render", "-", "--mode", "ipvs", "--node", "node-a", stdin=data)
    assert found.exit_code == 0
    told = [line for line in found.stderr.splitlines() if "other-node-address" in line]
    assert [expected in line for expected, line in zip(lines, told, strict=True)] == [True, True]
    assert "other-node-address" not in svcnet("render", "-", "--node", "node-a", stdin=data).stderr
    strict = svcnet("render", "-", "--mode", "ipvs", "--node", "node-a", "--strict", stdin=data)
    assert (strict.exit_code, strict.stdout) == (2, "")


NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "w1"},
    "status": {
        "addresses": [
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "2001:db8::1"},
        ]
    },
}
OPEN = service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])


@pytest.mark.parametrize(
    ("config", "check"),
    [
        ("clusterCIDR: 10.244.0.0/16", "S617"),
        ("clusterCIDR: fd00::/48", "S617"),
        ("clusterCIDR: '10.244.0.0/16,fd00::/48'", ""),
        ("mode: iptables", ""),
        ("{detectLocalMode: NodeCIDR, clusterCIDR: 10.244.0.0/16}", "S611 S615"),
        ("nodePortAddresses: [198.51.100.0/24]", "S618"),
        ("nodePortAddresses: [198.51.100.0/24, 192.0.2.0/24]", ""),
        ("nodePortAddresses: ['2001:db8:1::/48', 192.0.2.0/24]", "S618"),
        ("nodePortAddresses: [primary]", ""),
        ("nodePortAddresses: [0.0.0.0/0, '::/0']", ""),
    ],
)
def test_a_configuration_that_leaves_a_node_out_is_told(
    tmp_path: Path, config: str, check: str
) -> None:
    """Of each IP family of the node; without node ports nobody asks which addresses have them."""
    head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
    fields = config.strip("{}").replace(", clusterCIDR", "\nclusterCIDR")
    (tmp_path / "config.yaml").write_text(f"{head}{fields}\n")
    (tmp_path / "host.yaml").write_text("addresses: [192.0.2.1, '2001:db8::1', 198.51.100.9]\n")
    asked = ("render", "--config", str(tmp_path / "config.yaml"))
    slices = endpoint_slice(at("10.244.1.5"))

    def told(*documents: Document, host: bool = False) -> str:
        more = ("--host", str(tmp_path / "host.yaml")) if host else ()
        found = svcnet(*asked, *more, stdin=json.dumps(list_of(*documents)).encode())
        assert found.exit_code == 0, found.stderr
        lines = [line for line in found.stderr.splitlines() if "config.yaml" in line]
        return " ".join(line.rpartition("[")[2].partition(" ")[0] for line in lines)

    assert told(OPEN, slices, NODE) == check
    assert told(service(), slices, NODE) == check.replace("S618", "")
    if config == "nodePortAddresses: [198.51.100.0/24]":
        assert told(OPEN, slices, NODE, host=True) == ""


@pytest.mark.parametrize("zone", [None, "", "a"])
@pytest.mark.parametrize("hints", [None, {"forZones": [{"name": "a"}]}])
def test_hints_for_a_node_without_a_zone_are_told(zone: str | None, hints: Any) -> None:
    """Once, at the Node; a Node with a zone, and slices without hints, are quiet."""
    labels = {} if zone is None else {"topology.kubernetes.io/zone": zone}
    node = {**NODE, "metadata": {"name": "w1", "labels": labels}}
    endpoint = {**at("10.244.1.5"), **({"hints": hints} if hints else {})}
    documents = list_of(service(), endpoint_slice(endpoint), node)
    found = svcnet("render", stdin=json.dumps(documents).encode())
    assert ("[S619 no-zone]" in found.stderr) is (bool(hints) and not zone)


def list_of(*documents: Document) -> Document:
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}


def test_services_without_any_endpoints_are_told_once() -> None:
    """Whoever needs endpoints is told, at the first Service, how many there are."""
    found: dict[str, Any] = {"selector": {"app": "web"}}
    data = text(service(**found), service("b", clusterIP="10.96.0.11", **found))
    line = (
        "<stdin>:1: warning: Service default/web: has no EndpointSlice in the input: "
        "whoever connects is refused; so is it with 1 more [S705 no-slice]\n"
    )
    assert svcnet("render", "-", stdin=data).stderr == line
    assert svcnet("render", "-", "--strict", stdin=data).exit_code == 2
    assert svcnet("env", "-", stdin=data).stderr == ""


conditions = st.fixed_dictionaries(
    {}, optional={name: st.booleans() for name in ("ready", "serving", "terminating")}
)
listed = st.lists(
    st.builds(lambda n, c: at(f"10.244.1.{n}", **c), st.integers(1, 3), conditions),
    min_size=1,
    max_size=3,
)


@settings(max_examples=examples(60))
@given(listed, listed)
def test_conditions_that_matter_are_told(first: list[Document], second: list[Document]) -> None:
    """Wherever the order of slices or endpoints decides what rules there are, it is told."""
    one, other = endpoint_slice(*first), endpoint_slice(*second, name="web-2")
    ways = [[one, other]]
    swapped = [endpoint_slice(*second), endpoint_slice(*first, name="web-2")]
    backwards = [endpoint_slice(*reversed(each["endpoints"]), name=each["metadata"]["name"])
                 for each in (one, other)]  # fmt: skip
    ways += [swapped, backwards, [endpoint_slice(*reversed(second)),
                                  endpoint_slice(*reversed(first), name="web-2")]]  # fmt: skip
    rules = []
    for way in ways:
        state = load_bytes(text(service(), *way)).state
        rules.append(full(compile_state(state, node_view(state))).text)
    if any(text != rules[0] for text in rules):
        assert any("condition-conflict" in line for line in told(service(), one, other))
